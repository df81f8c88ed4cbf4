"""The files that fuzzing damages: texts from `tests/corpus`, and pictures, archives and videos, which are made here."""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
from PIL import Image

TEXTS = Path(__file__).parent / "corpus"
Y, X = np.mgrid[:24, :32]
PIXELS = np.stack([X * 8, Y * 10, (X + Y) * 4], axis=-1).astype(np.uint8)


def picture(kind: str, image: Image.Image | None = None, **options) -> bytes:
    data = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(data, kind, **options)
    return data.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture("JPEG", exif=exif)


def animation() -> bytes:
    return picture("GIF", save_all=True, append_images=[Image.fromarray(PIXELS).rotate(90)])


def zipped() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("a.jpg", turned()), ("b/ä.png", picture("PNG"))):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


@cache
def tarred() -> bytes:
    """Return a tar with extended headers: a long name, one that is not ASCII, and times with fractions."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in (("a.jpg", turned()), ("b/ä.png", picture("PNG")), (f"{'n' * 120}.png", picture("PNG"))):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1.5
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def clip(container: str, codec: str) -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format=container) as written:
        stream = written.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size, stream.thread_count = 32, 24, "yuv420p", 3, 1
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.roll(PIXELS, 3 * number, axis=1), format="rgb24")
            written.mux(stream.encode(frame))
        written.mux(stream.encode())
    return data.getvalue()


MADE: dict[str, Callable[[], bytes]] = {
    "pictures/1.png": partial(picture, "PNG"),
    "pictures/2.png": lambda: picture("PNG", Image.fromarray(PIXELS).convert("P"), transparency=3),
    "pictures/grey16.png": lambda: picture("PNG", Image.fromarray((X * 2000).astype(np.uint16))),
    "pictures/turned.jpg": turned,
    "pictures/progressive.jpg": partial(picture, "JPEG", progressive=True),
    "pictures/cmyk.jpg": lambda: picture("JPEG", Image.fromarray(PIXELS).convert("CMYK")),
    "pictures/a.bmp": partial(picture, "BMP"),
    "pictures/a.webp": partial(picture, "WEBP"),
    "pictures/a.gif": animation,
    "pictures/a.ppm": partial(picture, "PPM"),
    "pictures/lzw.tif": partial(picture, "TIFF", compression="tiff_lzw"),
    "pictures/jpeg.tif": partial(picture, "TIFF", compression="jpeg"),
    "archives/a.zip": zipped,
    "archives/a.tar": tarred,
    "archives/a.tar.gz": lambda: gzip.compress(tarred(), mtime=0),
    "archives/a.tar.bz2": lambda: bz2.compress(tarred()),
    "archives/a.tar.xz": lambda: lzma.compress(tarred()),
    "videos/a.mp4": partial(clip, "mp4", "libx264"),
    "videos/a.mkv": partial(clip, "matroska", "libx264"),
    "videos/a.avi": partial(clip, "avi", "mpeg4"),
    "videos/a.webm": partial(clip, "webm", "libvpx"),
}
NAMES = sorted([*MADE, *(path.relative_to(TEXTS).as_posix() for path in TEXTS.glob("*/*"))])


def write_corpus(folder: Path) -> None:
    """Write all files, named `{parser}/{file}`, into a folder."""
    shutil.copytree(TEXTS, folder, dirs_exist_ok=True)
    for name, make in MADE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(make())
