"""Small faces with holes, as shards of the kind `holes`, and a training of a network on them."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from workflow_scripts.core.shards import write_shard
from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.training.data import Items
from workflow_scripts.training.loop import Places, Trainer
from workflow_scripts.training.system import System


def write_holes(folder: Path, face, count: int, size: int) -> Path:
    """Write a shard of one face, each time in other light and with a hole elsewhere; return its path."""
    picture, landmarks = face
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    points = (landmarks * size / len(picture)).astype(np.float32)
    drawing = draw_face(points, size)
    rows = []
    for number in range(count):
        hole = np.zeros((size, size), np.uint8)
        top, left = size // 4 + number, size // 4 - number
        hole[top : top + size // 2, left : left + size // 2 - number] = 255
        target = cv2.convertScaleAbs(small, alpha=1 - number / (2 * count))
        part = target * ((drawing.max(axis=2) > 0) & (hole == 0))[:, :, None].astype(np.uint8)
        rows.append(
            {"item": f"{number}.png", "variant": 0, "target": target, "hole": hole, "drawing": drawing, "part": part}
            | {"landmarks": points}
        )
    colours = (np.uint8, (size, size, 3))
    columns = {"item": pa.string(), "variant": pa.int32(), "hole": (np.uint8, (size, size))}
    columns |= {"target": colours, "drawing": colours, "part": colours, "landmarks": (np.float32, (68, 2))}
    path = folder / "holes/source/00000.arrow"
    path.parent.mkdir(parents=True)
    write_shard(path, rows, columns)
    return path


def items_of(path: Path, system: System, count: int) -> Items:
    """Return the first items of a shard."""
    return Items(
        {column: [path] for column in system.columns}, {("source", f"{number}.png") for number in range(count)}
    )


def batch_of(path: Path, system: System, count: int) -> dict[str, Tensor]:
    """Return the first items of a shard as networks see them, without augmentation."""
    batch = system.to_tensors(items_of(path, system, count).gather(range(count), torch.device("cpu")))
    return batch | system.prepare(batch, list(range(count)))


def train(system: System, settings, path: Path, count: int, folder: Path, device: str = "cpu") -> Trainer:
    """Train on the first items of a shard and watch two; return the trainer, whose networks are trained."""
    places = Places(folder / "curves.parquet", folder / "previews", folder / "resume", folder / "live")
    train, val = items_of(path, system, count), items_of(path, system, 2)
    trainer = Trainer(system, settings, train, val, 1, torch.device(device), device != "cpu", places, "stamp")
    trainer.run()
    return trainer
