"""Holes in faces: where they lie, how much they cover, that they depend on the item alone, and those that are given."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from workflow_scripts.core import cli
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import INDEX, read_table, write_table
from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.stages.completion.make_holes import make_holes
from workflow_scripts.systems._completion.config import Holes, class_shares
from workflow_scripts.systems._completion.guides import hidden_points
from workflow_scripts.systems._completion.holes import PARTS, box_hole, class_hole, face_area, part_hole, stroke_hole
from workflow_scripts.systems.diverse.config import Experiment

SIZE = 64
FACE = ((CELEBA_LANDMARKS - CELEBA_LANDMARKS.mean(axis=0)) * 0.5 + SIZE / 2).astype(np.float32)
CLASSES = Holes().classes


def hidden(part: str, margin: float = 0.05) -> set[int]:
    """The numbers of the landmarks that lie in the hull of a part."""
    return set(np.flatnonzero(hidden_points(FACE, part_hole(part, FACE, SIZE, margin))).tolist())


@pytest.mark.parametrize("part", PARTS)
def test_a_hull_holds_all_of_its_part(part):
    assert hidden(part) >= set(PARTS[part])


def test_hulls_hide_what_their_names_say():
    eyes, mouth, jaw = set(range(36, 48)), set(range(48, 68)), set(range(3, 14))
    assert hidden("eyes").isdisjoint(mouth | jaw)
    assert hidden("mouth").isdisjoint(eyes | jaw | set(groups.numbers(groups.NOSE)))
    assert hidden("nose").isdisjoint(mouth | jaw)
    assert hidden("lower_half") >= mouth | jaw and hidden("lower_half").isdisjoint(eyes)
    assert hidden("face") == set(range(68))


def test_a_hull_grows_by_its_margin_on_all_sides():
    margin = 4 / np.ptp(FACE, axis=0).max()  # four pixels
    bare, grown = (part_hole("mouth", FACE, SIZE, m) for m in (0, margin))
    away = cv2.distanceTransform((~bare).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert grown[away <= 3].all() and not grown[away > 5].any()


def test_the_hull_of_a_profile_is_a_hole():
    profile = FACE.copy()
    profile[:, 0] = SIZE / 2
    for part in PARTS:
        assert part_hole(part, profile, SIZE, 0.05).sum() > 3 * np.ptp(profile[PARTS[part], 1])


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("name", [*(name for name in CLASSES if name != "parts"), "90-95", "10-11"])
def test_strokes_cover_a_share_of_their_class(name, size):
    low, high = class_shares(name)
    faces = FACE * size / SIZE
    shares = [stroke_hole(faces, size, (low, high), item_rng(1, str(n), "")).mean() for n in range(12)]
    assert low <= min(shares) and max(shares) < high
    assert np.ptp(shares) > 0.4 * (high - low)  # all of the class, not its lower end


def test_strokes_begin_in_the_face():
    small = 0.4 * FACE  # in a corner of the picture
    for number in range(24):
        hole = stroke_hole(small, SIZE, (0.1, 0.2), item_rng(1, str(number), ""))
        assert hole[face_area(small, SIZE)].any()


def test_box_in_the_centre():
    rows, columns = np.nonzero(box_hole(SIZE, 0.5))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 47, 16, 47) and len(rows) == 32 * 32


def test_a_part_beyond_the_crop_is_not_drawn():
    low = FACE + np.float32([0, 28])  # mouth and chin are below the border
    drawn = {class_hole("parts", Holes(), low, SIZE, item_rng(1, str(n), "")).shape for n in range(40)}
    assert "eyes" in drawn and "mouth" not in drawn
    with pytest.raises(cli.BadItem, match="no face part"):
        class_hole("parts", Holes(), FACE + 500, SIZE, item_rng(1, "", ""))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mix": {"parts": 0}}, "weight above 0"),
        ({"classes": ["30-20"]}, "must be the larger"),
        ({"classes": ["box", "box"]}, "named twice"),
        ({"classes": ["strokes"]}, "pattern"),
    ],
)
def test_impossible_keys_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        Holes(**keys)


class Made:
    """What `make_holes` makes of faces."""

    def __init__(self, folder: Path, items: dict[str, str], landmarks=FACE, size: int = 0, role="train", **keys):
        rng = np.random.default_rng(0)
        faces = [
            {"item": item, "image": rng.integers(1, 256, (SIZE, SIZE, 3), np.uint8), "landmarks": landmarks}
            for item in sorted(items)
        ]
        columns = {"item": pa.string(), "image": (np.uint8, (SIZE, SIZE, 3)), "landmarks": (np.float32, (68, 2))}
        crops, index, output, lost = (folder / name for name in ("c.arrow", "i.parquet", "h.arrow", "q.parquet"))
        write_shard(crops, faces, columns)
        write_table(index, [{"item": item, "split": split} for item, split in sorted(items.items())], INDEX)
        given = keys.get("given")
        make_holes(Holes(**keys), size, role, 1, index, crops, output, lost, given and Path(given))
        self.shard, self.lost = Shard(output), read_table(lost)
        self.kinds = self.shard.scalars("kind")
        self.pictures = {face["item"]: face["image"] for face in faces}

    def hole(self, item: str, kind: str) -> np.ndarray:
        """The hole of an evaluated item and class."""
        return self.shard.tensor(
            "hole", next(r for r, i in enumerate(self.shard.items) if (i, self.kinds[r]) == (item, kind))
        )


def test_what_an_item_of_the_evaluation_gets(tmp_path):
    made = Made(tmp_path, {"a.png": "test"})
    assert made.kinds == CLASSES and made.shard.scalars("variant") == list(range(len(CLASSES)))
    assert made.shard.scalars("shape")[0] in PARTS and set(made.shard.scalars("shape")[1:]) == {"strokes"}
    outline = face_area(FACE, SIZE)
    for row in range(len(CLASSES)):
        hole = made.shard.tensor("hole", row) > 0
        assert np.array_equal(made.shard.tensor("target", row), made.pictures["a.png"])
        assert np.array_equal(made.shard.tensor("drawing", row), draw_face(FACE, SIZE))
        assert np.array_equal(made.shard.tensor("part", row).any(axis=-1), outline & ~hole)
        assert set(np.unique(made.shard.tensor("hole", row))) == {0, 255}
    assert made.lost.empty


def test_training_items_get_as_many_variants_of_the_mix(tmp_path):
    made = Made(
        tmp_path, {f"{n}.png": "train" for n in range(30)}, variants=4, mix={"parts": 1, "box": 1, "strokes": 0}
    )
    assert len(made.kinds) == 120 and 40 < made.kinds.count("box") < 80 and "strokes" not in made.kinds
    assert len(set(made.shard.scalars("shape"))) == 6


def test_items_that_are_only_applied_to_get_the_holes_of_the_evaluation(tmp_path):
    assert Made(tmp_path, {"a.png": "train"}, role="apply").kinds == CLASSES


def test_holes_depend_on_the_item_alone(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    alone = Made(tmp_path / "a", {"m.png": "test"}, classes=["40-50"])
    among = Made(tmp_path / "b", {f"{name}.png": "test" for name in "kmz"})
    assert np.array_equal(alone.hole("m.png", "40-50"), among.hole("m.png", "40-50"))
    assert not np.array_equal(among.hole("k.png", "40-50"), among.hole("m.png", "40-50"))


def test_pictures_and_landmarks_are_resized_alike(tmp_path):
    made = Made(tmp_path, {"a.png": "test"}, size=128)
    assert made.shard.tensor("target", 0).shape == (128, 128, 3)
    # Integers are the centres of pixels: the first of them is at 0.5 of twice the size.
    assert np.allclose(made.shard.tensor("landmarks", 0), 2 * FACE + 0.5)


def test_a_face_without_a_part_in_the_crop_goes_to_quarantine(tmp_path):
    made = Made(tmp_path, {"a.png": "test"}, landmarks=FACE + 500)
    assert not len(made.shard) and list(made.lost["reason"]) == ["no face part in the crop"]


def given_folder(folder: Path, **pictures: np.ndarray | bytes) -> str:
    """A folder of holes; bytes are written as they are."""
    folder.mkdir()
    for name, picture in pictures.items():
        data = picture if isinstance(picture, bytes) else cv2.imencode(".png", picture)[1].tobytes()
        (folder / f"{name}.png").write_bytes(data)
    return str(folder)


def disk(x: int) -> np.ndarray:
    """A hole of 20 pixels' radius on a picture of 256 x 256."""
    return cv2.circle(np.zeros((256, 256), np.uint8), (x, 128), 20, 255, -1)


def test_an_item_gets_the_given_hole_of_its_name_or_one_by_its_hash(tmp_path):
    given = given_folder(tmp_path / "holes", a=disk(40), b=disk(200))
    items = {"a.jpg": "test", "b.jpg": "test", **{f"other{number}.jpg": "test" for number in range(12)}}
    made = Made(tmp_path, items, given=given)
    left, right = made.hole("a.jpg", "given") > 0, made.hole("b.jpg", "given") > 0
    assert left[:, :32].any() and not left[:, 32:].any() and right[:, 32:].any() and not right[:, :32].any()
    assert left.mean() == pytest.approx(np.pi * 20**2 / 256**2, rel=0.1)
    others = [made.hole(f"other{number}.jpg", "given")[:, :32].any() for number in range(12)]
    assert 1 <= sum(others) <= 11


def test_training_items_get_no_given_hole(tmp_path):
    given = given_folder(tmp_path / "holes", a=disk(40))
    assert "given" not in Made(tmp_path, {"a.png": "train"}, given=given).kinds


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (b"no picture", "not a picture"),
        (disk(100)[:, :8], "too small"),
        (np.zeros((64, 64), np.uint8), "light nowhere"),
        (np.full((64, 64), 255, np.uint8), "light everywhere"),
    ],
)
def test_a_given_hole_that_cannot_be_used_costs_its_item_alone(tmp_path, picture, reason):
    given = given_folder(tmp_path / "holes", a=picture, b=disk(100))
    made = Made(tmp_path, {"a.png": "test", "b.png": "test"}, given=given)
    assert set(made.shard.items) == {"b.png"} and list(made.lost["item"]) == ["a.png"]
    assert "a.png" in made.lost["detail"][0] and reason in made.lost["detail"][0]


def test_a_folder_without_holes_is_refused_before_the_run(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("absent", "empty"):
        with pytest.raises(cli.UserError, match=f"holes.given.*{folder}"):
            Experiment(system="diverse", holes={"given": str(tmp_path / folder)}).check_files()
