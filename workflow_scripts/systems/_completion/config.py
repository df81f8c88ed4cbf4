"""Keys that the systems share which complete faces with holes."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from workflow_scripts.config.base import Model, UserPath, canonical_json
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import UNetConfig

CELL = 4  # pixels; side of the cells on which landmarks are looked for
# Distance between pictures -> the weights that it needs (`metrics/perceptual.py`).
DISTANCE_WEIGHTS = {
    "efficientnet_lite0": ("efficientnet_lite0",),
    "lpips_alex": ("lpips_alex", "alexnet"),
    "lpips_vgg": ("lpips_vgg", "vgg16"),
}
NEAREST = "nearest"  # the method that pastes the nearest training faces into the hole

Part = Literal["eyes", "nose", "mouth", "lower_half", "face"]
Area = Annotated[float, Field(gt=0, lt=1)]


class Holes(Model):
    """The holes that are cut into faces, drawn by the items' names: those of training, and those of the evaluation."""

    mix: dict[Literal["parts", "box", "strokes"], Annotated[float, Field(ge=0)]] = Field(
        {"parts": 0.4, "box": 0.2, "strokes": 0.4},
        description="weights of the kinds that training items get: hulls of face parts, a box, free-form strokes",
    )
    parts: list[Part] = Field(
        ["eyes", "nose", "mouth", "lower_half", "face"],
        min_length=1,
        description="face parts whose convex hulls are holes, one for each hole",
    )
    margin: float = Field(
        0.05,
        ge=0,
        le=0.5,
        description="hulls are grown on all sides by this, of the longer extent of the face's landmarks, and by up to "
        "thrice this at random, so that a hole's outline does not show what it hides",
    )
    box: Area = Field(0.5, description="side of the box in the centre, of the picture's; published: 0.5")
    classes: list[Annotated[str, Field(pattern=r"^(parts|box|[0-9]{2}-[0-9]{2})$")]] = Field(
        ["parts", "10-20", "20-30", "30-40", "40-50", "50-60"],
        min_length=1,
        description="holes that each item of the evaluation has: `parts`: the hull of a face part; `box`: the box in "
        "the centre; `20-30`: strokes that cover so many percent of the picture",
    )
    variants: int = Field(2, ge=1, description="different holes drawn for each training item")
    given: UserPath | None = Field(
        None,
        description="a folder of pictures whose light pixels are the hole, stretched to the crop; each item of the "
        "evaluation also gets the one of its own name, or one chosen by its name's hash where none has it",
    )

    @field_validator("mix")
    @classmethod
    def _something_is_drawn(cls, mix: dict[str, float]) -> dict[str, float]:
        if not any(mix.values()):
            raise ValueError("a kind needs a weight above 0; write for example `mix: {parts: 0.5, strokes: 0.5}`")
        return mix

    @field_validator("classes")
    @classmethod
    def _ranges_rise(cls, classes: list[str]) -> list[str]:
        for name in classes:
            if name[0].isdigit() and not class_shares(name)[0] < class_shares(name)[1]:
                raise ValueError(f"{name}: the second number must be the larger one; write for example `20-30`")
        if len(set(classes)) < len(classes):
            raise ValueError(f"a class is named twice; write `classes: [{', '.join(dict.fromkeys(classes))}]`")
        return classes


def class_shares(name: str) -> tuple[float, float]:
    """Return the least and the largest share of the picture that the holes of a class such as `20-30` cover."""
    low, high = name.split("-")
    return int(low) / 100, int(high) / 100


class KeypointNetwork(Model):
    """The network that finds the 68 landmarks of a face with a hole, and says how sure it is of each."""

    unet: UNetConfig = UNetConfig(blocks=7, channels=32, max_channels=256)
    training: Training = Training(
        epochs=20,
        learning_rate=2e-3,
        betas=(0.9, 0.999),
        schedule="cosine",
        ema=0.995,
        flip=True,
        jitter=0.2,
    )

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for pictures of `size` pixels that are too small for the network's depth."""
        self.unet.check_size(f"{where}.unet", size // CELL)


class Evaluation(Model):
    """What is completed and how it is scored, by all networks alike."""

    items: int = Field(100, ge=1, description="test items that are completed, chosen by the hash of their names")
    samples: int = Field(12, ge=2, description="completions of each hole")
    knobs: list[Annotated[float, Field(ge=0, le=4)]] = Field(
        [0.0, 0.5, 0.75, 1.0, 1.25],
        min_length=1,
        description="values of the diversity knob for the curve of quality against diversity; it scales the random "
        "numbers that a completion is made of, and 1 is what the networks are trained with",
    )
    curve_items: int = Field(24, ge=1, description="test items that are completed for every value of `knobs`")
    moves: list[Literal["open_mouth", "close_mouth", "smile", "turn_left", "turn_right", "raise_brows"]] = Field(
        ["open_mouth", "turn_left"],
        description="changes of the keypoints that are asked for, to measure whether completions follow",
    )
    distance: Literal["efficientnet_lite0", "lpips_alex", "lpips_vgg"] = Field(
        "efficientnet_lite0",
        description="how the diversity of completions is measured: LPIPS, whose network's weights are yours to give, "
        "or a distance made like it of EfficientNet-Lite0's features, which bears that name",
    )
    features: Literal["none", "efficientnet_lite0"] = Field(
        "efficientnet_lite0",
        description="network whose features give the Fréchet distance, which bears its name: it is not FID",
    )
    min_images: int = Field(2048, ge=2, description="with fewer pictures the Fréchet distance carries a warning")

    @property
    def completing(self) -> str:
        """The keys that say what is completed, without those of the scores, as canonical JSON."""
        return canonical_json(self, {"items", "samples", "knobs", "curve_items", "moves"})


class CompletionExperiment(BaseExperiment):
    """Cut holes into faces, learn to find their keypoints and to complete them in many plausible ways."""

    family = "completion"
    needs = ("crops",)
    item_kind = "holes"
    item_stage = "make_holes"
    summarized_keys = ("evaluation",)
    drawn_keys = ("gallery", "evaluation")

    size: Literal[64, 128, 256] | None = Field(
        None, description="pixels that crops are resized to; null: they stay as they are"
    )
    holes: Holes = Holes()
    keypoints: KeypointNetwork = KeypointNetwork()
    evaluation: Evaluation = Evaluation()

    def check_files(self) -> None:
        """Refuse a folder of holes that is missing or has no picture."""
        if self.holes.given:
            from workflow_scripts.sources._listing import walk

            walk(self.holes.given, "holes.given")

    @property
    def completers(self) -> tuple[str, ...]:
        """The names of the networks that complete faces."""
        raise NotImplementedError

    @property
    def networks(self) -> tuple[str, ...]:
        """Return the networks' names in the order of training."""
        return ("keypoints", *self.completers)

    @property
    def methods(self) -> tuple[str, ...]:
        """Return what completes faces: the networks, and the nearest training faces."""
        return (*self.completers, NEAREST)

    @property
    def summarized_kinds(self) -> tuple[str, ...]:
        """Return the kinds of shards whose pictures give the Fréchet distances."""
        return ("holes", *(f"completed_{method}" for method in self.methods))

    @property
    def drawn_kinds(self) -> tuple[str, ...]:
        """Return the kinds of shards that the figures show."""
        return (*self.summarized_kinds, "keypoints")

    @property
    def score_weights(self) -> tuple[str, ...]:
        """Return the networks that measure how different completions are."""
        return DISTANCE_WEIGHTS[self.evaluation.distance]

    @property
    def summary_weights(self) -> tuple[str, ...]:
        """Return the network whose features give the Fréchet distance."""
        return () if self.evaluation.features == "none" else (self.evaluation.features,)

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kinds of shards that a network is trained on: completing ones learn with true keypoints."""
        return ("holes",)
