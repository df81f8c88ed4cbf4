"""Writes MP4 and GIF files whose bytes depend on their pictures and times alone, each marked as generated."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from PIL import Image

from workflow_scripts.core import marking
from workflow_scripts.core.files import atomic_path
from workflow_scripts.reporting.sound import Sound
from workflow_scripts.sources._decoding import CONVERSION

CLOCK = 90_000  # ticks of a second
QUALITY = "20"  # x264's constant rate factor
PAGE = "_page"  # ends the name of the shortened copy that the report shows of a large video
FRAME = 0.04  # seconds that a frame is shown of which nothing is known
GIF_CLOCK = 100  # ticks of a second, as the format has it
BITEXACT = {"fflags": "+bitexact", "movflags": "+faststart"}
# One thread and no choice by the processor, else files differ between machines; no B-frames: FFmpeg counts a file's
# length from decoding times, which with them end before the last frame where the frame rate varies.
X264 = "threads=1:cpu-independent=1:bframes=0"
ENCODER = {"crf": QUALITY, "preset": "medium", "flags": "+bitexact", "x264-params": X264}


def write_mp4(
    path: Path, frames: Iterable[tuple[float, np.ndarray]], last: float = FRAME, sound: Path | None = None
) -> None:
    """Write H.264 in MP4, each frame shown at its own time.

    Args:
        path: the file.
        frames: at least one: seconds, never falling, and RGB uint8 (H, W, 3) of one size, H and W even. The first is
            shown at 0.
        last: seconds that the last frame is shown.
        sound: a video whose sound, if it has any, is heard with the frames, which have its times.
    """
    with atomic_path(path) as temporary:
        with (
            av.open(str(temporary), "w", format="mp4", options=BITEXACT) as container,
            nullcontext() if sound is None else Sound(sound) as heard,
        ):
            container.metadata["comment"] = marking.COMMENT
            stream = container.add_stream("libx264", options=ENCODER)
            stream.thread_count, stream.pix_fmt = 1, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, CLOCK)
            ticks = []
            for start, ticks_of_frame, pixels in _timed(frames):
                if not ticks:
                    stream.height, stream.width = pixels.shape[:2]
                    if heard:
                        heard.begin(container, start)
                ticks.append(ticks_of_frame)
                container.mux(stream.encode(_frame(pixels, ticks_of_frame)))
                if heard:
                    container.mux(heard.until(ticks_of_frame / CLOCK))
            for packet in stream.encode():
                if packet.pts == ticks[-1]:  # else the file's length would follow from its mean frame rate
                    packet.duration = round(last * CLOCK)
                container.mux(packet)
            if heard:
                container.mux(heard.until(ticks[-1] / CLOCK + last))
        marking.mark_mp4(temporary)


def write_gif(path: Path, frames: Sequence[tuple[float, np.ndarray]], last: float = 0.1) -> None:
    """Write an endless GIF; arguments as for `write_mp4`, times rounded to a hundredth of a second."""
    ticks = [round((time - frames[0][0]) * GIF_CLOCK) for time, _ in frames]
    ticks.append(ticks[-1] + round(last * GIF_CLOCK))
    durations = [1000 // GIF_CLOCK * (end - start) for start, end in pairwise(ticks)]
    images = [Image.fromarray(pixels).quantize(256, Image.Quantize.FASTOCTREE, dither=0) for _, pixels in frames]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(marking.mark_gif(buffer.getvalue()))


def _timed(frames: Iterable[tuple[float, np.ndarray]]) -> Iterator[tuple[float, int, np.ndarray]]:
    """Give each frame its tick, counted from the first; of equal times, as damaged files have, the later ones move.

    The time of the first stands before each of them.
    """
    start = before = None
    for time, pixels in frames:
        start = time if start is None else start
        tick = round((time - start) * CLOCK)
        before = tick if before is None else max(tick, before + 1)
        yield start, before, pixels


def _frame(pixels: np.ndarray, ticks: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame = frame.reformat(format="yuv420p", interpolation=CONVERSION, threads=1)
    frame.pts, frame.time_base = ticks, Fraction(1, CLOCK)
    return frame
