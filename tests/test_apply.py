"""Trained networks are applied to whole pictures: several people, all that a file tells is kept, bad input is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from film_files import assert_marked
from own_things import group_picture, save_unmask
from PIL import Image
from projects import ROOT
from test_pictures_shown import ADOBE

from workflow_scripts.commands import apply
from workflow_scripts.core.cli import UserError


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    return save_unmask(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def portrait(astronaut) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:300, 70:370])


def run(checkpoints: Path, *words: object) -> int:
    """Run the command; return its exit code."""
    try:
        apply.main([str(checkpoints), "--search-side=640", *map(str, words)])
    except SystemExit as ended:
        return 0 if ended.code is None else 1
    return 0


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_every_face_of_a_picture_is_edited_and_nothing_else(checkpoints, astronaut, tmp_path):
    picture, middles = group_picture(astronaut)
    Image.fromarray(picture).save(tmp_path / "group.png")
    assert run(checkpoints, tmp_path / "group.png", "--output", tmp_path / "out", "--maps") == 0
    edited, changed = pixels(tmp_path / "out/group.png"), pixels(tmp_path / "out/group_map.png") > 0
    for x, y in middles:
        assert changed[y - 20 : y + 20, x - 20 : x + 20].all()
        assert (edited[y, x] != picture[y, x]).any()
    assert np.array_equal(edited[~changed], picture[~changed]) and 0.1 < changed.mean() < 0.6
    assert_marked(tmp_path / "out/group.png")


def test_one_face_is_chosen_by_size_or_by_a_picture_of_the_person(checkpoints, astronaut, face, tmp_path):
    picture, middles = group_picture(astronaut)
    Image.fromarray(picture).save(tmp_path / "group.png")
    Image.fromarray(face[0]).save(tmp_path / "her.png")
    assert run(checkpoints, tmp_path / "group.png", "--output", tmp_path / "third", "--maps", "--face", 2) == 0
    changed = pixels(tmp_path / "third/group_map.png") > 0
    assert [bool(changed[y, x]) for x, y in middles] == [False, False, True]
    words = (tmp_path / "group.png", "--output", tmp_path / "hers", "--maps", "--like", tmp_path / "her.png")
    assert run(checkpoints, *words) == 0
    changed = pixels(tmp_path / "hers/group_map.png") > 0
    assert all(changed[y, x] for x, y in middles)  # it is she three times
    with pytest.raises(UserError, match="no face is found"):
        Image.new("RGB", (200, 200), (90, 120, 90)).save(tmp_path / "nobody.png")
        run(checkpoints, tmp_path / "group.png", "--output", tmp_path / "no", "--like", tmp_path / "nobody.png")


def test_orientation_profile_and_exif_are_kept_and_the_thumbnail_is_not(checkpoints, portrait, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # to be turned by 90 degrees; who made the camera
    lying = Image.fromarray(np.rot90(portrait))
    lying.save(tmp_path / "phone.jpg", quality=95, subsampling=0, exif=exif, icc_profile=ADOBE)
    assert run(checkpoints, tmp_path / "phone.jpg", "--output", tmp_path, "--maps") == 0
    made = Image.open(tmp_path / "phone.png")
    assert made.info["icc_profile"] == ADOBE and dict(made.getexif()) == {0x010F: "Maker"}
    upright = np.rot90(pixels(tmp_path / "phone.jpg"), -1)  # values as they are stored
    changed = pixels(tmp_path / "phone_map.png") > 0
    assert np.array_equal(pixels(tmp_path / "phone.png")[~changed], upright[~changed])
    assert changed[100:150, 130:180].all()


def test_transparency_is_kept(checkpoints, portrait, tmp_path):
    alpha = np.full((300, 300), 255, np.uint8)
    alpha[:, 280:], alpha[:, 260:280] = 0, 128
    Image.fromarray(np.dstack([portrait, alpha])).save(tmp_path / "cut.png")
    assert run(checkpoints, tmp_path / "cut.png", "--output", tmp_path / "out", "--maps") == 0
    made, changed = pixels(tmp_path / "out/cut.png"), pixels(tmp_path / "out/cut_map.png") > 0
    assert np.array_equal(made[..., 3], alpha)
    assert np.array_equal(made[~changed][:, :3], portrait[~changed])


def test_of_an_animation_the_first_picture_is_edited_and_that_is_said(checkpoints, portrait, tmp_path, capsys):
    first, second = (Image.fromarray(picture) for picture in (portrait, np.full_like(portrait, 90)))
    first.save(tmp_path / "moving.webp", save_all=True, append_images=[second], lossless=True)
    assert run(checkpoints, tmp_path / "moving.webp", "--output", tmp_path / "out", "--maps") == 0
    assert "has 2 pictures, of which the first is written" in capsys.readouterr().err
    changed = pixels(tmp_path / "out/moving_map.png") > 0
    assert np.array_equal(pixels(tmp_path / "out/moving.png")[~changed], portrait[~changed])


def test_a_name_that_is_no_text_is_as_good_as_any(checkpoints, portrait, tmp_path, capfd):
    name = os.fsdecode(b"one\xff.png")
    Image.fromarray(portrait).save(tmp_path / name)
    assert run(checkpoints, tmp_path / name, "--output", tmp_path / "out", "--maps") == 0
    assert (tmp_path / "out" / name).is_file() and "one\\xff.png" in capfd.readouterr().out


def test_jpeg_is_near_the_picture_and_marked(checkpoints, portrait, tmp_path):
    Image.fromarray(portrait).save(tmp_path / "one.png")
    assert run(checkpoints, tmp_path / "one.png", "--output", tmp_path, "--format", "jpeg", "--maps") == 0
    made, changed = pixels(tmp_path / "one.jpg"), pixels(tmp_path / "one_map.png") > 0
    assert abs(made[~changed].astype(int) - portrait[~changed]).mean() < 3
    assert_marked(tmp_path / "one.jpg")


def test_equal_runs_give_equal_bytes(checkpoints, portrait, tmp_path):
    Image.fromarray(portrait).save(tmp_path / "one.png")
    for name in ("a", "b"):
        run(checkpoints, tmp_path / "one.png", "--output", tmp_path / name)
    assert (tmp_path / "a/one.png").read_bytes() == (tmp_path / "b/one.png").read_bytes()


def test_what_cannot_be_edited_is_named_and_the_rest_goes_on(checkpoints, portrait, tmp_path, capsys):
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(portrait).save(folder / "deep/a.png")
    Image.fromarray(portrait).save(folder / "same.png")
    Image.fromarray(portrait[:, ::-1]).save(folder / "same.bmp")
    Image.new("RGB", (200, 200), (90, 120, 90)).save(folder / "nobody.png")
    (folder / "broken.png").write_bytes(b"nothing of the kind")
    (folder / "notes.txt").write_text("not looked at")
    assert run(checkpoints, folder, "--output", folder / "out") == 1
    said = capsys.readouterr().err
    assert "broken.png: not a picture; it is in none of the formats" in said
    assert "nobody.png: copied as it is; no face that is chosen was found" in said
    made = {str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*") if path.is_file()}
    assert made == {"deep/a.png", "same_png.png", "same_bmp.png", "nobody.png"}
    assert (folder / "out/nobody.png").read_bytes() == (folder / "nobody.png").read_bytes()
    again = run(checkpoints, folder, "--output", folder / "out")  # what was written is no input
    assert again == 1 and len(list((folder / "out").rglob("*.png"))) == 4


def test_a_face_on_which_nothing_is_found_is_left_as_it_is(portrait, tmp_path, capsys):
    Image.fromarray(portrait).save(tmp_path / "bare.png")
    assert run(save_unmask(tmp_path / "found", finds=False), tmp_path / "bare.png", "--output", tmp_path / "out") == 1
    assert "nothing to be edited was found" in capsys.readouterr().err
    assert (tmp_path / "out/bare.png").read_bytes() == (tmp_path / "bare.png").read_bytes()


def test_a_face_whose_mask_hides_its_landmarks_is_edited_where_it_lies(checkpoints, portrait, tmp_path):
    masked = cv2.resize(portrait, (240, 240))
    masked[100:150, 85:165] = (235, 235, 240)
    Image.fromarray(masked).save(tmp_path / "masked.png")
    assert run(checkpoints, tmp_path / "masked.png", "--output", tmp_path / "out", "--maps") == 0
    assert (pixels(tmp_path / "out/masked_map.png")[105:145, 100:150] > 0).all()


def test_a_tight_crop_is_taken_for_a_face_when_asked(checkpoints, face, tmp_path):
    tight = cv2.GaussianBlur(face[0][60:230, 60:200], (0, 0), 15)
    Image.fromarray(tight).save(tmp_path / "tight.png")
    assert run(checkpoints, tmp_path / "tight.png", "--output", tmp_path / "no") == 1
    assert run(checkpoints, tmp_path / "tight.png", "--output", tmp_path / "yes", "--whole") == 0


def test_wrong_words_end_in_one_line(checkpoints, portrait, tmp_path):
    photo = tmp_path / "one.png"
    Image.fromarray(portrait).save(photo)

    def refused(*words: object) -> str:
        with pytest.raises(UserError) as error:
            apply.main([str(word) for word in words])
        assert "\n" not in str(error.value)
        return str(error.value)

    out = ("--output", tmp_path / "out")
    assert "is an input" in refused(checkpoints, photo, "--output", tmp_path)
    assert "no such file" in refused(checkpoints, tmp_path / "absent.png", *out)
    assert "no checkpoint is there" in refused(tmp_path, photo, *out)
    assert "checkpoints first" in refused("--output", tmp_path / "out", checkpoints, photo)
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(checkpoints / "edit.safetensors", alone)
    assert "no file" in refused(alone, photo, *out)
    shutil.copy(checkpoints / "edit.json", alone)
    assert "no map.safetensors" in refused(alone, photo, *out)
    text = (checkpoints / "edit.json").read_text()
    (alone / "edit.json").write_text(text.replace('"system": "unmask"', '"system": "objects"'))
    assert "system objects, which edits no pictures" in refused(alone, photo, *out)
    (alone / "edit.json").write_text("{")
    assert "is damaged" in refused(alone, photo, *out)
    old = tmp_path / "old"
    shutil.copytree(checkpoints, old)
    for name in ("map", "edit"):
        (old / f"{name}.json").write_text((old / f"{name}.json").read_text().replace('"crops"', '"was"'))
    assert "write `--frame celeba`" in refused(old, photo, *out)
    assert run(old, photo, *out, "--frame", "celeba") == 0


CRASHING = """
import ctypes, sys
from workflow_scripts.core import cli, guard
guard.supervise()
from workflow_scripts.commands import apply
from workflow_scripts.faces import everyone
search = everyone.frontal_faces

def crash_at_one(picture, config):
    return ctypes.string_at(0) if picture.size == (299, 300) else search(picture, config)

everyone.frontal_faces = crash_at_one
cli.run(apply.main)
"""


def test_a_picture_that_crashes_a_library_is_named_and_the_rest_goes_on(checkpoints, portrait, tmp_path):
    for name, width in (("a", 300), ("b", 299), ("c", 300)):
        Image.fromarray(portrait[:, :width]).save(tmp_path / f"{name}.png")
    words = [checkpoints, *(tmp_path / f"{name}.png" for name in "abc"), "--output", tmp_path / "out"]
    command = [sys.executable, "-c", CRASHING, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "1 of 3 inputs were not edited" in done.stderr
    assert f"{tmp_path / 'b.png'}: crashes a library; what works on it cannot take it" in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "c.png"}


def test_it_runs_as_a_command_of_its_own(checkpoints, portrait, tmp_path):
    Image.fromarray(portrait).save(tmp_path / "one.png")
    words = ("-m", "workflow_scripts.commands.apply", checkpoints / "map.safetensors", tmp_path / "one.png")
    done = subprocess.run(
        [sys.executable, *map(str, words), "--output", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'out/one.png'}\n", done.stderr
