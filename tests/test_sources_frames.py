"""Decoding videos: frames by number and time, upright, or a reason."""

from pathlib import Path

import av
import numpy as np
import pytest

from workflow_scripts.sources._decoding import VideoReader, choose_frames
from workflow_scripts.sources._pictures import BadPicture


def clip(path: Path, frames: int = 12, turned: bool = False) -> Path:
    """Ten frames a second, each of its own shade with a white left upper corner; turned as by a phone held upright."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 4_000_000
        for number in range(frames):
            pixels = np.full((48, 64, 3), 10 * number, np.uint8)
            pixels[:16, :16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    if turned:
        data = path.read_bytes()
        upright, quarter = (np.array(m, ">i4").tobytes() for m in (MATRIX_UPRIGHT, MATRIX_QUARTER))
        place = data.rindex(upright)  # of the track; the one before it is that of the whole film
        path.write_bytes(data[:place] + quarter + data[place + len(upright) :])
    return path


MATRIX_UPRIGHT = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
MATRIX_QUARTER = (0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30)  # a quarter turn clockwise


def test_frames_are_read_by_number_in_any_order(tmp_path):
    reader = VideoReader(clip(tmp_path / "clip.mp4"))
    shades = [int(reader.read(number)[30:, 30:].mean().round()) for number in (3, 4, 4, 9, 0, 11)]
    assert shades == pytest.approx([30, 40, 40, 90, 0, 110], abs=3)
    again = VideoReader(tmp_path / "clip.mp4").read(9)
    assert np.array_equal(reader.read(9), again)


def test_frames_are_chosen_by_time(tmp_path):
    chosen = choose_frames(clip(tmp_path / "clip.mp4"), 4)
    assert [number for number, _ in chosen] == [0, 3, 5, 8, 10]
    assert [time for _, time in chosen] == pytest.approx([0, 0.3, 0.5, 0.8, 1.0])


def test_a_turned_video_comes_upright(tmp_path):
    frame = VideoReader(clip(tmp_path / "clip.mp4", turned=True)).read(2)
    assert frame.shape == (64, 48, 3)
    assert frame[4, -4].min() > 200
    assert frame[4, 4].max() < 100


def test_a_video_that_cannot_be_read_has_a_reason(tmp_path):
    path = clip(tmp_path / "clip.mp4")
    with pytest.raises(BadPicture, match="video ends early"):
        VideoReader(path).read(12)
    path.write_bytes(b"no video")
    with pytest.raises(BadPicture, match="not a video"):
        VideoReader(path).read(0)
    with pytest.raises(BadPicture, match="cannot be read"):
        VideoReader(tmp_path / "missing.mp4").read(0)
