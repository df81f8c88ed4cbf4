"""Small scenes of objects that are cut out of scikit-image's photographs, before its textures.

The outlines are ours: a cat, a cup, a person (astronaut Eileen Collins, NASA, public domain), a rocket and coins, each
a polygon in pixels of its photograph. An object is turned, mirrored, scaled and lit at random; the ground is part of a
texture in a colour. In half of the scenes a second object stands before the first, which then loses what is hidden.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from workflow_scripts.core.randomness import item_rng

WIDTH, HEIGHT = 128, 96  # pixels of a scene
GROUNDS = ("brick.png", "grass.png", "gravel.png")
SEED = 0  # the scenes are the same whatever the configuration's seed is


class Outline(NamedTuple):
    """An object in a photograph.

    Attributes:
        category, supercategory: its names.
        file: the photograph.
        points: x, y in pixels of the photograph.
        turn: degrees by which it is turned at most, either way.
    """

    category: str
    supercategory: str
    file: str
    points: tuple[tuple[float, float], ...]
    turn: float


def _circle(x: float, y: float, radius: float) -> tuple[tuple[float, float], ...]:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return tuple((float(x + radius * np.cos(angle)), float(y + radius * np.sin(angle))) for angle in angles)


CAT = (
    *((40, 0), (30, 60), (35, 110), (50, 150), (75, 190), (110, 215), (150, 250), (190, 270), (230, 282), (270, 278)),
    *((300, 255), (315, 225), (330, 195), (350, 165), (362, 140), (360, 75), (385, 25), (398, 0)),
)
CUP = (
    *((77, 205), (85, 160), (110, 115), (145, 85), (178, 70), (190, 50), (215, 28), (250, 18), (285, 17), (320, 20)),
    *((360, 35), (390, 60), (398, 75), (402, 66), (415, 66), (424, 78), (418, 105), (440, 130), (465, 165), (479, 205)),
    *((478, 250), (462, 295), (430, 335), (390, 362), (340, 382), (290, 388), (240, 384), (190, 368), (145, 340)),
    *((105, 300), (85, 255)),
)
PERSON = (
    *((155, 65), (175, 35), (205, 20), (240, 15), (275, 30), (298, 65), (302, 95), (290, 120), (272, 135), (258, 160)),
    *((262, 180), (295, 205), (305, 240), (345, 270), (360, 310), (365, 345), (330, 360), (300, 380), (280, 430)),
    *((275, 511), (40, 511), (22, 480), (22, 430), (30, 340), (40, 290), (75, 245), (110, 220), (115, 190), (130, 165)),
    *((165, 150), (190, 148), (180, 125), (165, 115), (153, 90)),
)
ROCKET = (
    *((322, 126), (312, 140), (310, 175), (311, 185), (314, 195), (312, 407), (331, 407), (333, 195), (335, 185)),
    *((334, 150), (332, 140)),
)
COINS = ((335, 44, 29), (348, 187, 31), (172, 262, 28), (155, 51, 22), (214, 193, 23))
OUTLINES = (
    Outline("cat", "animal", "chelsea.png", CAT, 15),
    Outline("cup", "kitchen", "coffee.png", CUP, 20),
    Outline("person", "person", "astronaut.png", PERSON, 10),
    Outline("rocket", "vehicle", "rocket.jpg", ROCKET, 40),
    *(Outline("coin", "money", "coins.png", _circle(*coin), 180) for coin in COINS),
)
KINDS = tuple(dict.fromkeys((outline.category, outline.supercategory) for outline in OUTLINES))


def read_photographs(folder: Path) -> dict[str, np.ndarray]:
    """Return file -> RGB uint8 (H, W, 3) of all photographs and grounds in scikit-image's folder of data."""
    files = {*GROUNDS, *(outline.file for outline in OUTLINES)}
    return {file: cv2.imread(str(folder / file), cv2.IMREAD_COLOR)[..., ::-1] for file in sorted(files)}


def draw_scene(name: str, photographs: dict[str, np.ndarray]) -> tuple[np.ndarray, list[dict]]:
    """Return a scene RGB uint8 (96, 128, 3), and the category and segmentation of each object, the hindmost first.

    Args:
        name: decides all that is drawn at random.
        photographs: as `read_photographs` returns them.
    """
    rng = item_rng(SEED, name, "scene")
    scene = _ground(rng, photographs)
    drawn: list[tuple[Outline, np.ndarray, np.ndarray]] = []
    for _ in range(int(rng.integers(1, 3))):
        kind = KINDS[int(rng.integers(len(KINDS)))][0]
        choices = [outline for outline in OUTLINES if outline.category == kind]
        outline = choices[int(rng.integers(len(choices)))]
        scene, points, share = _put(scene, outline, photographs[outline.file], rng)
        drawn = [(behind, shape, seen & (share < 0.5)) for behind, shape, seen in drawn]
        drawn.append((outline, points, share >= 0.5))
    return scene, [
        {"category": outline.category, "segmentation": _segmentation(points, seen, number == len(drawn) - 1)}
        for number, (outline, points, seen) in enumerate(drawn)
        if seen.any()
    ]


def _ground(rng: np.random.Generator, photographs: dict[str, np.ndarray]) -> np.ndarray:
    texture = photographs[GROUNDS[int(rng.integers(len(GROUNDS)))]]
    width = int(rng.integers(WIDTH, 2 * WIDTH))
    height = width * HEIGHT // WIDTH
    top, left = int(rng.integers(texture.shape[0] - height + 1)), int(rng.integers(texture.shape[1] - width + 1))
    part = cv2.resize(texture[top : top + height, left : left + width], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.clip(part * rng.uniform(0.35, 1.0, 3), 0, 255)


def _put(
    scene: np.ndarray, outline: Outline, photograph: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scene with the object, its outline (n, 2) there, and the share (96, 128) of each pixel in 0..1."""
    points = np.array(outline.points)
    middle, length = (points.min(0) + points.max(0)) / 2, np.ptp(points, axis=0).max()
    scale, turn = rng.uniform(0.6, 1.0) * HEIGHT / length, np.deg2rad(rng.uniform(-outline.turn, outline.turn))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([mirror, 1.0])
    place = rng.uniform([0.3 * WIDTH, 0.4 * HEIGHT], [0.7 * WIDTH, 0.6 * HEIGHT])
    whole = np.column_stack([matrix, place - matrix @ middle])
    mask = np.zeros(photograph.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1.0)
    # Smoothed as far as a pixel of the scene reaches in the photograph, so that the small object is not jagged.
    blur = max(0.3, 0.4 / scale)
    size, border = (WIDTH, HEIGHT), cv2.BORDER_CONSTANT
    seen = cv2.warpAffine(cv2.GaussianBlur(photograph.astype(np.float32), (0, 0), blur), whole, size, borderMode=border)
    share = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), blur), whole, size, borderMode=border)[..., None]
    light = rng.uniform(0.8, 1.15) * rng.uniform(0.92, 1.08, 3)
    mixed = np.clip(seen * light, 0, 255) * share + scene * (1 - share)
    return mixed, points @ matrix.T + whole[:, 2], share[..., 0]


def _segmentation(points: np.ndarray, seen: np.ndarray, is_foremost: bool) -> list[list[float]] | dict:
    """Return the outline where all of it is seen, and run lengths where something stands before it."""
    if is_foremost:
        return [[round(float(value), 2) for value in points.reshape(-1)]]
    found = coco_mask.encode(np.asfortranarray(seen.astype(np.uint8)))
    return {"size": [HEIGHT, WIDTH], "counts": found["counts"].decode()}
