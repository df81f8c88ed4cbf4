"""Faces as entries of files in COCO's format: 68 keypoints, box, and the hull of the keypoints as mask."""

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from workflow_scripts.faces.landmark_groups import COUNT, GROUPS, numbers

CLOSED = ("right eye", "left eye", "outer lips", "inner lips")  # groups whose last point is joined to the first
HIDDEN, VISIBLE = 1, 2  # COCO's flags of keypoints that are labelled
FACE = 1  # number of the category


def face_category() -> dict:
    """Return the category: names of the keypoints, as `left eye 1`, and the lines between those of a group."""
    names = [f"{group} {number}" for group in GROUPS for number in range(1, len(numbers(GROUPS[group])) + 1)]
    lines = []
    for group, points in GROUPS.items():
        first, *others = (point + 1 for point in numbers(points))  # COCO counts from 1
        lines += [list(line) for line in zip([first, *others], others, strict=False)]
        lines += [[others[-1], first]] if group in CLOSED else []
    return {"id": FACE, "name": "face", "supercategory": "person", "keypoints": names, "skeleton": lines}


def face_annotation(points: np.ndarray, hidden: np.ndarray, width: int, height: int) -> dict:
    """Return an annotation of a face, without its numbers.

    Args:
        points: float (68, 2) in pixels; integers are the centres of pixels.
        hidden: bool (68,), which of them something lies over; those beyond the border are hidden too.
        width: of the picture in pixels.
        height: likewise.

    Returns:
        `keypoints`, `num_keypoints`, `bbox` (of the keypoints), `segmentation` (compressed run lengths of their hull),
        `area` of that in pixels, `iscrowd`.
    """
    beyond = ((points < -0.5) | (points > np.array([width, height]) - 0.5)).any(axis=1)
    flags = np.where(hidden | beyond, HIDDEN, VISIBLE)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    hull = cv2.convexHull(points.astype(np.float32))[:, 0] + 0.5  # COCO's polygons begin at the corners of pixels
    run_lengths = coco_mask.merge(coco_mask.frPyObjects([hull.ravel().tolist()], height, width))
    rounded = np.round(points.astype(float), 2)
    return mask_entry(run_lengths) | {
        "bbox": [round(float(side), 2) for side in (left, top, right - left, bottom - top)],
        "keypoints": [
            number for (x, y), flag in zip(rounded.tolist(), flags.tolist(), strict=True) for number in (x, y, flag)
        ],
        "num_keypoints": COUNT,
        "category_id": FACE,
    }


def mask_entry(run_lengths: dict) -> dict:
    """Return the keys of a mask that is given as pycocotools has it: `segmentation`, `area`, `bbox`, `iscrowd`."""
    return {
        "segmentation": {"size": list(map(int, run_lengths["size"])), "counts": run_lengths["counts"].decode()},
        "area": int(coco_mask.area(run_lengths)),
        "bbox": [float(side) for side in coco_mask.toBbox(run_lengths)],
        "iscrowd": 0,
    }
