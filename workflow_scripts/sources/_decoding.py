"""Decoding videos: frames by number, the same pixels every time; which frames to use; where shots begin."""

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Interpolation

from workflow_scripts.core import guard
from workflow_scripts.core.files import open_regular
from workflow_scripts.sources._pictures import BadPicture, check_size

# Without these flags, the conversion to RGB differs by a grey level between processors.
CONVERSION = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# Only files that hold their own pictures are opened. FFmpeg would also open play lists, which name other files and
# addresses.
SAFETY = {"format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,ogg,asf", "protocol_whitelist": "file"}
# Without this, FFmpeg fills what it cannot decode with grey or with older pictures.
STRICT = {"err_detect": "explode"}
SLACK = 0.5  # seconds by which the last frame may end before the length that the file states
MAX_FRAMES = 1_000_000  # an item's name has six digits for the frame's number, which keeps items in order
# The first bytes of video files, by their offset.
VIDEO_MAGIC = {0: (b"\x1aE\xdf\xa3", b"RIFF"), 4: (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")}
THUMBNAIL = 32  # pixels; side of the small copies of frames by which shots are told apart
CUT_CHANGE, CUT_RATIO, CUT_MEMORY = 20, 2, 5  # grey levels, a ratio, frames; see `ShotCounter`


class Frame(NamedTuple):
    """A decoded frame.

    Attributes:
        number: counted from 0, in the order of presentation.
        time: presentation time in seconds, never less than that of the frame before.
        image: the decoded frame; `to_rgb` turns it into pixels.
    """

    number: int
    time: float
    image: av.VideoFrame


def choose_frames(path: str | Path, per_second: float) -> list[tuple[int, float]]:
    """Return number and presentation time in seconds of the frames to use.

    Args:
        path: the video.
        per_second: frames to use a second, see `pace`.

    Raises:
        BadPicture: the video cannot be decoded.
    """
    is_due = pace(None, per_second)
    return [(frame.number, frame.time) for frame in VideoReader(path).frames() if is_due(frame)]


def pace(every: int | None, per_second: float | None) -> Callable[[Frame], bool]:
    """Return a function that, called with each frame in order, tells whether it is to be used.

    Args:
        every: each frame whose number is a multiple of this is used; None chooses by `per_second`.
        per_second: the first frame at or after each multiple of 1 / `per_second` seconds is used, so that a variable
            frame rate does not matter.
    """
    ticks = 0

    def is_due(frame: Frame) -> bool:
        nonlocal ticks
        if every:
            return frame.number % every == 0
        if frame.time * per_second < ticks - 1e-6:
            return False
        ticks = int(frame.time * per_second + 1e-6) + 1
        return True

    return is_due


class ShotCounter:
    """Numbers the shots of a video from 0; `count` must be called with each frame in order.

    A shot begins where the mean absolute difference of two consecutive frames, both shrunk to 32 x 32 RGB, is above
    `CUT_CHANGE` grey levels and above `CUT_RATIO` times its mean over the `CUT_MEMORY` frames before. So fast movement
    is not taken for a cut. A slow dissolve is not noticed, and a flash counts as a shot of its own.
    """

    def __init__(self):
        self._shot = 0
        self._last: np.ndarray | None = None
        self._changes: deque[float] = deque(maxlen=CUT_MEMORY)

    def count(self, image: av.VideoFrame) -> int:
        """Return the number of the shot that this frame belongs to."""
        thumbnail = image.to_ndarray(
            format="rgb24", width=THUMBNAIL, height=THUMBNAIL, interpolation=CONVERSION, threads=1
        ).astype(np.int16)
        if self._last is not None:
            change = float(np.abs(thumbnail - self._last).mean())
            usual = sum(self._changes) / len(self._changes) if self._changes else 0.0
            if change > CUT_CHANGE and change > CUT_RATIO * usual:
                self._shot += 1
            self._changes.append(change)
        self._last = thumbnail
        return self._shot


class VideoReader:
    """Reads frames of one video; frames that are read in rising order are each decoded once.

    Args:
        path: the video.
        max_pixels: a video with larger frames is refused; None for no limit.
    """

    def __init__(self, path: str | Path, max_pixels: int | None = None):
        self.path = Path(path)
        self._max_pixels = max_pixels
        self._frames = self.frames()
        self._next = 0
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, number: int) -> np.ndarray:
        """Return a frame as RGB uint8 (H, W, 3), upright.

        Raises:
            BadPicture: the video cannot be decoded, or ends before this frame.
        """
        if self._last is not None and number == self._last[0]:
            return self._last[1].copy()
        if number < self._next:
            self._frames = self.frames()
        self._next = number + 1
        for frame in self._frames:
            if frame.number == number:
                self._last = (number, to_rgb(frame.image))
                return self._last[1].copy()
        raise BadPicture("video ends early", f"it has no frame {number}; copy or download it again")

    def frames(self) -> Iterator[Frame]:
        """Yield the frames from the first one, in the order of presentation, as far as they can be decoded.

        Raises:
            BadPicture: the video cannot be decoded, or not to its end; then `detail` says from which time on.
        """
        frame = None
        try:
            with open_regular(self.path) as file, av.open(file, options=SAFETY | STRICT) as container:
                stream = _stream(container)
                check_size(stream.codec_context.width, stream.codec_context.height, self._max_pixels)
                for frame in _timed(container.decode(stream), stream.average_rate):
                    guard.go_on()
                    check_size(frame.image.width, frame.image.height, self._max_pixels)
                    yield frame
                _check_end(frame, stream)
        except (BadPicture, MemoryError):
            raise
        except Exception as error:  # decoders raise nearly anything on damaged data
            raise self._bad(error, frame) from error

    def _bad(self, error: Exception, last: Frame | None) -> BadPicture:
        what = getattr(error, "strerror", None) or type(error).__name__
        if last is not None:
            where = f"decoding failed after {last.time:.2f} s ({what}); the frames before are used"
            return BadPicture("damaged video", f"{where}, copy or download it again")
        try:
            with open_regular(self.path) as file:
                head = file.read(16)
        except OSError as unreadable:
            return BadPicture("cannot be read", f"{unreadable.strerror}; mend the file or remove it")
        if not head:
            return BadPicture("empty file", "it has 0 bytes; copy or download it again")
        if not any(head.startswith(magic, place) for place, magic in VIDEO_MAGIC.items()):
            return BadPicture("not a video", "it is in no known video format; replace it or remove it")
        return BadPicture("damaged video", f"decoding failed ({what}); copy or download it again")


def to_rgb(image: av.VideoFrame) -> np.ndarray:
    """Return a frame's pixels as RGB uint8 (H, W, 3), turned upright as the video's metadata say."""
    pixels = image.to_ndarray(format="rgb24", interpolation=CONVERSION, threads=1)
    return np.ascontiguousarray(np.rot90(pixels, round(image.rotation / 90)))


def _stream(container: av.container.InputContainer) -> av.VideoStream:
    """Return the first stream of moving pictures; the cover picture of a piece of music does not count."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise BadPicture("unknown video codec", "FFmpeg cannot decode it; convert it to H.264")
            stream.thread_type = "NONE"
            stream.codec_context.options = STRICT
            return stream
    raise BadPicture("not a video", "it has no pictures, only sound; remove it")


def _timed(images: Iterator[av.VideoFrame], rate: Fraction | None) -> Iterator[Frame]:
    """Number the images; an absent time is replaced by the frame rate, and a time that runs back by the one before."""
    time = 0.0
    for number, image in enumerate(images):
        if number == MAX_FRAMES:
            raise BadPicture("video too long", f"its first {MAX_FRAMES:,} frames are used; cut it into parts")
        if image.time is None:
            time += float(1 / (rate or 25)) if number else 0.0
        else:
            time = max(time, image.time) if number else image.time
        yield Frame(number, time, image)


def _check_end(last: Frame | None, stream: av.VideoStream) -> None:
    """Raise `BadPicture` if there was no frame, or if the last one is long before the end that the file states."""
    if last is None:
        raise BadPicture("video without frames", "it has no picture; copy or download it again")
    stated = _stated_length(stream)
    end = last.time + float(1 / (stream.average_rate or 25))
    if stated is not None and end < stated - SLACK:
        raise BadPicture(
            "video ends early",
            f"it ends at {end:.2f} s of {stated:.2f} s; the frames before are used, copy or download it again",
        )


def _stated_length(stream: av.VideoStream) -> float | None:
    """Return the length in seconds that a stream states, or None if it states none."""
    if stream.container.format.name == "avi" and stream.average_rate:  # FFmpeg's duration counts what is left of it
        return float(stream.frames / stream.average_rate)
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")  # of Matroska and WebM
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except (KeyError, ValueError):
        return None
