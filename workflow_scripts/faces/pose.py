"""Which way heads are turned, estimated from 68 landmarks, for many faces at once.

**Roll** is the angle of the line between the eyes. It is measured in the picture and needs no model.

**Yaw** is an estimate: 14 of the landmarks are taken for the scaled orthographic view of one generic head, whose pose
is solved in closed form (POS: DeMenthon & Davis, "Model-Based Object Pose in 25 Lines of Code", IJCV 15, 1995).
People's faces differ from the generic one, a camera at half a metre makes the angle a tenth too large, and the
landmarks of far turned heads slip towards the front. So the yaw shows how a set of faces is spread, and not how a
single head is turned.
"""

import numpy as np

from workflow_scripts.faces import landmark_groups as groups

# The anthropometric head of Martins & Batista, "Accurate Single View Model-Based Head Pose Estimation", FG 2008, in cm:
# landmark -> to the right as seen by the viewer, down, towards the viewer.
GENERIC_HEAD = {
    groups.RIGHT_BROW_OUTER: (-6.826, -6.761, 4.402),
    groups.RIGHT_BROW_INNER: (-1.330, -7.122, 6.904),
    groups.LEFT_BROW_INNER: (1.330, -7.122, 6.904),
    groups.LEFT_BROW_OUTER: (6.826, -6.761, 4.402),
    groups.RIGHT_EYE_OUTER: (-5.311, -5.485, 3.988),
    groups.RIGHT_EYE_INNER: (-1.790, -5.394, 4.413),
    groups.LEFT_EYE_INNER: (1.790, -5.394, 4.413),
    groups.LEFT_EYE_OUTER: (5.311, -5.485, 3.988),
    groups.RIGHT_NOSTRIL: (-2.006, -1.410, 6.166),
    groups.LEFT_NOSTRIL: (2.006, -1.410, 6.166),
    groups.RIGHT_MOUTH_CORNER: (-2.774, 2.081, 5.049),
    groups.LEFT_MOUTH_CORNER: (2.774, 2.081, 5.049),
    groups.LOWER_LIP_MIDDLE: (0.0, 3.116, 6.098),
    groups.CHIN: (0.0, 7.416, 4.070),
}
YAW_METHOD = "scaled orthographic pose (POS) of a generic 3D head from 14 of 68 landmarks"


def head_roll(points: np.ndarray) -> np.ndarray:
    """Return the angle of the line between the eye centres in degrees.

    Args:
        points: landmarks in iBUG order, (n, 68, 2): x to the right, y down.

    Returns:
        float64 (n,) in (-180, 180], positive where the head is turned clockwise as seen.
    """
    across = points[:, groups.LEFT_EYE].mean(axis=1) - points[:, groups.RIGHT_EYE].mean(axis=1)
    return np.degrees(np.arctan2(across[:, 1], across[:, 0]))


def head_yaw(points: np.ndarray) -> np.ndarray:
    """Return an estimate of how far heads are turned to the side, in degrees.

    The landmarks are turned upright by `head_roll`. The least-squares affine view of the generic head is replaced by
    the nearest scaled orthographic one (by singular value decomposition), and yaw is the direction in which it looks.

    Args:
        points: landmarks in iBUG order, (n, 68, 2): x to the right, y down.

    Returns:
        float64 (n,) in [-180, 180], positive where the face looks to the right as seen; NaN for coinciding landmarks.
    """
    head = np.array(list(GENERIC_HEAD.values()))
    solve = np.linalg.pinv(head - head.mean(axis=0))  # (3, 14)
    seen = points[:, list(GENERIC_HEAD)].astype(np.float64)
    angle = np.radians(head_roll(points))
    cosine, sine = np.cos(angle), np.sin(angle)
    upright = np.array([[cosine, sine], [-sine, cosine]]).transpose(2, 0, 1)  # (n, 2, 2)
    views = upright @ (solve @ (seen - seen.mean(axis=1, keepdims=True))).transpose(0, 2, 1)  # (n, 2, 3)
    left, spread, right = np.linalg.svd(views, full_matrices=False)
    rows = left @ right
    looks = np.cross(rows[:, 0], rows[:, 1])  # the third row of the rotation
    yaw = np.degrees(np.arctan2(rows[:, 0, 2], looks[:, 2]))
    return np.where(spread[:, 1] > 1e-9, yaw, np.nan)
