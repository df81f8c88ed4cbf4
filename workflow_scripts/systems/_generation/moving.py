"""Masks from what moves in videos: which frames become squares, and what their masks are."""

import cv2
import numpy as np
import pandas as pd

from workflow_scripts.core.cli import BadItem
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.motion.masks import decode_mask
from workflow_scripts.systems._generation.config import Squares
from workflow_scripts.systems._generation.squares import Mask

CATEGORY = "moving object"


def refuse_frames(frames: pd.DataFrame, config: Squares) -> dict[str, BadItem]:
    """Return the frames that become no squares, each with the reason.

    Args:
        frames: by item: `clip`, and `shot`, `area` and `filtered` of the `motion` table.
        config: its `motion` and `per_shot`.
    """
    refused = {}
    if config.motion == "filtered":
        for row in frames[~frames["filtered"]].itertuples():
            detail = (
                f"{row.area:.1%} of it moves, which the source's key `motion` leaves out; write `motion: unfiltered`"
            )
            refused[row.Index] = BadItem("not filtered", detail)
    left = frames[~frames.index.isin(list(refused))]
    for _, shot in left.groupby(["clip", "shot"]):
        for item in sorted(shot.index, key=lambda item: (stable_hash(item, "per_shot"), item))[config.per_shot :]:
            detail = f"{config.per_shot} of the {len(shot)} frames of its shot are used; write a larger `per_shot`"
            refused[item] = BadItem("other frames of the shot", detail)
    return refused


def motion_masks(data: bytes, foreground: int, config: Squares) -> list[Mask]:
    """Return the masks of a frame, one for each blob of its foreground.

    They show how much speaks for motion, 0..100 scaled to 0..255 as published, also outside the foreground, which
    tells where the objects are. A frame without foreground has one mask without pixels if it can be a square.

    Args:
        data: `mask` of the `motion` table.
        foreground: from which value of 100 a pixel is foreground.
        config: its `unit` and `background`.

    Raises:
        BadItem: there is no foreground, and squares are of objects or without a background.
    """
    votes = decode_mask(data)
    strength = np.rint(votes * 2.55).astype(np.uint8)
    count, blobs = cv2.connectedComponents((votes >= foreground).astype(np.uint8), connectivity=4)
    if count == 1:
        if config.unit == "object" or config.background != "keep":
            raise BadItem("nothing moves", "there is no object in it; write `unit: picture` with `background: keep`")
        return [Mask(blobs > 0, CATEGORY, -1, -1, False, strength)]
    masks = []
    for number in range(1, count):
        of_others = (blobs > 0) & (blobs != number)
        masks.append(Mask(blobs == number, CATEGORY, -1, -1, False, np.where(of_others, np.uint8(0), strength)))
    return masks
