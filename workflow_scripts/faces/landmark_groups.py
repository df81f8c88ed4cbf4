"""The 68 landmarks by name: every module that means an eye, a lip or the chin takes its numbers from here.

The order is that of iBUG's 300-W annotations (Sagonas et al., "300 Faces in-the-Wild Challenge", ICCV Workshops 2013),
which dlib's model keeps. Point numbers count from 0.

**Left and right are the person's own**, as in that order: in a picture that is not mirrored, the right eye (36 to 41)
lies at the viewer's left, and x grows from the person's right side to the left one.

CelebA names its five points by the viewer instead: its `lefteye` is the eye at the left of the picture, the person's
right one. `CELEBA_FIVE` translates its names; five points are always in CelebA's order, which begins at the viewer's
left. Where other code calls a side of a *picture* or of a drawing canvas left, it says so.
"""

import numpy as np

COUNT = 68

JAW = slice(0, 17)  # the face's outline, from the right ear round the chin to the left ear
RIGHT_BROW = slice(17, 22)  # from its outer to its inner end
LEFT_BROW = slice(22, 27)  # from its inner to its outer end
NOSE_BRIDGE = slice(27, 31)  # from between the eyes down to the tip
NOSE_BASE = slice(31, 36)  # from the right nostril to the left one
RIGHT_EYE = slice(36, 42)  # outer corner, upper lid, inner corner, lower lid
LEFT_EYE = slice(42, 48)  # inner corner, upper lid, outer corner, lower lid
OUTER_LIPS = slice(48, 60)  # right corner, upper lip, left corner, lower lip
INNER_LIPS = slice(60, 68)  # the same along the opening of the mouth

# Every landmark is in exactly one of these.
GROUPS = {
    "jaw": JAW,
    "right brow": RIGHT_BROW,
    "left brow": LEFT_BROW,
    "nose bridge": NOSE_BRIDGE,
    "nose base": NOSE_BASE,
    "right eye": RIGHT_EYE,
    "left eye": LEFT_EYE,
    "outer lips": OUTER_LIPS,
    "inner lips": INNER_LIPS,
}

# Several groups, or a part of one.
RIGHT_JAW = slice(0, 8)  # without the chin, from the ear down
LEFT_JAW = slice(9, 17)  # without the chin, up to the ear
NOSE = slice(27, 36)  # bridge and base
NOSE_UNDERSIDE = slice(30, 36)  # tip and base
EYES = slice(36, 48)
MOUTH = slice(48, 68)  # outer and inner lips
UPPER_LIP = slice(48, 55)  # its outer edge, from the right corner of the mouth to the left one

# Single points.
RIGHT_EAR, CHIN, LEFT_EAR = 0, 8, 16  # the ends of the jaw, and its lowest point
RIGHT_BROW_OUTER, RIGHT_BROW_MIDDLE, RIGHT_BROW_INNER = 17, 19, 21
LEFT_BROW_INNER, LEFT_BROW_MIDDLE, LEFT_BROW_OUTER = 22, 24, 26
NOSE_TOP, NOSE_TIP = 27, 30  # the ends of the bridge
RIGHT_NOSTRIL, NOSE_BASE_MIDDLE, LEFT_NOSTRIL = 31, 33, 35
RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER = 36, 39, 42, 45  # corners
RIGHT_MOUTH_CORNER, UPPER_LIP_MIDDLE, LEFT_MOUTH_CORNER, LOWER_LIP_MIDDLE = 48, 51, 54, 57  # of the outer lips

OUTER_EYE_CORNERS = [RIGHT_EYE_OUTER, LEFT_EYE_OUTER]
EYE_CORNERS = [RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER]
# The skin between lower lid, nostril, corner of the mouth and jaw, as a polygon.
RIGHT_CHEEK, LEFT_CHEEK = (41, 31, 48, 3), (46, 35, 54, 13)
# Pairs of an upper and a lower point, which meet when the mouth or the eye is closed.
LIP_PAIRS = [(61, 67), (62, 66), (63, 65)]
RIGHT_LID_PAIRS, LEFT_LID_PAIRS = [(37, 41), (38, 40)], [(43, 47), (44, 46)]

# The landmark that each one becomes in a mirrored picture: the mirrored face is `mirrored_points[MIRRORED]`.
# fmt: off
MIRRORED = [
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31), *range(35, 30, -1),  # nose
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,  # eyes
    *range(54, 47, -1), *range(59, 54, -1),  # outer lips
    *range(64, 59, -1), 67, 66, 65,  # inner lips
]
# fmt: on

# CelebA's five points in its own order, by the names in its files, and the landmarks whose mean each of them is.
CELEBA_FIVE = {
    "lefteye": RIGHT_EYE,
    "righteye": LEFT_EYE,
    "nose": slice(NOSE_TIP, NOSE_TIP + 1),
    "leftmouth": slice(RIGHT_MOUTH_CORNER, RIGHT_MOUTH_CORNER + 1),
    "rightmouth": slice(LEFT_MOUTH_CORNER, LEFT_MOUTH_CORNER + 1),
}
_FIVE_MEANS = np.stack([np.eye(COUNT)[members].mean(axis=0) for members in CELEBA_FIVE.values()])  # (5, 68)


def numbers(*groups: slice) -> list[int]:
    """Return the numbers of the points of one or several groups, in the order given."""
    return [number for group in groups for number in range(COUNT)[group]]


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Return CelebA's five points of a face: eye centres, nose tip and corners of the mouth.

    Args:
        landmarks: (68, 2), x and y.

    Returns:
        float64 (5, 2), in CelebA's order: of eyes and corners, the one at the viewer's left comes first.
    """
    return _FIVE_MEANS @ np.asarray(landmarks, np.float64)
