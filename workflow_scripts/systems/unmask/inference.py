"""The trained networks of `unmask`, as the stages apply them."""

from workflow_scripts.systems._removal.inference import find_occluders, paint_bare_faces
from workflow_scripts.training.checkpoint import load_network

__all__ = ["find_occluders", "load_network", "paint_bare_faces"]
