"""Configuration that systems share which drive a face with another."""

from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Model
from workflow_scripts.config.experiments import BaseExperiment


class Drawing(Model):
    """How a face's landmarks are drawn: each part filled in its own colour, on black."""

    gaze: bool = Field(True, description="the bright pixels of an eye are drawn in a lighter shade of its colour")
    normalize: Literal["none", "similarity", "shape"] = Field(
        "shape",
        description="what is done to a driver's landmarks, whose face has another shape than the target's: `none`, as "
        "published; `similarity`: moved, turned and scaled as a whole; `shape`: each part is also given the target's "
        "neutral shape, and moves as the driver's does",
    )
    turn_beyond: float | None = Field(
        5.0,
        ge=0,
        le=180,
        description="degrees that a driver may turn, raise or tilt the head farther than the training frames show; "
        "farther turns are drawn as this one, with `normalize: shape`. null: all turns are drawn as they are",
    )


class Video(Model):
    """The video of a driven face: the driver's frame, the drawing, the output, side by side."""

    lost_frames: Literal["hold", "blank"] = Field(
        "hold", description="what is shown for a frame without a face: the last output, or black; time never shifts"
    )
    visible_mark: bool = Field(
        False,
        description="a small label on every frame says that it is generated; the files' metadata always say so",
    )
    width: int = Field(256, ge=64, le=1024, multiple_of=2, description="pixels of each of the three pictures")


class ReenactmentExperiment(BaseExperiment):
    """Learn one person's face from a video, and drive it with the landmarks of others."""

    family = "reenactment"
    needs = ("crops",)
    applied_keys = ("drawing",)
    item_kind = "drawings"
    item_stage = "draw_landmarks"
    summarized_kinds = ("drawings",)
    drawn_kinds = ("drawings", "driven")
    drawn_with_index = True

    drawing: Drawing = Drawing()
    inference: Literal["deterministic", "published"] = Field(
        "deterministic",
        description="`published`: dropout and the statistics of each picture are on when the network is applied, as in "
        "training; what is dropped is drawn by the item's name",
    )
    video: Video = Video()

    @property
    def shown_folders(self) -> tuple[str, ...]:
        """Return the folders of videos: the target's held-out frames and every driver are shown."""
        return tuple(f"videos/{source}" for source in [*self.test, *self.apply])
