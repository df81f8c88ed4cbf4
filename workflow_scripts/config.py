"""The one typed source of every configuration key.

The JSON schema (`docs/config.schema.json`) and the reference page (`docs/config.md`) are generated from these models by
`make docs`; a test fails when they drift. Only light modules are imported here: the Snakefile loads it at every start.

A system adds its own keys in `systems/{name}/config.py`, as a class `Experiment` derived from `BaseExperiment`.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

PACKAGE = Path(__file__).parent
Fraction = Annotated[float, Field(ge=0, lt=1)]
DETECTOR_WEIGHTS = {"yunet": ("yunet",), "ssd": ("ssd_prototxt", "ssd_caffemodel")}  # keys of `Weights`
Share = Annotated[float, Field(ge=0, le=1)] | None
NAME = r"^[a-z][a-z0-9_]*$"  # sources and experiments become folder names


class Model(BaseModel):
    """A group of keys: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _complete_groups(cls, given: object) -> object:
        """Let a group that is given in part keep the rest of this key's default, which can differ from its class's."""
        if not isinstance(given, dict):
            return given
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return given | {
            name: _completed(defaults[name], value)
            for name, value in given.items()
            if isinstance(defaults.get(name), Model) and isinstance(value, dict)
        }

    def canonical(self) -> str:
        """Return the values, defaults included, as one canonical JSON string: equal settings give equal text."""
        return _canonical(self)


def _completed(default: Model, given: dict) -> dict:
    whole = {name: getattr(default, name) for name in type(default).model_fields}
    return whole | {
        name: _completed(whole[name], value)
        if isinstance(whole.get(name), Model) and isinstance(value, dict)
        else value
        for name, value in given.items()
    }


def _canonical(model: Model, keys: set[str] | None = None) -> str:
    return json.dumps(model.model_dump(mode="json", include=keys), sort_keys=True, separators=(",", ":"))


class Split(Model):
    """How the items of a source are divided. A known person (or block of a video) is never divided."""

    train: float = Field(0.8, ge=0, le=1, description="fraction of groups trained on")
    val: float = Field(0.1, ge=0, le=1, description="fraction of groups watched during training")
    test: float = Field(0.1, ge=0, le=1, description="fraction of groups that only the evaluation sees")

    @model_validator(mode="after")
    def _sums_to_one(self):
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(
                "train + val + test must be 1; write for example `split: {train: 0.8, val: 0.1, test: 0.1}`"
            )
        return self


class Faces(Model):
    """How faces are found."""

    detector: Literal["dlib_hog", "dlib_hog_cnn", "dlib_mmod", "yunet", "ssd"] = Field(
        "dlib_hog_cnn",
        description="`dlib_hog`: dlib's histogram-of-gradients frontal detector; `dlib_hog_cnn`: then, where it finds "
        "no face, dlib's convolutional one, which also finds turned and partly hidden faces, at some 100 ms a picture; "
        "`dlib_mmod`: the convolutional one alone; `yunet`, `ssd`: OpenCV's, with the files named under `weights:`",
    )
    prior: Literal["none", "points", "boxes"] = Field(
        "none",
        description="what the data set itself says of where its faces are, which saves the detector: CelebA's five "
        "`points` or its `boxes`; a picture of which it says nothing goes to the detector",
    )
    min_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of `yunet` and `ssd`: a surer detection is a face; null: 0.8 and 0.95",
    )
    choose: Literal["largest", "central", "score"] = Field(
        "largest",
        description="which of several faces an item stands for; ties go to the higher score, then to the left",
    )
    min_size: int = Field(24, ge=8, description="pixels; a narrower face box counts as no face")
    pad_retry: float = Field(
        0.4,
        ge=0,
        le=1,
        description="when no face is found, try again with this fraction of the size added on every side "
        "(tight crops); 0: do not",
    )
    on_no_face: Literal["quarantine", "whole"] = Field(
        "quarantine",
        description="`whole`: take the whole picture for the face, as in folders of face crops that no detector finds",
    )


class Crop(Model):
    """The square picture of a face that everything later works on."""

    size: int = Field(128, ge=32, le=1024, description="pixels; a multiple of 32")
    frame: Literal["celeba", "face", "head", "whole"] = Field(
        "celeba",
        description="`celeba`: turned, moved and scaled so that eyes, nose and mouth lie where they lie in "
        "aligned CelebA; `face`: so too, but close, from above the brows to below the chin; `head`: a square around "
        "the face box, twice as wide, which in a video moves calmly and is never turned; `whole`: the picture as it "
        "is, resized",
    )

    @field_validator("size")
    @classmethod
    def _multiple_of_32(cls, size: int) -> int:
        if size % 32:
            raise ValueError(f"must be a multiple of 32; write `size: {round(size / 32) * 32 or 32}`")
        return size


class BaseSource(Model):
    """Keys that every source has."""

    subset: float = Field(
        1.0,
        gt=0,
        le=1,
        description="fraction of the items used, chosen by the hash of their names; the rest is no item",
    )
    split: Split = Split()
    faces: Faces = Faces()
    crop: Crop = Crop()
    max_pixels: int = Field(100_000_000, ge=1, description="a larger picture is refused before it is decoded")

    def slice(self, *keys: str) -> str:
        """Return where the source lies and only `keys` as canonical JSON: what one stage depends on."""
        return _canonical(self, {"type", "path", "clip", "set", "clean", "occluded", *keys})


class SampleSource(BaseSource):
    """Real photographs and video frames from small pinned packages, downloaded and checked by the workflow."""

    type: Literal["sample"]


class CelebaSource(BaseSource):
    """CelebA, unpacked or as the official zip; its partition, landmark, attribute and identity files where present."""

    type: Literal["celeba"]
    path: str = Field(
        description="the data set's folder, the folder `img_align_celeba` itself, or `img_align_celeba.zip`"
    )


def _has_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}; write for example `identity: '^([a-z]+)_'`") from error
    if not groups:
        raise ValueError("needs one group around the person's name; write for example `identity: '^([a-z]+)_'`")
    return pattern


PersonPattern = Annotated[str, AfterValidator(_has_group)]


class FolderSource(BaseSource):
    """Any pictures, searched recursively, or an archive of pictures, read in place."""

    type: Literal["folder"]
    path: str = Field(description="the folder, or a `.zip`, `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2` or `.tar.xz`")
    identity: PersonPattern | None = Field(
        None,
        description="regular expression on the path below the folder; its first group is the person's "
        "name, which keeps a person in one split",
    )


class ClipSource(BaseSource):
    """Keys that every source of video frames has."""

    every: int | None = Field(None, ge=1, description="use every n-th frame; either this or `per_second`")
    per_second: float | None = Field(
        None, gt=0, description="use so many frames a second, by presentation time; 1 when `every` is not given either"
    )
    split_by: Literal["hash", "time"] = Field(
        "hash",
        description="`hash`: each block of time goes to a split by the hash of its name; `time`: the beginning of each "
        "clip is trained on, what follows watched, the end tested on, by the fractions of `split`",
    )
    block: float = Field(
        10.0,
        ge=2,
        description="seconds, for `split_by: hash`; frames of one block of time are never divided. The first second of "
        "a block that begins within a shot is `unused`, as it looks like the block before. Longer than a clip: the "
        "clip is not divided",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_pace(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        every, per_second = given.get("every"), given.get("per_second")
        if every is not None and per_second is not None:
            raise ValueError("every and per_second exclude each other; write one of them, for example `per_second: 1`")
        return given if every is not None or per_second is not None else given | {"per_second": 1.0}


class VideoSource(ClipSource):
    """Frames of videos (mp4, m4v, mov, avi, mkv, webm), searched recursively."""

    type: Literal["video"]
    path: str = Field(description="the folder, or one video")
    identity: PersonPattern | None = Field(
        None,
        description="regular expression on the video's path; its first group is the person's name, which keeps a "
        "person in one split, whatever the blocks",
    )

    @model_validator(mode="after")
    def _one_division(self):
        if self.identity is not None and self.split_by == "time":
            raise ValueError(
                "identity keeps a person in one split, split_by: time divides each clip; write one of them, "
                "for example `split_by: time`"
            )
        return self


class SampleVideoSource(ClipSource):
    """Frames of one clip of the embedded sample, downloaded and checked by the workflow."""

    type: Literal["sample_video"]
    clip: Literal["WolfgangLanger_Pexels.mp4", "single_face.mp4"] = Field(
        description="a woman for 20 seconds, or a man for 3"
    )


class CocoSource(BaseSource):
    """One set of COCO's pictures, of 2014 or 2017, as officially unpacked, or any data set in COCO's format."""

    type: Literal["coco"]
    path: str = Field(description="the folder that holds `annotations/` and the folders of the pictures")
    set: str = Field(description="the pictures' folder below `path`, as `val2017`; with `annotations`, also `.`")
    annotations: tuple[str, ...] = Field(
        (),
        description="annotation files below `path`; without them `instances_`, `person_keypoints_` and `captions_` of "
        "the set in `annotations/`, those that are there",
    )


class PairsSource(BaseSource):
    """Two folders, the same faces bare and occluded, matched by the number in the file name: nothing is drawn."""

    type: Literal["pairs"]
    clean: str = Field(description="folder of bare faces")
    occluded: str = Field(description="folder of the same faces with an occluder")
    split: Split = Split(train=0, val=0, test=1)


Source = Annotated[
    SampleSource | SampleVideoSource | CelebaSource | CocoSource | FolderSource | VideoSource | PairsSource,
    Field(discriminator="type"),
]


class Training(Model):
    """One network's training: the keys of the loop that all systems share."""

    epochs: int = Field(20, ge=1, description="passes over the training items; raising it later continues the training")
    batch_size: int = Field(16, ge=1, description="items of a step")
    learning_rate: float = Field(2e-4, gt=0, description="of Adam")
    betas: tuple[Fraction, Fraction] = Field((0.5, 0.999), description="of Adam")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="of the learning rate; `cosine` falls to 1 % at the end"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="`auto`: bf16 where the device computes it natively, else fp32"
    )
    channels_last: bool = Field(True, description="memory layout in which convolutions are fastest")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights, which is then what is saved and tested; 0: none",
    )
    clip: float = Field(0.0, ge=0, description="largest norm of the generator's gradient; 0: unlimited")
    flip: bool = Field(False, description="mirror half of the training items")
    enlarge: float = Field(
        1.0,
        ge=1,
        le=2,
        description="a training item is enlarged by this, and a window of its old size at a random place is shown; "
        "published by pix2pix: 1.117 (286 of 256 pixels); 1: none",
    )
    move: float = Field(
        0.0,
        ge=0,
        le=0.3,
        description="largest shift (of the side), turn (in radians) and relative change of size of a training item",
    )
    jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="largest relative change of brightness, contrast and each colour of a training item",
    )
    preview_items: int = Field(6, ge=0, description="validation items drawn after epochs")
    preview_every: int = Field(1, ge=1, description="epochs between previews")
    preview_steps: int = Field(0, ge=0, description="steps between further previews; 0: none but those after epochs")
    save_every: int = Field(500, ge=1, description="steps between resume states, which hold all networks")
    threads: int = Field(
        2,
        ge=1,
        description="CPU threads; the weights depend on their number, which therefore is not the machine's",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="`auto`: CUDA when the job was given a GPU, else CPU, and the log says which"
    )


class Fit(Model):
    """When a drawn occluder counts as badly placed and its item goes to quarantine."""

    min_area: Share = Field(
        None, description="smallest fraction of the crop that it covers; null: the kind's own limit"
    )
    max_area: Share = Field(None, description="largest fraction of the crop that it covers; null: the kind's own")
    min_mouth: Share = Field(None, description="smallest fraction of the mouth that it covers; null: the kind's own")
    max_mouth: Share = Field(None, description="largest fraction of the mouth that it covers; null: the kind's own")
    max_eyes: Share = Field(None, description="largest fraction of the eyes that it covers; null: the kind's own")
    max_nostrils: Share = Field(
        None, description="largest fraction of the nose's underside that it covers; null: the kind's own"
    )
    min_face: float = Field(0.2, ge=0, le=1, description="smallest width of the face, as a fraction of the crop's")
    max_outside: float = Field(
        0.2, ge=0, le=1, description="largest fraction of the lower face's landmarks that lie outside the crop"
    )
    max_turn: float = Field(
        0.8,
        ge=0,
        le=1,
        description="largest difference between the widths of the face's sides, as a fraction of their sum",
    )


class Occluders(Model):
    """What is put on the faces."""

    mix: dict[str, float] = Field(
        {"surgical": 0.5, "cloth": 0.25, "kn95": 0.25},
        description="share of each kind; a kind is a file of `workflow_scripts/occluders/`",
    )
    variants: int = Field(1, ge=1, description="different occluders drawn for each training item; a test item has one")
    unless: list[str] = Field(
        [],
        description="CelebA attributes of faces on which nothing is drawn, for example `[Mustache, Goatee]`; a face "
        "whose attributes are unknown is drawn on",
    )
    pictures: str | None = Field(
        None, description="folder of your own pictures with transparency, for the kind `moustache_picture`"
    )
    style: Literal["plain", "varied"] = Field(
        "varied",
        description="`plain`: few colours and shapes, flat light, as the published tool; `varied`: all "
        "colours, fabrics, folds, wear and light",
    )
    fit: Fit = Fit()

    @model_validator(mode="after")
    def _pictures_where_they_are_drawn(self):
        if ("moustache_picture" in self.mix) != (self.pictures is not None):
            raise ValueError(
                "`pictures:` and the kind `moustache_picture` belong together; "
                "write for example `mix: {moustache_picture: 1.0}` and `pictures: data/moustaches`"
            )
        return self

    @field_validator("mix")
    @classmethod
    def _known_kinds(cls, mix: dict[str, float]) -> dict[str, float]:
        known = occluder_kinds()
        for kind in mix:
            if kind not in known:
                raise ValueError(f"unknown kind {kind!r}; known: {', '.join(known)}")
        if not mix or min(mix.values()) < 0 or abs(sum(mix.values()) - 1) > 1e-6:
            raise ValueError(
                "shares must not be negative and must add up to 1; "
                "write for example `mix: {surgical: 0.5, cloth: 0.25, kn95: 0.25}`"
            )
        return mix


class Difference(Model):
    """How a map is made: absolute difference, threshold, opening; a predicted map is cleaned by the same opening."""

    drawn: Literal["difference", "coverage"] = Field(
        "difference",
        description="what the map of a drawn occluder shows: `difference`, as for given pairs, or `coverage`: where "
        "the occluder itself lies, which stays whole where it has the colour of what is below it",
    )
    threshold: int = Field(6, ge=0, le=255, description="a grey difference above this, of 255, belongs to the occluder")
    opening: int = Field(3, ge=0, description="side of the square structuring element in pixels; 0: no opening")


class Evaluation(Model):
    """How outputs are scored."""

    features: Literal["none", "efficientnet_lite0"] = Field(
        "efficientnet_lite0",
        description="network whose features give the Fréchet distance, which bears its name: it is not FID",
    )
    min_images: int = Field(2048, ge=2, description="with fewer pictures the Fréchet distance carries a warning")


class Presence(Model):
    """A score of the map network as a detector: area under ROC of the predicted area, occluded against bare faces."""

    occluded: str = Field(description="an applied source of occluded faces")
    bare: str = Field(description="an applied source of bare faces")


class BaseExperiment(Model):
    """Keys that every experiment has."""

    system: str
    train: list[str] = Field([], description="sources whose `train` items are trained on and `val` items watched")
    test: list[str] = Field(
        [],
        description="sources whose `test` items are scored; their pictures and people never enter training",
    )
    apply: list[str] = Field([], description="sources without truth that the trained networks are applied to")
    score_train: int = Field(
        64, ge=0, description="training items scored too, to show the gap between training and test"
    )
    gallery: int = Field(12, ge=1, description="items shown in the report's galleries")

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, in the order in which they are trained."""
        raise NotImplementedError

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kinds of shards that a network is trained on: folders of `results/{experiment}/`."""
        raise NotImplementedError

    def keys_of(self, network: str) -> tuple[str, ...]:
        """Return the keys that a network's training depends on."""
        return (network,)

    def weights_of(self, network: str) -> tuple[str, ...]:
        """Return the names of the pretrained networks that a network's training needs."""
        return ()

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Raise `ValueError` for keys that are each valid but impossible together; `where` names the experiment."""

    def slice(self, *keys: str) -> str:
        """Return only `keys` as canonical JSON: what one stage depends on; everything else is left at its default."""
        return _canonical(self, {"system", *keys})


def occluder_kinds() -> list[str]:
    """Return the kinds of occluder: the files of `occluders/` (a name with `_` in front is shared code)."""
    return sorted(m.name for m in pkgutil.iter_modules([str(PACKAGE / "occluders")]) if not m.name.startswith("_"))


def experiment_types() -> tuple[type[BaseExperiment], ...]:
    """Return the experiment models of all systems: the class `Experiment` of each `systems/{name}/config.py`.

    A name with `_` in front is shared code.
    """
    names = sorted(
        m.name for m in pkgutil.iter_modules([str(PACKAGE / "systems")]) if m.ispkg and not m.name.startswith("_")
    )
    return tuple(importlib.import_module(f"workflow_scripts.systems.{name}.config").Experiment for name in names)


class Weights(Model):
    """Paths of weights that the user has."""

    vgg19: str | None = Field(
        None, description="torchvision's `vgg19-dcbb9e9d.pth`; used only when its SHA-256 is the published one"
    )
    yunet: str | None = Field(None, description="OpenCV's `face_detection_yunet_2023mar.onnx`")
    ssd_prototxt: str | None = Field(None, description="`deploy.prototxt` of OpenCV's ResNet-10 SSD")
    ssd_caffemodel: str | None = Field(
        None, description="`res10_300x300_ssd_iter_140000.caffemodel` of OpenCV's ResNet-10 SSD"
    )

    def of_detector(self, detector: str) -> dict[str, str | None]:
        """Return the paths, by their keys, of the weights that a detector of `Faces.detector` needs."""
        return {key: getattr(self, key) for key in DETECTOR_WEIGHTS.get(detector, ())}
