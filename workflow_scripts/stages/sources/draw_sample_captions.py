"""Stage: make the pictures of `sample_captions` of scikit-image's pictures, and write their captions."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path, write_text
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.provenance.stage import Output, OutputFolder, stage_command
from workflow_scripts.sources._captioned_scenes import COLOURS, SCENES, SEED, SIDE, STRIPS, Scene


def draw_sample_captions(pictures: OutputFolder, captions: Output) -> None:
    """Draw all pictures.

    Args:
        pictures: the folder of PNG files.
        captions: the table, as `imagefolder` has it, but beside the folder; written last, so its presence says that
            all pictures are there.
    """
    cv2.setNumThreads(1)
    data = Path(importlib.util.find_spec("skimage").origin).parent / "data"
    originals = {scene.origin: np.array(Image.open(data / scene.origin).convert("RGB")) for scene in SCENES}
    for scene in SCENES:
        with atomic_path(pictures / scene.file) as temporary:
            Image.fromarray(draw_scene(scene, originals[scene.origin])).save(temporary, format="PNG")
    rows = ({"file_name": scene.file, "text": scene.caption} for scene in SCENES)
    write_text(captions, "".join(json.dumps(row) + "\n" for row in rows))


def draw_scene(scene: Scene, original: np.ndarray) -> np.ndarray:
    """Return a picture RGB uint8 (SIDE, SIDE, 3) of a photograph or grey texture, RGB uint8 (H, W, 3)."""
    if scene.box:
        left, top, side = scene.box
        return cv2.resize(original[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    rng = item_rng(SEED, scene.file, "texture")
    # A group has a strip of its own, so that no pixel of what is held out is trained on.
    height = original.shape[0] // STRIPS
    top, left = int(scene.group.rpartition("_")[2]) * height, int(rng.integers(0, original.shape[1] - height))
    part = original[top : top + height, left : left + height].astype(np.float32) / 255
    part = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    light = float(rng.uniform(0.7, 1.2)) * (0.5 + part)
    return np.clip(light * np.float32(COLOURS[scene.colour]), 0, 255).astype(np.uint8)


main = stage_command(draw_sample_captions)


if __name__ == "__main__":
    cli.run(main)
