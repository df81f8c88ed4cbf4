"""Stage: draw the scenes of `sample_objects` of scikit-image's photographs, and write their objects as COCO does."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path, write_json
from workflow_scripts.provenance.stage import Output, OutputFolder, stage_command
from workflow_scripts.sources._object_scenes import HEIGHT, KINDS, WIDTH, draw_scene, read_photographs
from workflow_scripts.sources.sample_objects import NAMES


def draw_sample_objects(pictures: OutputFolder, annotations: Output) -> None:
    """Draw all scenes.

    Args:
        pictures: the folder of PNG files.
        annotations: `images`, `categories` and `annotations`; written last, so its presence says that all are there.
    """
    cv2.setNumThreads(1)
    photographs = read_photographs(Path(importlib.util.find_spec("skimage").origin).parent / "data")
    ids = {category: number for number, (category, _) in enumerate(KINDS, 1)}
    images, entries = [], []
    for number, name in enumerate(NAMES, 1):
        scene, objects = draw_scene(name, photographs)
        with atomic_path(pictures / name) as temporary:
            Image.fromarray(np.rint(scene).astype(np.uint8)).save(temporary, format="PNG")
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for found in objects:
            entry = {"id": len(entries) + 1, "image_id": number, "category_id": ids[found["category"]], "iscrowd": 0}
            entries.append(entry | {"segmentation": found["segmentation"]})
    categories = [{"id": ids[name], "name": name, "supercategory": above} for name, above in KINDS]
    write_json(annotations, {"images": images, "categories": categories, "annotations": entries})


main = stage_command(draw_sample_objects)


if __name__ == "__main__":
    cli.run(main)
