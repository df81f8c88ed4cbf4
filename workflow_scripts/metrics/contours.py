"""Does a mask bound what a picture shows? Its contour is compared with the picture's edges."""

import cv2
import numpy as np

LEVEL = 127  # of 255; a mask is where it is above this


def edge_agreement(picture: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean gradient of the picture on the mask's contour, over its mean in the whole picture.

    1 is what a contour of no relation to the picture has on average; a contour that follows edges has more.

    Args:
        picture: RGB uint8 (H, W, 3).
        mask: uint8 (H, W).

    Returns:
        The ratio, at least 0; NaN for a mask without a contour inside the picture, or a picture without edges.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    contour = contour_of(mask)
    inner = np.s_[1:-1, 1:-1]  # at the border neither is known
    mean = gradient[inner].mean()
    if not contour[inner].any() or mean == 0:
        return float("nan")
    return float(gradient[inner][contour[inner]].mean() / mean)


def contour_of(mask: np.ndarray) -> np.ndarray:
    """Return the pixels on both sides of the edge of a mask uint8 (H, W), bool (H, W)."""
    binary = (mask > LEVEL).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return cv2.dilate(binary, kernel) != cv2.erode(binary, kernel)
