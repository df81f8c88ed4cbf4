"""The family's part of the page and of the report."""

from pathlib import Path

from workflow_scripts.systems._removal.config import RemovalExperiment

# Beginning of a figure's name -> what it shows; {rest} is the rest of the name.
CAPTIONS = {
    "first_look": "People whom no network has seen in training: the best, the middle and the worst of all test "
    "pictures (of a clip, its middle one). Given: the picture with what is to be taken off, drawn by the workflow or "
    "given as a pair. Taken off: what the two networks made of it; outside the region that they found it is the given "
    "picture.",
    "gallery_": "Test items of {rest}, never trained on, at equal distances from the best to the worst of each kind of "
    "occluder, by the composite's PSNR in the hole. At the left: kind, PSNR of the composite in the hole, PSNR of the "
    "unchanged input there, IoU of the predicted map.",
    "applied_": "Pictures of {rest}, without a known truth, at equal distances from the largest to the smallest "
    "predicted map.",
    "samples_": "Several pictures that the editor made of the same items of {rest}, from the largest spread of these "
    "pictures to the smallest. The first one is what other figures show.",
    "scores": "Spread of the test items' scores by kind of occluder. Boxes hold the middle half, whiskers 90 %, the "
    "line is the median.",
    "presence": "The predicted area as a detector of an occluder: its distribution by source, and the receiver "
    "operating characteristic.",
}

# What the page says where fewer than so many pictures were learned from.
FEW = 2000
FEW_SHOW = (
    "So few show that every step works, and what kind of result it gives. Skin and mouths of people who were never "
    "seen take thousands of people and an hour of training."
)


def view(_experiment: RemovalExperiment, _folders: dict[str, Path]) -> dict:
    """Return nothing, since its templates need only what the templates of every system are given."""
    return {}
