"""Video frames by number, decoded the same way every time."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation

from workflow_scripts.sources.pictures import BadPicture

# Without these flags the conversion to RGB differs by a grey level between processors.
CONVERSION = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def choose_frames(path: str | Path, per_second: float) -> list[tuple[int, float]]:
    """Return number and presentation time in seconds of the frames to use, so many `per_second`.

    They are the first at or after each multiple of 1 / `per_second`, so a variable frame rate does not matter.

    Raises:
        BadPicture: the video cannot be decoded.
    """
    reader = VideoReader(path)
    chosen: list[tuple[int, float]] = []
    ticks = 0
    for number, frame in reader.frames():
        if frame.time * per_second >= ticks - 1e-6:
            chosen.append((number, frame.time))
            ticks = int(frame.time * per_second + 1e-6) + 1
    return chosen


class VideoReader:
    """Reads frames of one video; in rising order each is decoded once."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, number: int) -> np.ndarray:
        """Return a frame as RGB uint8 (H, W, 3), upright.

        Raises:
            BadPicture: the video cannot be decoded, or ends before this frame.
        """
        if self._last is None or number < self._last[0]:
            self._frames = self.frames()
        elif number == self._last[0]:
            return self._last[1].copy()
        for found, frame in self._frames:
            if found == number:
                self._last = (number, _to_rgb(frame))
                return self._last[1].copy()
        self._last = None
        raise BadPicture("video ends early", f"it has no frame {number}; copy or download it again")

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the frames with their numbers, from the first, in the order of presentation.

        Raises:
            BadPicture: the video cannot be decoded.
        """
        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise BadPicture("not a video", "it has no pictures; remove it")
                stream = container.streams.video[0]
                stream.thread_type = "NONE"
                yield from enumerate(container.decode(stream))
        except (av.FFmpegError, OSError) as error:
            raise BadPicture(
                "damaged video", f"decoding failed ({error.strerror}); copy or download it again"
            ) from error


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    pixels = frame.to_ndarray(format="rgb24", interpolation=CONVERSION, threads=1)
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
