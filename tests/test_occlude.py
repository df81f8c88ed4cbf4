"""Masks and moustaches are put on the people in one's own pictures."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from own_things import group_picture
from PIL import Image

from workflow_scripts.commands import occlude
from workflow_scripts.commands._inputs import list_inputs
from workflow_scripts.core import marking
from workflow_scripts.core.cli import UserError


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def group(tmp_path_factory, astronaut) -> tuple[Path, np.ndarray, list[tuple[int, int]]]:
    picture, noses = group_picture(astronaut)
    path = tmp_path_factory.mktemp("group") / "group.png"
    Image.fromarray(picture).save(path)
    return path, picture, noses


def test_everybody_gets_a_mask_and_the_map_tells_where(group, tmp_path):
    path, picture, noses = group
    occlude.main([str(path), "--kind", "surgical", "cloth", "--output", str(tmp_path)])
    made, changed = pixels(tmp_path / "group.png"), pixels(tmp_path / "group_map.png") > 0
    for x, y in noses:
        assert changed[y + 5 : y + 25, x - 5 : x + 5].all() and not changed[y - 60 : y - 45, x].any()
    assert np.array_equal((made != picture).any(axis=2), changed)
    assert marking.DRAWN_TYPE in Image.open(tmp_path / "group.png").info["XML:com.adobe.xmp"]


def test_colour_and_seed_are_chosen(group, tmp_path):
    path, picture, noses = group

    def run(name: str, *words: str) -> np.ndarray:
        occlude.main([str(path), "--face", "0", "--output", str(tmp_path / name), *words])
        return pixels(tmp_path / name / "group.png")

    red = run("red", "--color", "#c01010")
    x, y = noses[0]
    colour = red[y + 10 : y + 25, x - 10 : x + 10].reshape(-1, 3).mean(axis=0)
    assert colour[0] > 2 * colour[1] and colour[0] > 2 * colour[2]
    assert np.array_equal(red, run("again", "--color", "#c01010"))
    assert not np.array_equal(run("one", "--seed", "1"), run("two", "--seed", "2"))
    assert np.array_equal(red[:, 330:], picture[:, 330:])  # the others
    purple = run("moustache", "--kind", "walrus", "--color", "#8a2be2")
    change = np.argwhere((purple != picture).any(axis=2))
    assert 0 < len(change) < 6000
    blue = purple.astype(int)[..., 2] - purple[..., 1]
    assert blue[(purple != picture).any(axis=2)].max() > 60


def test_a_picture_of_ones_own_is_put_on(group, tmp_path):
    path, picture, noses = group
    own = np.zeros((60, 200, 4), np.uint8)
    own[20:50, 20:180] = (20, 160, 20, 255)
    (tmp_path / "mine").mkdir()
    Image.fromarray(own).save(tmp_path / "mine/green.png")
    words = [str(path), "--kind", "moustache_picture", "--output", str(tmp_path / "out")]
    occlude.main([*words, "--pictures", str(tmp_path / "mine")])
    changed = (pixels(tmp_path / "out/group.png") != picture).any(axis=2)
    assert all(changed[y + 5 : y + 30, x].any() for x, y in noses)
    with pytest.raises(UserError, match="belong together"):
        occlude.main(words)


def test_bad_input_is_named_and_the_rest_goes_on(group, tmp_path, capsys):
    Image.new("RGB", (200, 200), (90, 120, 90)).save(tmp_path / "nobody.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "film.mp4").write_bytes(b"no film")
    words = [str(group[0]), *(str(tmp_path / name) for name in ("nobody.png", "broken.png", "film.mp4"))]
    with pytest.raises(SystemExit, match="on 3 of 4 inputs nothing was put on"):
        occlude.main([*words, "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert all(part in said for part in ("nobody.png: no face", "broken.png: not a picture", "film.mp4: is a video"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"group.png", "group_map.png"}
    with pytest.raises(UserError, match="is an input"):
        occlude.main([str(group[0]), "--output", str(group[0].parent)])


def test_in_folders_links_are_followed_once_and_what_is_left_out_is_said(tmp_path, capsys):
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for path in (
        photos / "a.jpg",
        photos / "scan.tga",
        photos / ".hidden.jpg",
        photos / "out/a.jpg",
        elsewhere / "b.jpg",
    ):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (photos / "Thumbs.db").touch()
    (photos / "album").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(photos)
    (elsewhere / "deep").mkdir()
    (elsewhere / "deep/c.jpg").touch()
    (photos / "z").mkdir()
    (photos / "z/d.jpg").touch()
    (photos / "b").symlink_to(photos / "z")
    (photos / "unmounted").symlink_to("/not mounted/album")
    given = list_inputs([photos, elsewhere], photos / "out")
    assert [str(one.name) for one in given] == ["a", "album/b", "album/deep/c", "unmounted", "z/d"]
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith("left out, as by their names they are no pictures or videos: scan.tga")


@pytest.mark.parametrize("locked", ["", "inner"])
def test_a_folder_that_cannot_be_read_counts_as_a_file(tmp_path, monkeypatch, locked):
    """Mode 0 would not keep out root, as whom tests may run."""
    (tmp_path / "photos/inner").mkdir(parents=True)
    (tmp_path / "photos/a.jpg").touch()
    closed, look = tmp_path / "photos" / locked, os.scandir

    def scandir(path):
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    given = list_inputs([tmp_path / "photos"], tmp_path / "out")
    assert given[-1].path == closed and len(given) == (2 if locked else 1)
