"""Decoding pictures that nobody has checked: the result is RGB, upright and whole, or a reason why there is none."""

import io
import re
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from workflow_scripts.core.cli import BadItem

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")  # EPS, for example, would make Pillow start Ghostscript
PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"GIF8", b"P5", b"P6", b"P2", b"P3")
MIN_SIDE = 16  # pixels; smaller pictures hold no face that could be found
ORIENTATION = 0x0112  # EXIF's number for the key
TILE_WIDTH, TILE_LENGTH = 322, 323  # TIFF's; a decoder unpacks whole tiles, whatever the picture's size
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # markers of JPEG
OUT_OF_PLACE = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # markers that must not stand between these two
# What turns a picture upright, by its EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.MAX_IMAGE_PIXELS = None  # replaced by the configured limit, which is checked before decoding


class BadPicture(BadItem):
    """A picture that cannot be used."""


def picture_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Return width and height after EXIF rotation, from the header alone where the format allows it.

    Args:
        data: the bytes of the file.
        max_pixels: a larger picture is refused.

    Raises:
        BadPicture: the bytes are no supported picture, or its size is outside the limits.
    """
    image = _open(data, max_pixels)
    turned = image.format != "TIFF" and _orientation(image) >= 5  # Pillow gives a TIFF's size already turned
    return (image.height, image.width) if turned else image.size


def decode_picture(data: bytes, max_pixels: int) -> np.ndarray:
    """Decode a picture, or the first picture of an animation or of a file with several pages.

    EXIF rotation is applied, transparency is laid over white, the upper 8 of 16 bits are kept, and grey, palette and
    CMYK pictures become RGB.

    Args:
        data: the bytes of the file, which decide the format; the file's name does not.
        max_pixels: a larger picture is refused before it is decoded.

    Returns:
        RGB uint8 (H, W, 3), contiguous and writable.

    Raises:
        BadPicture: the bytes are no whole supported picture, or its size is outside the limits.
    """
    image = _open(data, max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if image.format == "PNG":  # Pillow ignores wrong checksums of pixels when it loads them
                _open(data, max_pixels).verify()
            pixels = _decode_plain_jpeg(image, data)
            if pixels is None:
                image.load()  # a TIFF is turned by this
                pixels = _to_rgb(image)
            turn = TURNS.get(_orientation(image))
            return pixels if turn is None else np.array(Image.fromarray(pixels).transpose(turn))
    except (BadPicture, MemoryError):
        raise
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise _damaged(error) from error


def check_size(width: int, height: int, max_pixels: int | None) -> None:
    """Raise `BadPicture` for a picture or frame with more than `max_pixels` pixels, or too small to hold a face."""
    if max_pixels is not None and width * height > max_pixels:
        raise BadPicture(
            "too many pixels", f"{width}x{height} is more than max_pixels = {max_pixels}; shrink it or raise max_pixels"
        )
    if min(width, height) < MIN_SIDE:
        raise BadPicture("too small", f"{width}x{height} pixels; the smallest side must be {MIN_SIDE}")


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Return a picture of which only the header has been read, after its size has been checked."""
    if not data:
        raise BadPicture("empty file", "it has 0 bytes; copy or download it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged data
        if data.startswith(PICTURE_MAGIC) and isinstance(error, UnidentifiedImageError):
            raise BadPicture("damaged picture", "its header cannot be read; copy or download it again") from error
        if isinstance(error, UnidentifiedImageError):
            raise BadPicture("not a picture", f"it {_looks_like(data)}; replace or remove it") from error
        raise _damaged(error) from error
    check_size(*image.size, max_pixels)
    if image.format == "TIFF" and image.tag_v2.get(TILE_WIDTH, 0) * image.tag_v2.get(TILE_LENGTH, 0) > max_pixels:
        raise BadPicture(
            "too many pixels", "one of its tiles has more than max_pixels; save it again with smaller ones"
        )
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, or 1 (upright) where it is absent or its data are damaged."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data are no reason to lose a picture
        return 1
    return value if value in TURNS else 1


def _decode_plain_jpeg(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Return the pixels of an ordinary colour JPEG, decoded by OpenCV, or None for any other or a damaged picture.

    OpenCV gives the same pixels as Pillow in half the time, but it does not report missing or misplaced data. So only
    pictures of one scan are decoded so, with both markers and no other between them.
    """
    import cv2  # here, because headers are read without it

    if image.format != "JPEG" or image.mode != "RGB" or "progressive" in image.info:
        return None
    start, end = data.rfind(START_OF_SCAN), data.rfind(END_OF_IMAGE)
    if end < start or OUT_OF_PLACE.search(data, start + len(START_OF_SCAN), end):
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise BadPicture(
            "pixel format not supported", "its values are of 32 bits or signed; convert it to 8 or 16 bits"
        )
    if image.mode.startswith("I"):  # grey of 16 bits
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _damaged(error: Exception) -> BadPicture:
    text = str(error) or type(error).__name__
    reason = "truncated picture" if "truncated" in text.lower() or isinstance(error, EOFError) else "damaged picture"
    return BadPicture(reason, f"decoding failed ({text}); copy or download it again")


def _looks_like(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "is a web page, as a failed download leaves it"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer (fetch the file with `git lfs pull`)"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "is HEIC or AVIF (convert it to JPEG or PNG)"
    if head.startswith((b"pk\x03\x04", b"\x1f\x8b", b"rar!")):
        return "is an archive"
    return "is in none of the formats " + ", ".join(FORMATS)
