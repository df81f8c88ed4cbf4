"""The data sets at full size, and the presets that work on them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
VIDEO_SECONDS = 15  # a guess: the length of YFCC100m's videos that were used is not published
VIDEO_BYTES = VIDEO_SECONDS * 250_000  # which the workflow takes for a video of this length


@dataclass(frozen=True)
class Size:
    """A preset at full size.

    Attributes:
        name: of the row.
        preset: file of `presets/`.
        experiment: the one of the preset that is looked at.
        files: how many files of each of its sources there are.
        what: they are, as a word.
    """

    name: str
    preset: str
    experiment: str
    files: dict[str, int]
    what: str

    def config(self) -> dict:
        """Return the preset with this experiment and its sources alone."""
        config = yaml.safe_load((ROOT / "presets" / self.preset).read_text(encoding="utf-8"))
        config["experiments"] = {self.experiment: config["experiments"][self.experiment]}
        config["sources"] = {name: config["sources"][name] for name in self.files}
        return config


SIZES = (
    Size("unmask", "unmask-celeba-best.yaml", "unmask_best", {"celeba": 202_599}, "faces"),
    Size("moustache", "moustache-best.yaml", "moustache_best", {"celeba": 202_599}, "faces"),
    Size("diverse", "diverse-best.yaml", "diverse", {"celeba": 202_599}, "faces"),
    Size("objects", "objects-best.yaml", "objects_best", {"coco": 118_287, "coco_val": 5_000}, "COCO pictures"),
    Size("objects of videos", "objects-videos.yaml", "objects_videos", {"clips": 205_000}, "videos"),
)


def simulate(size: Size, folder: Path, data: Path) -> None:
    """Write the preset as `config.yaml` to `folder`, with empty files below `data` in the place of its data sets.

    Videos are holes of `VIDEO_BYTES`, which take no disk space; COCO has annotation files without entries. What is
    there already is not written again, as several presets work on one data set.
    """
    config = size.config()
    for name, count in size.files.items():
        source = config["sources"][name]
        source["path"] = str(data / SIMULATED[source["type"]](data, source, count))
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _simulate_celeba(data: Path, source: dict, count: int) -> str:
    _fill(data / "celeba/img_align_celeba", (f"{number:06d}.jpg" for number in range(1, count + 1)))
    return "celeba"


def _simulate_coco(data: Path, source: dict, count: int) -> str:
    _fill(data / "coco" / source["set"], (f"{number:012d}.jpg" for number in range(count)))
    (data / "coco/annotations").mkdir(exist_ok=True)
    (data / f"coco/annotations/instances_{source['set']}.json").write_text("{}")
    return "coco"


def _simulate_videos(data: Path, source: dict, count: int) -> str:
    names = [f"{number:06d}.mp4" for number in range(count)]
    _fill(data / "clips", names, VIDEO_BYTES)
    (data / "clips.txt").write_text("\n".join(f"clips/{name}" for name in names))
    return "clips.txt"


def _fill(folder: Path, names: Iterable[str], size: int = 0) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True)
    for name in names:
        with open(folder / name, "wb") as file:
            file.truncate(size)


SIMULATED: dict[str, Callable[[Path, dict, int], str]] = {
    "celeba": _simulate_celeba,
    "coco": _simulate_coco,
    "video": _simulate_videos,
}
