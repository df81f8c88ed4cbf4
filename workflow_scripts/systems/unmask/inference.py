"""The trained networks at work."""

from workflow_scripts.systems._removal.inference import edit_faces, predict_maps
from workflow_scripts.training.checkpoint import load_network

__all__ = ["edit_faces", "load_network", "predict_maps"]
