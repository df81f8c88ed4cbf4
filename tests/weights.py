"""The landmark model, converted once for all tests."""

import tempfile
from functools import cache
from pathlib import Path

from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.stages.sources.fetch_weights import fetch_weights

_folder = tempfile.TemporaryDirectory()


@cache
def landmark_weights() -> Path:
    """Return its file."""
    path = Path(_folder.name) / "landmarks.safetensors"
    fetch_weights("landmarks", None, path)
    return path


@cache
def landmark_model() -> LandmarkModel:
    """Return the model."""
    return LandmarkModel(landmark_weights())
