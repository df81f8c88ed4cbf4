"""The family's part of the page and of the report."""

from pathlib import Path

from workflow_scripts.core.files import read_json
from workflow_scripts.systems._text_to_image.config import TextToImageExperiment

# Beginning of a figure's name -> what it shows.
CAPTIONS = {
    "first_look": "Pictures generated of the first prompts, with adapters and without, from the same noise; none of "
    "them is chosen.",
    "prompts": "Generated pictures of each prompt: with adapters, then by the base model alone from the same noise.",
    "neighbours": "Generated pictures that are nearest to a training picture by 16x16 pixels, mirrored or not, and "
    "that training picture: copies would show here.",
}

# What the page says where fewer than so many pictures were learned from.
FEW = 20
FEW_SHOW = "So few show that every step works; a style is learned from some dozens of pictures."


def view(_experiment: TextToImageExperiment, folders: dict[str, Path]) -> dict:
    """Return the table of memory for the templates."""
    return {"memory": read_json(folders["memory"] / "memory.json")}
