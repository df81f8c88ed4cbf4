"""The family's part of the page and of the report."""

from pathlib import Path

from workflow_scripts.systems._completion.columns import NAMES, OURS
from workflow_scripts.systems._completion.config import CompletionExperiment

# Beginning of a figure's name -> what it shows; {rest} is the rest of the name.
CAPTIONS = {
    "first_look": "People whom no network has seen in training, chosen by rank between the best and the worst. Given: "
    "a picture with a hole. Completions: three of the many that are plausible; the last picture is what was there. "
    "Outside the hole all are the given picture.",
    "methods": "The same holes completed by every method, at equal distances from the best to the worst of each kind "
    "of hole, by the PSNR of our best completion.",
    "samples_": "Completions of test faces by {rest}, at equal distances from the best to the worst of each kind of "
    "hole, by the best one's PSNR in the hole.",
    "tradeoff": "Quality against diversity in the hole; a line is a method, a point a value of its knob. Up and to the "
    "right is better. Methods without a knob are single points.",
    "moves_": "Keypoints that were moved, and the completions by {rest} that should follow, at equal distances from "
    "the least landmark error to the largest.",
    "keypoints": "Keypoints found in faces with a hole, at equal distances from the least error in the hole to the "
    "largest. Green: true; orange: predicted, with a circle of two standard deviations around each.",
}

# What the page says where fewer than so many pictures were learned from.
FEW = 2000
FEW_SHOW = (
    "So few show that every step works. Faces that are whole, sharp and different from each other take thousands of "
    "people and an hour of training for each network."
)


def view(_experiment: CompletionExperiment, _folders: dict[str, Path]) -> dict:
    """Return the names of the methods, and which one is ours."""
    return {"labels": NAMES, "ours": OURS}
