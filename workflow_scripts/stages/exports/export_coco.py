"""Stage: write the pictures of an experiment with their masks and faces in COCO's layout.

`images/{split}/{number}.png` are the pictures that its networks are shown, `{split}.json` their annotations: the first
mask of its shards (docs/data.md), as of an occluder, a hole or an object, whose category is the column's name, with its
`kind`; and the face with 68 keypoints, where the experiment is of faces. A keypoint below the mask is flagged as
hidden. An entry of `images` also has the `source` and `item`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from workflow_scripts.core import cli
from workflow_scripts.core.coco_files import write_coco
from workflow_scripts.core.files import atomic_folder
from workflow_scripts.core.samples import SPLITS, Sample, Samples, png
from workflow_scripts.core.shards import Shard
from workflow_scripts.faces.coco_faces import FACE, face_annotation, face_category, mask_entry
from workflow_scripts.provenance.stage import Input, Inputs, OutputFolder, stage_command

MASK = FACE + 1  # number of the category
KINDS = ("kind", "category")  # columns that tell what a mask is of
LANDMARKS = "landmarks"
Points = Mapping[tuple[str, str], np.ndarray]  # (source, item) -> landmarks, float32 (68, 2), in pixels of the picture


def export_coco(items: Input, shards: Inputs, output: OutputFolder, crops: Inputs = ()) -> None:
    """Write the folder; what was there is replaced.

    Args:
        items: the splits of the experiment; items of no split are left out.
        shards: of its items, `…/{source}/{shard}.arrow`.
        output: the folder.
        crops: of its sources, `{source}/crops/{shard}.arrow`, which have the landmarks that its shards lack.

    Raises:
        UserError: there is no item.
    """
    samples = Samples(items, shards)
    points = {} if LANDMARKS in samples.layout.arrays else _landmarks_of(crops)
    with atomic_folder(output) as folder:
        for split in SPLITS:
            pictures = folder / "images" / split
            pictures.mkdir(parents=True)
            images = _images(samples.of(split), pictures)
            write_coco(folder / f"{split}.json", images, _categories(samples), _numbered(samples.of(split), points))


def _landmarks_of(crops: Sequence[Path]) -> Points:
    opened = [(path.parents[1].name, Shard(path)) for path in crops]
    return {
        (source, item): shard.tensor(LANDMARKS, row) for source, shard in opened for row, item in enumerate(shard.items)
    }


def _categories(samples: Samples) -> list[dict]:
    first = next(sample for split in SPLITS for sample in samples.of(split))
    mask = _mask_of(first)
    return [face_category(), *([{"id": MASK, "name": mask}] if mask else [])]


def _mask_of(sample: Sample) -> str | None:
    """Return the name of the first mask, None where there is none."""
    return next((name for name, picture in sample.pictures.items() if picture.ndim == 2), None)


def _images(samples: Iterator[Sample], folder: Path) -> Iterator[dict]:
    """Write the first picture of each sample, and yield its entry."""
    for number, sample in enumerate(samples, 1):
        shown = next(iter(sample.pictures.values()))
        name = f"{number:09d}.png"
        (folder / name).write_bytes(png(shown))
        height, width = shown.shape[:2]
        yield {"id": number, "file_name": name, "width": width, "height": height} | {
            key: sample.values[key] for key in ("source", "item")
        }


def _numbered(samples: Iterator[Sample], points: Points) -> Iterator[dict]:
    count = 0
    for image, sample in enumerate(samples, 1):
        for entry in _annotations(sample, points):
            count += 1
            yield {"id": count, "image_id": image} | entry


def _annotations(sample: Sample, points: Points) -> Iterator[dict]:
    """Yield the mask and the face of a sample."""
    height, width = next(iter(sample.pictures.values())).shape[:2]
    covered, mask = np.zeros((height, width), bool), _mask_of(sample)
    if mask:
        covered = sample.pictures[mask] > 127
        kind = next((sample.values[name] for name in KINDS if sample.values.get(name)), None)
        run_lengths = coco_mask.encode(np.asfortranarray(covered.astype(np.uint8)))
        yield mask_entry(run_lengths) | {"category_id": MASK} | ({"kind": kind} if kind else {})
    found = sample.arrays.get(LANDMARKS, points.get((sample.values["source"], sample.values["item"])))
    if found is not None:
        x, y = np.clip(np.rint(found).astype(int), 0, [width - 1, height - 1]).T
        yield face_annotation(found, covered[y, x], width, height)


main = stage_command(export_coco)


if __name__ == "__main__":
    cli.run(main)
