"""Keys that are shared by the systems which generate pictures."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Model
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import UNetConfig

RGB, MASKED = "rgb", "masked"  # beginnings of the names of networks without and with a mask channel


class Squares(Model):
    """How annotated pictures, or frames of videos with masks of motion, become the squares that networks learn from."""

    size: Literal[32, 64, 128, 256] = Field(64, description="pixels; published: 64")
    unit: Literal["picture", "object"] = Field(
        "picture", description="what a square shows: a picture with all its masks as one (published), or one object"
    )
    min_area: float = Field(
        0.15,
        ge=0,
        le=1,
        description="fraction of an annotated picture's pixels that must be covered; published: 0.15. Frames of videos "
        "have `motion` instead",
    )
    area_of: Literal["picture", "object"] = Field(
        "picture",
        description="what must cover `min_area`: all masks of a picture together (published), or each mask alone, "
        "where smaller ones are not used",
    )
    fit: Literal["crop", "letterbox"] = Field(
        "crop",
        description="`crop`: the largest square, as near to the middle of the mask as the picture reaches; "
        "`letterbox`: all of it, with black bars",
    )
    margin: float = Field(
        0.1, ge=0, le=1, description="of `unit: object`: room around the object's box on each side, in sides of the box"
    )
    crowds: bool = Field(
        True,
        description="masks of crowds (`iscrowd`) belong to the mask of a picture; they are never objects on their own",
    )
    background: Literal["keep", "black", "grey", "white"] = Field(
        "keep", description="what lies outside the mask: the picture, or one colour (pictures of objects alone)"
    )
    categories: list[str] = Field(
        [],
        description="categories (or supercategories) of the objects that are used, in the order of their labels; "
        "`[]`: all, without labels",
    )
    motion: Literal["filtered", "unfiltered"] = Field(
        "filtered",
        description="frames of videos: `filtered`, those whose moving share is more than `motion.min_area` of the "
        "source and at most `motion.max_area`; `unfiltered`, all. Both sets are published",
    )
    per_shot: int = Field(
        5, ge=1, description="frames of each shot of a video, chosen by the hash of their names; published: 5 to 10"
    )


class SegmentNetwork(Model):
    """The network that finds the object in a picture; it learns from real pictures and judges generated ones."""

    unet: UNetConfig = UNetConfig(blocks=7, channels=32, max_channels=256)
    training: Training = Training(epochs=20, batch_size=32, learning_rate=1e-3, schedule="cosine", flip=True)

    def check_size(self, where: str, size: int) -> None:
        """Accept every size of crops: squares have their own."""


class SampleEvaluation(Model):
    """How generated pictures are scored."""

    samples: int = Field(50_000, ge=8, description="pictures drawn from each network; published: 50000")
    splits: int = Field(10, ge=1, description="parts of the score of predicted classes; published: 10")
    features: list[Literal["efficientnet_lite0", "inception"]] = Field(
        ["efficientnet_lite0"],
        description="networks whose features and classes are compared. Inception Score, FID and KID are those of "
        "`inception`, which needs its weights; those of another network bear that network's name",
    )
    points: int = Field(
        10_000, ge=4, description="pictures of each set, at most, for kernel distance, precision and recall"
    )
    neighbours: int = Field(3, ge=1, description="of precision and recall: a picture's sphere reaches to this one")
    segmentation: bool = Field(
        True, description="train a network on real pairs that finds the object, and compare it with generated masks"
    )
    min_images: int = Field(2048, ge=2, description="with fewer pictures the Fréchet distance carries a warning")


class GenerationExperiment(BaseExperiment):
    """Generate pictures and score them beside held-out ones."""

    family = "generation"
    item_kind = "squares"
    item_stage = "make_objects"
    summarized_kinds = ("squares", "features", "samples")
    summarized_keys = ("evaluation", "channels", "seeds", "train")
    drawn_kinds = ("squares", "samples")
    drawn_keys = ("gallery", "channels", "seeds", "train")

    squares: Squares = Squares()
    channels: list[Literal[3, 4]] = Field(
        [3, 4], min_length=1, max_length=2, description="3: RGB; 4: RGB and the mask. With both, they are compared"
    )
    seeds: int = Field(1, ge=1, le=99, description="networks trained for each number of channels, each from a new seed")
    segment: SegmentNetwork = SegmentNetwork()
    evaluation: SampleEvaluation = SampleEvaluation()

    @property
    def generators(self) -> tuple[str, ...]:
        """Names of the networks that generate: `rgb1`, `rgb2`, …, `masked1`, …; of each kind one for every seed."""
        kinds = [kind for channels, kind in ((3, RGB), (4, MASKED)) if channels in self.channels]
        return tuple(f"{kind}{number}" for kind in kinds for number in range(1, self.seeds + 1))

    @property
    def is_segmented(self) -> bool:
        """Whether a network that finds objects judges generated masks."""
        return self.evaluation.segmentation and 4 in self.channels

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of all networks."""
        return (*(("segment",) if self.is_segmented else ()), *self.generators)

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kind of shards that every network is trained on."""
        return ("squares",)

    def makers_of(self, kind: str) -> tuple[str, ...] | None:
        """Return the networks that make samples."""
        return self.generators if kind == "samples" else None

    def seed_of(self, network: str, seed: int) -> int:
        """Return the seed of a training; the first is the configuration's, the same for 3 and 4 channels."""
        return seed if network == "segment" else seed + 1000 * (number_of(network) - 1)

    def needs_of(self, source: BaseSource) -> tuple[str, ...]:
        """Return that masks come from motion in videos, and from annotations otherwise."""
        return ("pictures", "motion" if hasattr(source, "motion") else "objects")

    @property
    def score_weights(self) -> tuple[str, ...]:
        """Return the networks whose features and classes are compared."""
        return tuple(self.evaluation.features)

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Refuse sources that are only applied, and repeated values."""
        if self.apply:
            raise ValueError(f"{where}.apply: what generates pictures is shown none; leave `apply:` out")
        for key, values in (("channels", self.channels), ("evaluation.features", self.evaluation.features)):
            if len(set(values)) < len(values):
                raise ValueError(f"{where}.{key}: {values} names one twice; write each once")


def number_of(network: str) -> int:
    """Return which of the networks of its kind a generator is, from 1: 2 for `masked2`."""
    return int(network.removeprefix(RGB).removeprefix(MASKED))


def channels_of(network: str) -> int:
    """Return the channels of a generator's pictures, by its name."""
    return 4 if network.startswith(MASKED) else 3
