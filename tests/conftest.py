"""Fixtures that several test files share."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A public-domain portrait with one frontal face, RGB uint8 (512, 512, 3)."""
    from skimage import data

    return data.astronaut()
