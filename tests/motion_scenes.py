"""Rendered scenes of one moving object, with the truth: a textured disc over a textured background."""

from pathlib import Path

import cv2
import numpy as np

from workflow_scripts.reporting.films import write_mp4

HEIGHT, WIDTH = 120, 160
MARGIN = 60  # pixels of background beyond the picture


def texture(seed: int, height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    """Return a smooth random texture around a colour, RGB uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    fine, coarse = (cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), sigma) for sigma in (1.2, 6))
    return np.clip(np.array(colour) + 14 * fine / fine.std() + 20 * coarse / coarse.std(), 0, 255).astype(np.uint8)


def camera_path(kind: str, frames: int) -> np.ndarray:
    """Return where the camera looks in each frame, (n, 2), x and y in pixels."""
    if kind == "static":
        return np.zeros((frames, 2))
    if kind == "translating":
        return np.arange(frames)[:, None] * (2.0, 0.7)
    return np.random.default_rng(5).normal(0, 2.5, (frames, 2))  # a hand that shakes


def render(camera: str, frames: int = 16, pause: int = 0, colour=(190, 120, 60)) -> tuple[np.ndarray, np.ndarray]:
    """Return a scene, RGB uint8 (n, H, W, 3), and where the object is, bool (n, H, W).

    Args:
        camera: `static`, `translating` or `shaking`.
        frames: how many.
        pause: frames at the beginning in which the object rests.
        colour: of the object.
    """
    around = texture(1, HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, (70, 110, 130))
    skin = texture(2, HEIGHT, WIDTH, colour)
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pictures, truths = [], []
    for number, look in enumerate(camera_path(camera, frames)):
        steps = max(number - pause, 0)
        centre = np.array([60, 60]) + steps * np.array([2.2, -0.8]) - (look if camera == "shaking" else 0)
        truth = ((x - centre[0]) / 26) ** 2 + ((y - centre[1]) / 20) ** 2 < 1
        move = np.float32([[1, 0, -MARGIN - look[0]], [0, 1, -MARGIN - look[1]]])
        picture = cv2.warpAffine(around, move, (WIDTH, HEIGHT))
        worn = cv2.warpAffine(skin, np.float32([[1, 0, centre[0] - 60], [0, 1, centre[1] - 60]]), (WIDTH, HEIGHT))
        picture = np.where(truth[..., None], worn, picture) + rng.normal(0, 2, picture.shape)
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        truths.append(truth)
    return np.stack(pictures), np.stack(truths)


def write_clip(path: Path, pictures: np.ndarray, per_second: float = 25) -> Path:
    """Write pictures as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, [(number / per_second, picture) for number, picture in enumerate(pictures)])
    return path


def write_davis(root: Path, sequences: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write sequences of pictures and truths in the layout of DAVIS, and a list of all of them as `480p/val`."""
    lines = []
    for name, (pictures, truths) in sequences.items():
        for folder in ("JPEGImages", "Annotations"):
            (root / folder / "480p" / name).mkdir(parents=True)
        for number, (picture, truth) in enumerate(zip(pictures, truths, strict=True)):
            frame = f"480p/{name}/{number:05d}"
            cv2.imwrite(str(root / f"JPEGImages/{frame}.jpg"), picture[..., ::-1])
            cv2.imwrite(str(root / f"Annotations/{frame}.png"), truth.astype(np.uint8) * 255)
            lines.append(f"/JPEGImages/{frame}.jpg /Annotations/{frame}.png\n")
    (root / "ImageSets/480p").mkdir(parents=True)
    (root / "ImageSets/480p/val.txt").write_text("".join(lines))
    return root
