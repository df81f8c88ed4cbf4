"""The family's part of the page and of the report."""

from pathlib import Path

from workflow_scripts.systems._generation.config import GenerationExperiment

# Beginning of a figure's name -> what it shows; {rest} is the rest of the name.
CAPTIONS = {
    "first_look": "Held-out pictures and generated ones, none of them chosen: the first samples of the first generator "
    "of each kind, with their masks where they have some.",
    "real": "Real squares of the test set: picture, mask, and the picture dimmed outside its mask.",
    "samples_": "Samples of {rest}, the first ones and not chosen: picture and, where it generates them, mask, and the "
    "picture dimmed outside it.",
    "neighbours_": "Samples of {rest} that are nearest to a training picture by 16x16 pixels, mirrored or not, and that"
    " "
    "training picture: copies would show here.",
    "classes_": "Samples of {rest} by class, largest class first, each line with the nearest training pictures at its "
    "right.",
}

# What the page says where fewer than so many pictures were learned from.
FEW = 20_000
FEW_SHOW = (
    "So few show that every step works. Generators learn from tens of thousands of pictures and hours of training; "
    "from few they learn colours, or learn pictures by heart."
)


def view(_experiment: GenerationExperiment, _folders: dict[str, Path]) -> dict:
    """Return nothing, since its templates need only what the templates of every system are given."""
    return {}
