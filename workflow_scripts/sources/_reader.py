"""Reading the pictures and video frames of any source."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import guard
from workflow_scripts.core.cli import BadItem
from workflow_scripts.sources import adapter
from workflow_scripts.sources._pictures import BadPicture, decode_picture, picture_size
from workflow_scripts.sources._stores import BYTES_BESIDE_PIXELS

BYTES_PER_PIXEL = 8  # of an uncompressed picture with four channels of 16 bits, the largest that is supported


class PictureReader:
    """Reads pictures and video frames of one source by the `file` and `frame` of its index.

    The archive and the video that was read last stay open, so that reading in the order of the index is fast. Use it
    in a `with` statement, which closes them.
    """

    def __init__(self, source: BaseSource):
        self._store = adapter(source).open_store(source)
        self._max_pixels = source.max_pixels
        self._video = None

    def __enter__(self) -> "PictureReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def read(self, file: str, frame: float | None = None) -> np.ndarray:
        """Return a picture, or a frame of a video, as RGB uint8 (H, W, 3), upright.

        Args:
            file: the path below the source's root, or the member of its archive.
            frame: the frame's number; None or, as tables give it, NaN for a picture.

        Raises:
            BadPicture: it cannot be used; `detail` names the file.
        """
        with self._reading(file):
            if frame is None or math.isnan(frame):
                return decode_picture(self._bytes(file), self._max_pixels)
            return self._open_video(file).read(int(frame))

    def length(self, file: str, frame: float) -> float:
        """Return how many seconds a frame of a video is shown.

        Raises:
            BadPicture: it cannot be decoded; `detail` names the file.
        """
        with self._reading(file):
            return self._open_video(file).length(int(frame))

    def inspect(self, file: str, frame: int | None = None) -> tuple[str, int, int]:
        """Return SHA-256, width and height, from a file's bytes and header, or from a frame's pixels.

        Raises:
            BadPicture: it cannot be used; `detail` names the file.
        """
        if frame is not None:
            pixels = self.read(file, frame)
            return hashlib.sha256(pixels.tobytes()).hexdigest(), pixels.shape[1], pixels.shape[0]
        with self._reading(file):
            data = self._bytes(file)
            return hashlib.sha256(data).hexdigest(), *picture_size(data, self._max_pixels)

    def close(self) -> None:
        """Close the archive or video that is open."""
        self._store.close()
        self._video = None

    def _bytes(self, file: str) -> bytes:
        return self._store.read(file, self._max_pixels * BYTES_PER_PIXEL + BYTES_BESIDE_PIXELS)

    def _open_video(self, file: str):
        from workflow_scripts.sources._decoding import VideoReader

        path = self._store.root / file
        if self._video is None or self._video.path != path:
            self._video = VideoReader(path, self._max_pixels)
        return self._video

    @contextmanager
    def _reading(self, file: str) -> Iterator[None]:
        """Guard this process against the file's content, and name the file in a `BadPicture`."""
        try:
            with guard.reading(file, self._max_pixels):
                yield
        except BadItem as bad:
            raise BadPicture(bad.reason, f"{file}: {bad.detail}") from bad
