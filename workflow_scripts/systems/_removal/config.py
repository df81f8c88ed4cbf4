"""Keys that are shared by the systems which find an occluder and paint what is below it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from workflow_scripts.config.base import Fraction, Model
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import HoleFlowConfig, UNetConfig, compared
from workflow_scripts.occluders._config import Occluders

# What an editing network is shown inside the predicted map.
Fill = Literal["noise", "grey", "mean", "around", "none"]


class Difference(Model):
    """How a map is made: absolute difference, threshold, opening; a predicted map is cleaned by the same opening."""

    drawn: Literal["difference", "coverage"] = Field(
        "difference",
        description="what the map of a drawn occluder shows: `difference`, as for given pairs, or `coverage`: where "
        "the occluder itself lies, which stays whole where it has the colour of what is below it",
    )
    threshold: int = Field(6, ge=0, le=255, description="a grey difference above this, of 255, belongs to the occluder")
    opening: int = Field(3, ge=0, description="side of the square structuring element in pixels; 0: no opening")


class Border(Model):
    """Where what is painted ends, in pixels of the crop. It belongs to the network, which is trained with it."""

    margin: int = Field(
        0,
        ge=0,
        le=16,
        description="the predicted map is widened by this before what is below it is painted, because rims and seams "
        "of an occluder lie just outside of it; published: 0",
    )
    feather: float = Field(
        0.0,
        ge=0,
        le=32,
        description="beyond that, what is painted fades into the picture over this distance; published: 0",
    )


class Painter(Model):
    """What editing networks of all systems share."""

    border: Border = Border()
    mirror: bool = Field(
        False, description="a trained network's answer is the mean of those for the picture and its mirror image"
    )
    sampling: HoleFlowConfig | None = Field(
        None,
        description="a flow that leads from the editing network's answer, which lies between all possible faces, to "
        "one of them; null and published: none",
    )

    @model_validator(mode="after")
    def _sampling_has_its_own_noise(self):
        if self.sampling is not None and self.fill == "noise":
            raise ValueError("`sampling` draws noise of its own; write `fill: none` or `fill: around`")
        return self

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for crops of `size` pixels that do not fit the network."""
        self.check_painter_size(where, size)
        if self.sampling is not None:
            self.sampling.check_size(f"{where}.sampling", size)

    def check_painter_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for crops of `size` pixels that do not fit the network beside its flow."""
        raise NotImplementedError


class Evaluation(Model):
    """How outputs are scored."""

    features: Literal["none", "efficientnet_lite0"] = Field(
        "efficientnet_lite0",
        description="network whose features give the Fréchet distance, which bears its name: it is not FID",
    )
    recognition: Literal["none", "faceres"] = Field(
        "none",
        description="a network beside dlib's by which the identity of outputs is also told; `faceres` needs "
        "`weights: {faceres: …}`",
    )
    min_images: int = Field(2048, ge=2, description="with fewer pictures the Fréchet distance carries a warning")
    samples: int = Field(
        8, ge=1, le=64, description="with `edit.sampling`: pictures that are made of each item; the first is the result"
    )
    diversity: float = Field(
        1.0,
        ge=0,
        le=4,
        description="with `edit.sampling`: scales the random numbers that they are made of; 1 is what the network is "
        "trained with, at 0 all are alike",
    )


class Presence(Model):
    """A score of the map network as a detector: area under ROC of the predicted area, occluded against bare faces."""

    occluded: str = Field(description="an applied source of occluded faces")
    bare: str = Field(description="an applied source of bare faces")


class Degradation(Model):
    """Shares of the training items that the map network sees as bad light, cameras and files show them.

    The map stays as it is. An item can meet several.
    """

    grey: Fraction = Field(0.06, description="in shades of grey, or toned as old prints are")
    tint: Fraction = Field(0.08, description="under a strongly coloured light")
    expose: Fraction = Field(0.1, description="too dark or too light")
    blur: Fraction = Field(0.04, description="out of focus")
    reduce: Fraction = Field(0.04, description="enlarged from a picture two to six times as small")
    noise: Fraction = Field(0.05, description="with grain")
    jpeg: Fraction = Field(0.05, description="from a JPEG file of quality 5 to 60")


class MapNetwork(Model):
    """The network that finds the occluder."""

    channels: Literal["grey", "rgb"] = Field("rgb", description="what it sees; published: `grey`")
    unet: UNetConfig = UNetConfig(channels=32, max_channels=512)
    bare: float = Field(
        0.15,
        ge=0,
        lt=1,
        description="fraction of the training items shown without their occluder, with an empty map, so that a bare "
        "face is not taken for an occluded one; published: 0",
    )
    mirror: bool = Field(
        False, description="a trained network's answer is the mean of those for the picture and its mirror image"
    )
    degrade: Degradation | None = Field(
        None,
        description="training items are shown worse than they are; `{}`: with the shares below; null and published: "
        "not",
    )
    far: Fraction = Field(
        0.0,
        description="fraction of the training items seen from 1.5 to 4 times as far away, with copies around "
        "them, and their maps alike; published: 0",
    )
    dice: float = Field(0.0, ge=0, description="weight of a Dice loss beside the binary cross entropy; published: 0")
    training: Training = Training(
        epochs=20, learning_rate=1e-3, betas=(0.9, 0.999), schedule="cosine", flip=True, jitter=0.2, clip=1.0
    )

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for crops of `size` pixels that are too small for the network's depth."""
        self.unet.check_size(f"{where}.unet", size)


class RemovalExperiment(BaseExperiment):
    """Put occluders on faces, learn to find them and to take them off; score on faces never seen."""

    family = "removal"
    needs = ("crops",)
    applied_keys = ("difference",)
    item_kind = "pairs"
    item_stage = "make_pairs"
    summarized_kinds = ("pairs", "outputs")
    summarized_keys = ("evaluation", "apply", "presence")
    drawn_kinds = ("pairs", "maps", "outputs")
    drawn_keys = ("gallery", "train", "test", "apply", "presence")

    occluders: Occluders = Occluders()
    difference: Difference = Difference()
    presence: Presence | None = Field(None, description="score the map network as a detector of occluders")
    map: MapNetwork = MapNetwork()
    evaluation: Evaluation = Evaluation()

    @property
    def networks(self) -> tuple[str, ...]:
        """Return the networks' names in the order of training."""
        return ("map", "edit")

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kinds of shards that a network is trained on: `edit` learns on the maps that `map` predicts."""
        return ("pairs",) if network == "map" else ("pairs", "maps")

    def weights_of(self, network: str) -> tuple[str, ...]:
        """Return the pretrained networks that a network's training needs."""
        if network == "map":
            return ()
        names = compared(self.edit.perceptual, self.edit.losses.perceptual)
        if self.edit.sampling is not None:
            names += compared(self.edit.sampling.perceptual, self.edit.sampling.perceptual_weight)
        return tuple(dict.fromkeys(names))

    def beside(self, network: str) -> tuple[str, ...]:
        """Return the map network, which tells the editing network where to paint."""
        return ("map",) if network == "edit" else ()

    @property
    def samples(self) -> int:
        """Return how many pictures are made of each item."""
        return self.evaluation.samples if self.edit.sampling is not None else 1

    @property
    def diversity(self) -> float:
        """Return the factor of the random numbers that they are made of."""
        return self.evaluation.diversity if self.edit.sampling is not None else 1.0

    @property
    def score_weights(self) -> tuple[str, ...]:
        """Return the network, beside dlib's, that tells who somebody is."""
        return () if self.evaluation.recognition == "none" else (self.evaluation.recognition,)

    @property
    def summary_weights(self) -> tuple[str, ...]:
        """Return the network whose features give the Fréchet distance."""
        return () if self.evaluation.features == "none" else (self.evaluation.features,)

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Refuse a score of sources that are not applied."""
        if self.presence is not None:
            for key, source in (("occluded", self.presence.occluded), ("bare", self.presence.bare)):
                if source not in self.apply:
                    raise ValueError(f"{where}.presence.{key}: {source!r} is not applied; add it: `apply: [{source}]`")

    def check_files(self) -> None:
        """Refuse pictures of occluders that cannot be drawn."""
        if self.occluders.pictures:
            from workflow_scripts.occluders._pictures import list_pictures, read_pictures

            read_pictures(list_pictures(Path(self.occluders.pictures)), self.occluders.mix)
