"""Faces that are drawn: made up landmarks, clips of them, and the stage that draws them."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import INDEX, read_table, write_table
from workflow_scripts.faces.alignment import fit_similarity, transform_points
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.stages.reenactment import draw_landmarks

SIZE = 256
FACE = (CELEBA_LANDMARKS - CELEBA_LANDMARKS.mean(axis=0)) * 1.2 + SIZE / 2
LOWER_LIP, CHIN, LOWER_LIDS = [*range(55, 60), 65, 66, 67], [*range(5, 12)], [40, 41, 46, 47]


def with_lips(face: np.ndarray, opening: float) -> np.ndarray:
    """A face with its mouth opened by so many pixels, or shut where `opening` is 0."""
    opened = face.copy()
    gap = (face[[67, 66, 65], 1] - face[[61, 62, 63], 1]).mean()
    opened[LOWER_LIP, 1] += opening - gap
    opened[CHIN, 1] += opening - gap
    return opened


def lips(faces: np.ndarray) -> np.ndarray:
    """The mean opening of the mouth in pixels."""
    return np.linalg.norm(faces[..., [67, 66, 65], :] - faces[..., [61, 62, 63], :], axis=-1).mean(axis=-1)


def posed(face: np.ndarray, degrees: float, scale: float, move: tuple[float, float]) -> np.ndarray:
    """A face turned, scaled and moved about the middle of the crop."""
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), degrees, scale)
    turn[:, 2] += move
    return transform_points(turn, face)


def clip_of(face: np.ndarray, count: int = 60) -> np.ndarray:
    """Somebody who speaks and moves his head, (count, 68, 2)."""
    frames = []
    for number in range(count):
        turn = 2 * np.pi * number / count
        opened = with_lips(face, max(0.0, 12 * np.sin(4 * turn)))
        frames.append(posed(opened, 8 * np.sin(turn), 1 + 0.05 * np.sin(2 * turn), (9 * np.sin(turn), 0)))
    return np.array(frames)


WIDE = with_lips((FACE - SIZE / 2) * (1.2, 0.95) + SIZE / 2, 0)
NARROW = with_lips((FACE - SIZE / 2) * (0.85, 1.1) + SIZE / 2 + (0, 6), 0)


def shape_distance(one: np.ndarray, other: np.ndarray) -> float:
    """How far the points of two faces are apart, after turning, scaling and moving, over the width of the face."""
    fitted = transform_points(fit_similarity(one, other), one)
    return float(np.linalg.norm(fitted - other, axis=1).mean() / np.ptp(other[:, 0]))


def write_clip_of(folder: Path, frames: np.ndarray, step: float = 0.04, shots=None) -> tuple[Path, Path]:
    """Write the index and the crops of one clip with these landmarks."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    rows, crops = [], []
    for number, points in enumerate(frames):
        item = f"clip.mp4#{number:06d}"
        rows.append({"item": item, "file": "clip.mp4", "frame": number, "time": step * number})
        rows[-1]["shot"] = shots[number] if shots else 0
        image = rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)
        crops.append({"item": item, "image": image, "landmarks": points.astype(np.float32)})
    write_table(folder / "index.parquet", rows, INDEX)
    columns = {"item": pa.string(), "image": (np.uint8, (SIZE, SIZE, 3)), "landmarks": (np.float32, (68, 2))}
    write_shard(folder / "clip/crops/00000.arrow", crops, columns)
    return folder / "index.parquet", folder / "clip/crops/00000.arrow"


def draw(folder: Path, paths: tuple[Path, Path], *further: object, config: str = "{}") -> tuple[Shard, list]:
    """Run the stage by its command; return the drawings and the rows set aside."""
    output, lost = folder / "drawings.arrow", folder / "lost.parquet"
    arguments = ["--drawing", config, "--index", paths[0], "--crops", paths[1], *further]
    draw_landmarks.main([*map(str, arguments), "--output", str(output), "--quarantine", str(lost)])
    return Shard(output), list(read_table(lost).itertuples())
