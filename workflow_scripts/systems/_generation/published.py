"""Published scores, measured on other pictures than ours."""

from typing import NamedTuple


class Published(NamedTuple):
    """Inception Scores, mean over ten splits of 50,000 pictures.

    Attributes:
        name: of the data.
        real: of the training pictures.
        rgb: of pictures from a generator of three channels.
        masked: of one that also generates the mask.
        citation: where they are published.
    """

    name: str
    real: float
    rgb: float
    masked: float
    citation: str


SLIDES = "student report on MS-COCO and YFCC100m with uNLC masks, 64x64, its GAN unnamed"
PUBLISHED = {
    "objects": (
        Published("MS-COCO", 13.51, 7.37, 7.50, SLIDES),
        Published("YFCC100m, filtered", 22.76, 8.01, 7.80, SLIDES),
        Published("YFCC100m, unfiltered", 11.75, 7.53, 7.06, SLIDES),
    )
}
