"""Trained networks are applied to videos: people are followed, times and sound stay."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from film_files import assert_marked, frames_of
from own_things import save_unmask, write_film

from workflow_scripts.commands import apply


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    return save_unmask(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def two(astronaut) -> np.ndarray:
    """A large face at the left and a smaller one at the right."""
    portrait = np.ascontiguousarray(astronaut[:300, 70:370])
    frame = np.full((301, 561, 3), 120, np.uint8)
    frame[:300, :300], frame[50:250, 330:530] = portrait, cv2.resize(portrait, (200, 200))
    return frame


def sound_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray()) for frame in container.decode(audio=0)]


def changed_at(path: Path, given: np.ndarray, number: int) -> list[bool]:
    """Tell of the left and the right face whether a frame shows it changed."""
    frame = frames_of(path)[number][1].astype(int)
    return [bool(abs(frame[y - 8 : y + 8, x - 8 : x + 8] - given[y - 8 : y + 8, x - 8 : x + 8]).mean() > 12)
            for x, y in ((150, 125), (430, 137))]  # fmt: skip


def test_both_faces_are_edited_at_their_times_and_heard(checkpoints, two, tmp_path):
    times = [0, 40, 140, 160, 400]
    nobody = np.full_like(two, 90)
    film = write_film(tmp_path / "film.mp4", [two, two, nobody, two, two], times, sound=0.5)
    apply.main([str(checkpoints), str(film), "--output", str(tmp_path / "out")])
    made = tmp_path / "out/film.mp4"
    assert [time for time, _ in frames_of(made)] == pytest.approx([time / 1000 for time in times], abs=1e-3)
    assert frames_of(made)[0][1].shape == (302, 562, 3)  # H.264 has even sides
    assert all(changed_at(made, two, 0)) and all(changed_at(made, two, 4))
    assert_marked(made)
    heard, given = sound_of(made), sound_of(film)
    assert [time for time, _ in heard] == pytest.approx([time for time, _ in given], abs=2e-3)
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(heard, given, strict=True))


def test_a_track_is_chosen_and_other_sound_is_encoded_anew(checkpoints, two, tmp_path):
    film = write_film(tmp_path / "film.mkv", [two] * 3, sound=0.3, codec="pcm_s16le")
    apply.main([str(checkpoints), str(film), "--output", str(tmp_path / "out"), "--face", "1"])
    made = tmp_path / "out/film.mp4"
    assert changed_at(made, two, 1) == [False, True]
    with av.open(str(made)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    heard = np.concatenate([samples.ravel() for _, samples in sound_of(made)])
    assert 0.2 < np.abs(heard).max() < 0.6  # a tone of 0.4


def test_a_face_that_is_missed_for_a_moment_is_edited_where_it_was(checkpoints, two, tmp_path):
    hidden = two.copy()
    hidden[100:130, 100:200] = 30  # a bar before the eyes of the larger face
    film = write_film(tmp_path / "film.mp4", [two, two, hidden, two, two])
    apply.main([str(checkpoints), str(film), "--output", str(tmp_path / "out")])
    assert changed_at(tmp_path / "out/film.mp4", hidden, 2)[0]


def test_videos_that_cannot_be_edited_are_named_and_the_rest_goes_on(checkpoints, two, tmp_path, capsys):
    folder = tmp_path / "films"
    folder.mkdir()
    write_film(folder / "nobody.mp4", [np.full_like(two, 90)] * 2)
    write_film(folder / "quiet.mp4", [two])
    (folder / "broken.mp4").write_bytes(b"nothing of the kind")
    rng, portrait = np.random.default_rng(0), two[:300, :300]
    grainy = [np.clip(portrait + rng.normal(0, 12, portrait.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    whole = write_film(tmp_path / "whole.mkv", grainy, range(0, 2000, 100))
    (folder / "cut.mkv").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.4)])
    with pytest.raises(SystemExit, match="2 of 4 inputs were not edited"):
        apply.main([str(checkpoints), str(folder), "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "nobody.mp4: no face; none of its 2 frames" in said
    assert "none of its 2 frames shows a face that is chosen; try a smaller --min-face\n" in said
    assert f"{folder / 'broken.mp4'}: not a video; it is in no known video format; replace it or remove it\n" in said
    assert f"{folder / 'cut.mkv'}: it ends at" in said and "the frames before are used" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"quiet.mp4", "cut.mp4"}
    assert 2 <= len(frames_of(tmp_path / "out/cut.mp4")) < 20
