"""The part of a video's frames that its file states is to be shown, where FFmpeg does not apply it by itself.

In MP4 and QuickTime it is the clean aperture, a box named `clap`; in Matroska the elements PixelCrop. What codecs crop,
FFmpeg applies.
"""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

APERTURE = re.compile(rb"\0\0\0\x28clap(.{32})", re.DOTALL)  # ISO 14496-12, 12.1.4
QUICKTIME = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")  # the first box of a file
MOST_BYTES = 1 << 26  # of the tables of an MP4 that are searched
BEGINNING = 1 << 22  # bytes of a Matroska file in which its tracks are looked for
# Matroska's elements on the way to the lines and columns to leave out, and these (RFC 9559, 5.1.4.1.28).
MATROSKA, SEGMENT, TRACKS, TRACK, VIDEO = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE, 0xE0
BOTTOM, TOP, LEFT, RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD


class Window(NamedTuple):
    """What is left out on each side, in pixels as stored; negative numbers count as 0."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Window(0, 0, 0, 0)


def stated_window(file: BinaryIO, width: int, height: int) -> Window:
    """Return what a file states about the part of its frames that is shown.

    Args:
        file: open at any position, which changes.
        width: of the frames, in pixels as stored.
        height: likewise.
    """
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if head.startswith(MATROSKA.to_bytes(4, "big")):
        sides = dict(_crops(file.read(BEGINNING)))
        return Window(*(sides.get(side, 0) for side in (LEFT, TOP, RIGHT, BOTTOM)))
    found = APERTURE.search(_tables(file)) if head[4:8] in QUICKTIME else None
    values = struct.unpack(">8i", found[1]) if found else (0,) * 8
    if not all(values[1::2]):
        return WHOLE
    shown_width, shown_height, right, down = (values[place] / values[place + 1] for place in (0, 2, 4, 6))
    beside, above = (width - shown_width) / 2, (height - shown_height) / 2
    return Window(beside + right, above + down, beside - right, above - down)


def _tables(file: BinaryIO) -> bytes:
    """Return the box `moov` of an MP4, or its beginning; empty if there is none."""
    while len(head := file.read(16)) >= 8:
        size, name = struct.unpack(">I4s", head[:8])
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if name == b"moov":
            return head[8:] + file.read(min(size, MOST_BYTES))
        if size < 8:  # damaged, or the last box
            break
        file.seek(size - len(head), 1)
    return b""


def _crops(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the elements of Matroska that tell how much of each side of the first video track is left out."""
    start, end = 0, len(data)
    for wanted in (SEGMENT, TRACKS):
        start, end = next((place for name, *place in _elements(data, start, end) if name == wanted), (0, 0))
    for name, *track in _elements(data, start, end):
        videos = [place for inner, *place in _elements(data, *track) if inner == VIDEO] if name == TRACK else []
        for video in videos[:1]:
            for side, begin, close in _elements(data, *video):
                if side in (BOTTOM, TOP, LEFT, RIGHT):
                    yield side, int.from_bytes(data[begin:close], "big")
            return


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the name of each element of EBML between two positions, and where its content begins and ends."""
    while start < end:
        length = 9 - data[start].bit_length()
        name, start = int.from_bytes(data[start : start + length], "big"), start + length
        if start >= end or length > 4:
            return
        length = 9 - data[start].bit_length()
        size = int.from_bytes(data[start : start + length], "big") & ((1 << 7 * length) - 1)
        start += length
        unknown = size == (1 << 7 * length) - 1
        close = end if unknown else min(start + size, end)
        yield name, start, close
        start = close
