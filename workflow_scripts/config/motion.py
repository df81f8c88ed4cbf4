"""Keys of `motion` of a source: how moving objects are told from the background of a video."""

from typing import Literal

from pydantic import Field, model_validator

from workflow_scripts.config.base import Model


class Motion(Model):
    """How moving objects are found in the frames of a video: [methods.md](methods.md#moving-objects)."""

    saliency: Literal["residual", "classes"] = Field(
        "residual",
        description="what speaks for an object at first: `residual`, motion unlike that of the camera, which is "
        "fitted to the whole flow; `classes`, as uNLC: motion before a static camera, direction before a translating "
        "one, else contrast to the picture's border",
    )
    longest: int = Field(650, ge=64, le=4096, description="pixels of the longer side at which frames are segmented")
    superpixels: int = Field(400, ge=20, le=5000, description="into how many superpixels a frame is divided, about")
    shots: int = Field(
        5, ge=1, le=100, description="most shots into which a run of up to 330 frames without a cut is divided"
    )
    frames: int = Field(
        110, ge=10, le=1000, description="most frames that vote together; a longer shot votes in equal parts"
    )
    rounds: int = Field(50, ge=0, le=1000, description="rounds of voting, in tens; 0: saliency alone decides")
    kept: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of what motion said at first that stays in each round of voting; uNLC has 0, and forgets",
    )
    foreground: int = Field(70, ge=1, le=100, description="from which value of the mask, of 100, a pixel is foreground")
    blobs: float = Field(
        0.6, ge=0, le=1, description="blobs of the foreground smaller than this share of the largest are dropped"
    )
    min_area: float = Field(
        0.02, ge=0, le=1, description="a frame is `filtered` if a larger share of it is foreground, …"
    )
    max_area: float = Field(0.7, gt=0, le=1, description="… but no more than this")

    @model_validator(mode="after")
    def _areas_in_order(self):
        if self.min_area >= self.max_area:
            raise ValueError("min_area must be below max_area; write for example `min_area: 0.02`, `max_area: 0.7`")
        return self
