"""Optical flow between a frame and those around it."""

import cv2
import numpy as np

REACH = 3  # frames before and after, to which flow is found
FIT = 5  # small pixels; side of the box over which grey levels are compared
NOISE = 2.0  # grey levels; pictures differ by no less
LONGEST = 320  # pixels of the longer side at which flow is found; more is slower and no better


def around(number: int, frames: int) -> list[int]:
    """Return the frames to which the flow of a frame is found: up to three after and before it, the nearest first."""
    others = (number + sign * step for step in range(1, REACH + 1) for sign in (1, -1))
    return [other for other in others if 0 <= other < frames]


class Flows:
    """Finds flow by DIS (Kroeger et al., ECCV 2016) between the frames of one shot, made small and grey.

    Args:
        frames: RGB uint8 (n, H, W, 3).

    Attributes:
        grey: uint8 (n, h, w), the longer side at most 320 pixels.
    """

    def __init__(self, frames: np.ndarray):
        height, width = frames.shape[1:3]
        scale = min(1.0, LONGEST / max(height, width))
        size = max(round(width * scale), 16), max(round(height * scale), 16)
        small = (cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames)
        self.grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small])
        self._finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def of(self, number: int) -> np.ndarray:
        """Return the flows of a frame to those around it, the nearest ones first: float32 (k, h, w, 2).

        They are x and y in small pixels per frame, divided by the distance in frames and negated for the frames before,
        so that a steady motion has the same flow in all of them.
        """
        flows = [
            self._finder.calc(self.grey[number], self.grey[other], None) / (other - number)
            for other in around(number, len(self.grey))
        ]
        return np.stack(flows)

    def unexplained(self, number: int, motions: np.ndarray) -> np.ndarray:
        """Return how little a motion explains of a frame, float32 (h, w) of 0..1: 0 where its grey levels fit.

        What is covered in the frames after may be seen in those before, so a pixel is explained where one side fits.
        In an even region flow is a guess, and any motion explains it.

        Args:
            number: of the frame.
            motions: as `of` returns flows, of the motion to the same frames, float32 (k, h, w, 2).
        """
        here = self.grey[number].astype(np.float32)
        rows, columns = np.indices(here.shape, np.float32)
        sides: dict[bool, np.ndarray] = {}
        for other, motion in zip(around(number, len(self.grey)), motions, strict=True):
            x, y = columns + (other - number) * motion[..., 0], rows + (other - number) * motion[..., 1]
            there = cv2.remap(self.grey[other], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            apart = cv2.blur(np.abs(there - here), (FIT, FIT))
            side = other > number
            sides[side] = np.maximum(sides[side], apart) if side in sides else apart
        error = np.minimum.reduce(list(sides.values()))
        noise = max(NOISE, 2 * float(np.median(error)))
        return error**2 / (error**2 + noise**2)
