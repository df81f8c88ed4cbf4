"""Decoding videos: frames by number, the same pixels every time; which frames to use; where shots begin.

What a file states about how its pixels are shown is honoured: turns and mirrors, the shape of pixels, cropping, edit
lists, the range and matrix of colours. High dynamic range and wide gamut become BT.709, alpha is laid over white, and
of two interlaced fields the upper one is shown.
"""

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.codec.context import Flags
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation, VideoReformatter

from workflow_scripts.core import guard
from workflow_scripts.core.files import open_regular
from workflow_scripts.sources._cropping import QUICKTIME, Window, stated_window
from workflow_scripts.sources._pictures import BadPicture, check_size

# Without these flags, the conversion to RGB differs by a grey level between processors.
CONVERSION = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# Colours that screens and photographs have, or nearly so, are taken as they are, and so are reserved numbers, 0 and 3.
# Any others are converted by FFmpeg's colour management, which takes a second for the first frame.
USUAL_PRIMARIES = {
    0,
    3,
    ColorPrimaries.BT709,
    ColorPrimaries.UNSPECIFIED,
    ColorPrimaries.BT470BG,
    ColorPrimaries.SMPTE170M,
    ColorPrimaries.SMPTE240M,
    ColorPrimaries.EBU3213,
}
UNUSUAL_TRANSFERS = {
    ColorTrc.LINEAR,
    ColorTrc.LOG,
    ColorTrc.LOG_SQRT,
    ColorTrc.SMPTE2084,
    ColorTrc.SMPTE428,
    ColorTrc.ARIB_STD_B67,
}
# Side data of frames that are no flat pictures, and what these show. The types, its first number, that are flat all the
# same are no layout of several views, and the projection of an ordinary lens.
NOT_FLAT = (
    (Type.STEREO3D, {0, 8}, "two views in one picture"),
    (Type.SPHERICAL, {4}, "a picture of all directions"),
)
TURN_TOLERANCE = 0.01  # of the larger entries of a display matrix; the others may be as large where it only turns
# Only files that hold their own pictures are opened. FFmpeg would also open play lists, which name other files and
# addresses.
SAFETY = {"format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,ogg,asf", "protocol_whitelist": "file"}
# Without this, FFmpeg fills what it cannot decode with grey or with older pictures.
STRICT = {"err_detect": "explode"}
SLACK = 0.5  # seconds by which the last frame may end before the length that the file states
MAX_FRAMES = 1_000_000  # an item's name has six digits for the frame's number, which keeps items in order
# The first bytes of video files, by their offset: Matroska, AVI, ASF, FLV, Ogg, MPEG programs and streams, transport
# streams without and with time stamps, MP4 and QuickTime.
VIDEO_MAGIC = {
    0: (b"\x1aE\xdf\xa3", b"RIFF", b"0&\xb2u", b"FLV", b"OggS", b"\0\0\1\xba", b"\0\0\1\xb3", b"G@"),
    4: (b"G@", *QUICKTIME),
}
THUMBNAIL = 32  # pixels; side of the small copies of frames by which shots are told apart
CUT_CHANGE, CUT_RATIO, CUT_MEMORY = 20, 2, 5  # grey levels, a ratio, frames; see `ShotCounter`


class Frame(NamedTuple):
    """A decoded frame.

    Attributes:
        number: counted from 0, in the order of presentation.
        time: presentation time in seconds, never less than that of the frame before.
        end: the time until which it is shown, in seconds, as far as the file tells.
        image: the decoded frame; `to_rgb` turns it into pixels.
        size: width and height in square pixels, before it is cropped and turned.
        window: the part of them that is shown, as left, top, right, bottom.
    """

    number: int
    time: float
    end: float
    image: av.VideoFrame
    size: tuple[int, int]
    window: tuple[int, int, int, int]


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
        thumbnail = _convert(image, (THUMBNAIL, THUMBNAIL)).astype(np.int16)
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
        frame = self._find(number)
        self._last = (number, to_rgb(frame))
        return self._last[1].copy()

    def length(self, number: int) -> float:
        """Return how many seconds a frame is shown.

        Raises:
            BadPicture: the video cannot be decoded, or ends before this frame.
        """
        frame = self._find(number)
        return frame.end - frame.time

    def _find(self, number: int) -> Frame:
        if number < self._next:
            self._frames = self.frames()
        self._next = number + 1
        for frame in self._frames:
            if frame.number == number:
                return frame
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
                stored = stream.codec_context.width, stream.codec_context.height
                if not all(stored):
                    raise BadPicture("damaged video", "it tells no size of its frames; copy or download it again")
                check_size(*stored, self._max_pixels)
                with open_regular(self.path) as again:
                    hidden = stated_window(again, *stored)
                for frame in _timed(container.decode(stream), stream, hidden):
                    guard.go_on()
                    left, top, right, bottom = frame.window
                    check_size(*frame.size, self._max_pixels)
                    check_size(right - left, bottom - top, self._max_pixels)
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


def to_rgb(frame: Frame) -> np.ndarray:
    """Return a frame's pixels as RGB uint8 (H, W, 3), as a player shows them: square, upright and not mirrored.

    Raises:
        BadPicture: the file states that it is to be shown in a way that is not supported.
    """
    for kind, flat, what in NOT_FLAT:
        data = frame.image.side_data.get(kind)
        if data is not None and np.frombuffer(data, np.int32)[0] not in flat:
            raise BadPicture("video is not flat", f"it shows {what}; export one flat view of it")
    left, top, right, bottom = frame.window
    pixels = _convert(frame.image, frame.size)[top:bottom, left:right]
    return np.ascontiguousarray(_turned(pixels, frame.image.side_data.get(Type.DISPLAYMATRIX)))


def _convert(image: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """Return RGB uint8 (H, W, 3) of this width and height, in the colours of BT.709, over white where transparent."""
    transparent = any(component.is_alpha for component in image.format.components)
    colours = {}
    if image.color_trc in UNUSUAL_TRANSFERS or image.color_primaries not in USUAL_PRIMARIES:
        colours = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
    try:
        converted = _reformatter(size, bool(colours)).reformat(
            image, *size, "rgba" if transparent else "rgb24", interpolation=CONVERSION, threads=1, **colours
        )
    except OSError as error:
        stated = f"matrix {image.colorspace}, primaries {image.color_primaries}, transfer {image.color_trc}"
        raise BadPicture(
            "colours not supported", f"its colours ({stated}) cannot be converted; convert it to BT.709"
        ) from error
    pixels = converted.to_ndarray()
    if transparent:
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return pixels


@lru_cache(maxsize=4)
def _reformatter(size: tuple[int, int], managed: bool) -> VideoReformatter:
    """Return the converter to a size, which keeps its tables from frame to frame."""
    return VideoReformatter()


def _turned(pixels: np.ndarray, matrix: object | None) -> np.ndarray:
    """Return pixels, (H, W, 3), turned and mirrored by a display matrix: 9 int32, as in an MP4; None for none.

    The matrix maps x, y to a x + c y, b x + d y, where a, b, _, c, d are its first numbers.
    """
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(float) if matrix is not None else (1, 0, 0, 0, 1)
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if crossed > straight:
        a, d = c, b
        pixels = pixels.swapaxes(0, 1)
    if min(straight, crossed) > TURN_TOLERANCE * max(straight, crossed):
        raise BadPicture("video shown askew", "it is turned by no multiple of 90 degrees; turn it upright")
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _stream(container: av.container.InputContainer) -> av.VideoStream:
    """Return the first stream of moving pictures; the cover picture of a piece of music does not count."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise BadPicture("unknown video codec", "FFmpeg cannot decode it; convert it to H.264")
            stream.thread_type = "NONE"
            stream.codec_context.flags |= Flags.unaligned  # crops exactly, not to the next multiple of 32 pixels
            stream.codec_context.options = STRICT
            return stream
    if container.streams.audio:
        raise BadPicture("not a video", "it has no pictures, only sound; remove it")
    raise BadPicture("video without frames", "it has no picture; copy or download it again")


def _timed(images: Iterator[av.VideoFrame], stream: av.VideoStream, hidden: Window) -> Iterator[Frame]:
    """Number the images; an absent time is replaced by the frame rate, and a time that runs back by the one before."""
    usual = float(1 / (stream.average_rate or 25))
    upper_field = _UpperField()
    time = 0.0
    for number, image in enumerate(images):
        if number == MAX_FRAMES:
            raise BadPicture("video too long", f"its first {MAX_FRAMES:,} frames are used; cut it into parts")
        if image.time is None:
            time += usual if number else 0.0
        else:
            time = max(time, image.time) if number else image.time
        end = time + (float(image.duration * image.time_base) if image.duration and image.time_base else usual)
        size = _shown_size(image, stream.sample_aspect_ratio)
        window = _shown_window(hidden, size, (image.width, image.height))
        yield Frame(number, time, end, upper_field.of(image) if image.interlaced_frame else image, size, window)


def _shown_size(image: av.VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height in square pixels; `aspect` is the width of a pixel by its height. No pixel is lost."""
    aspect = aspect or 1
    return (round(image.width * aspect), image.height) if aspect > 1 else (image.width, round(image.height / aspect))


def _shown_window(hidden: Window, size: tuple[int, int], stored: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of what is shown, in pixels of `size`."""
    left, top, right, bottom = (
        round(max(side, 0) * shown / pixels) for side, shown, pixels in zip(hidden, size * 2, stored * 2, strict=True)
    )
    return left, top, max(size[0] - right, left), max(size[1] - bottom, top)


class _UpperField:
    """Takes the upper field of interlaced images, whose two fields show different moments."""

    def __init__(self):
        self._graphs: dict[tuple, Graph] = {}

    def of(self, image: av.VideoFrame) -> av.VideoFrame:
        """Return the lines 0, 2, 4, … of an image, with its times and side data."""
        form = (image.width, image.height, image.format.name)
        if form not in self._graphs:
            graph = self._graphs[form] = Graph()
            source = graph.add_buffer(
                width=image.width, height=image.height, format=image.format, time_base=Fraction(1, 1000)
            )
            field, sink = graph.add("field", "top"), graph.add("buffersink")
            source.link_to(field)
            field.link_to(sink)
            graph.configure()
        self._graphs[form].vpush(image)
        return self._graphs[form].vpull()


def _check_end(last: Frame | None, stream: av.VideoStream) -> None:
    """Raise `BadPicture` if there was no frame, or if the last one is long before the end that the file states."""
    if last is None:
        raise BadPicture("video without frames", "it has no picture; copy or download it again")
    stated = _stated_length(stream)
    if stated is not None and last.end < stated - SLACK:
        raise BadPicture(
            "video ends early",
            f"it ends at {last.end:.2f} s of {stated:.2f} s; the frames before are used, copy or download it again",
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
