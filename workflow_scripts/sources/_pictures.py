"""Decoding pictures that nobody has checked: the result is RGB, upright and whole, or a reason why there is none."""

import io
import re
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, UnidentifiedImageError

from workflow_scripts.core.cli import BadItem
from workflow_scripts.sources._colours import (
    coded_colours,
    convert_gamma,
    convert_ink,
    convert_profile,
    fill_range,
    is_usual,
    png_chunks,
)

# EPS, for example, would make Pillow start Ghostscript. HEIF is read where the package pillow-heif is installed.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000")
PICTURE_MAGIC = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8"),
    *(b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
)
AVIF = (b"ftypavif", b"ftypavis")
HEIC = (b"ftypheic", b"ftypheix", b"ftypheim", b"ftypheis", b"ftyphevc", b"ftyphevx", b"ftypmif1", b"ftypmsf1")
JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
# Of what decoders say, what means that a file is not damaged; of an unknown TIFF compression it is the number alone.
NOT_SUPPORTED = re.compile(r"unsupported|not supported|unknown|cannot handle|not available|not implemented|^\d+$", re.I)
RARE_JPEG = re.compile(rb"\xff[\xc3\xc5-\xc7\xcb\xcd-\xcf]\0[\x0b\x0e\x11\x14]")  # without loss, or in layers
WHITE_IS_ZERO, MOST_SAMPLE = (262, 0), 281  # TIFF's tags: kind of grey, largest value
DARK, FLAT = 20, 4  # grey levels: a picture without brighter values, or without a larger difference, shows nothing
FEW_LINES, MANY_LINES = 16, 512  # looked at for that; the few tell of nearly all pictures that they show something
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
    image = open_picture(data, max_pixels)
    turned = image.format != "TIFF" and orientation_of(image) >= 5  # Pillow gives a TIFF's size already turned
    return (image.height, image.width) if turned else image.size


def decode_picture(data: bytes, max_pixels: int) -> np.ndarray:
    """Decode a picture, or the first picture of an animation or of a file with several pages.

    EXIF rotation is applied, colours become sRGB by the file's profile or gamma, transparency is laid over white, of
    more than 8 bits the upper 8 of those that the file states are kept, and grey, palette and CMYK pictures become RGB.

    Args:
        data: the bytes of the file, which decide the format; the file's name does not.
        max_pixels: a larger picture is refused before it is decoded.

    Returns:
        RGB uint8 (H, W, 3), contiguous and writable.

    Raises:
        BadPicture: the bytes are no whole supported picture, or its size is outside the limits.
    """
    image = open_picture(data, max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if image.format == "PNG":  # Pillow ignores wrong checksums of pixels when it loads them
                open_picture(data, max_pixels).verify()
            pixels = _decode_plain_jpeg(image, data)
            if pixels is None:
                image.load()  # a TIFF is turned by this
                pixels = _to_rgb(image, data)
            elif "icc_profile" in image.info:
                pixels = np.array(convert_profile(pixels, image.info["icc_profile"]))
            turn = TURNS.get(orientation_of(image))
            return pixels if turn is None else np.array(Image.fromarray(pixels).transpose(turn))
    except (BadPicture, MemoryError):
        raise
    except Exception as error:  # decoders raise nearly anything on damaged data
        if RARE_JPEG.search(data, 0, 1 << 16) and image.format == "JPEG":
            raise _unsupported("a JPEG of a rare kind") from error
        raise _damaged(error) from error


def check_light(item: str, pixels: np.ndarray) -> None:
    """Raise `BadPicture` for pixels, RGB uint8 (H, W, 3), that are nearly black."""
    if _lines(pixels, FEW_LINES).max() > DARK:
        return
    brightest = _lines(pixels, MANY_LINES).max()
    if brightest <= DARK:
        raise BadPicture(
            "nearly black",
            f"{item}: no value is above {brightest} of 255; leave it out, or, if its file holds fewer bits than it "
            "states, scale its values to the full range",
        )


def check_content(item: str, pixels: np.ndarray) -> None:
    """Raise `BadPicture` for pixels, RGB uint8 (H, W, 3), that are nearly black or nearly all alike."""
    check_light(item, pixels)
    if all(np.ptp(_lines(pixels, count), axis=(0, 1)).max() <= FLAT for count in (FEW_LINES, MANY_LINES)):
        raise BadPicture("flat picture", f"{item}: all of it has one colour; leave it out or replace it")


def _lines(pixels: np.ndarray, count: int) -> np.ndarray:
    """Return about so many lines and columns of a picture."""
    step = max(1, max(pixels.shape) // count)
    return pixels[::step, ::step]


def check_size(width: int, height: int, max_pixels: int | None) -> None:
    """Raise `BadPicture` for a picture or frame with more than `max_pixels` pixels, or too small to hold a face."""
    if max_pixels is not None and width * height > max_pixels:
        raise BadPicture(
            "too many pixels", f"{width}x{height} is more than max_pixels = {max_pixels}; shrink it or raise max_pixels"
        )
    if min(width, height) < MIN_SIDE:
        raise BadPicture("too small", f"{width}x{height} pixels; the smallest side must be {MIN_SIDE}")


def open_picture(data: bytes, max_pixels: int) -> Image.Image:
    """Return a picture of which only the header has been read, after its size has been checked."""
    if not data:
        raise BadPicture("empty file", "it has 0 bytes; copy or download it again")
    formats = _formats(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=formats)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged data
        if not isinstance(error, UnidentifiedImageError):
            raise _damaged(error) from error
        if data.startswith(PICTURE_MAGIC) or data[4:12] in AVIF + HEIC:
            raise _refusal(data) from error
        raise BadPicture("not a picture", f"it {_looks_like(data)}; replace or remove it") from error
    check_size(*image.size, max_pixels)
    if image.format == "TIFF" and image.tag_v2.get(TILE_WIDTH, 0) * image.tag_v2.get(TILE_LENGTH, 0) > max_pixels:
        raise BadPicture(
            "too many pixels", "one of its tiles has more than max_pixels; save it again with smaller ones"
        )
    return image


def orientation_of(image: Image.Image) -> int:
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


def _to_rgb(image: Image.Image, data: bytes) -> np.ndarray:
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise _unsupported("its values are of 32 bits or signed")
    profile = image.info.get("icc_profile")
    if (profile is None or image.format == "PNG") and not is_usual(coded_colours(data, image.format)):
        raise BadPicture(
            "colours not supported", "its colours are of high dynamic range or wide gamut; convert it to sRGB"
        )
    gamma = image.info.get("gamma") if profile is None and "srgb" not in image.info else None
    deep = _deep_values(image, data)
    if deep is not None:
        values = fill_range(convert_gamma(deep, gamma), _most_value(image, data))
        return np.array(_as_rgb(convert_profile(values, profile)))
    if image.mode in ("CMYK", "LAB"):
        return np.array(convert_ink(image))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        colours = convert_gamma(convert_profile(np.asarray(layer)[..., :3], profile), gamma)
        layer = Image.fromarray(np.dstack([colours, np.asarray(layer)[..., 3]]))
        return np.array(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))
    grey = image.mode in ("1", "L")
    pixels = convert_profile(np.asarray(image.convert("L" if grey else "RGB")), profile)
    return np.array(_as_rgb(convert_gamma(pixels, gamma)))


def _as_rgb(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def _deep_values(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Return the values of a picture of 16 bits, uint16 (H, W) or RGB (H, W, 3), or None for 8 bits.

    Pillow keeps the upper 8 bits of colours. So these are decoded by OpenCV where the lower ones matter: in a PNG that
    states fewer bits or another gamma, and has no alpha, which OpenCV would drop.
    """
    import cv2

    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint16)
        white_is_zero = image.format == "TIFF" and image.tag_v2.get(WHITE_IS_ZERO[0]) == WHITE_IS_ZERO[1]
        return 65_535 - values if white_is_zero else values
    if image.format == "PNG" and data[24:26] == b"\x10\x02" and {b"sBIT", b"gAMA"} & png_chunks(data).keys():
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
    return None


def _most_value(image: Image.Image, data: bytes) -> int:
    """Return the largest value that a picture of 16 bits can have by what its file states."""
    with suppress(TypeError, ValueError):  # damaged tags
        if image.format == "TIFF":
            most = image.tag_v2.get(MOST_SAMPLE, 65_535)
            return max(1, int(max(most) if isinstance(most, tuple) else most))
        if image.format == "PNG":
            bits = max(png_chunks(data).get(b"sBIT") or b"\x10")
            return (1 << bits) - 1 if 1 <= bits <= 16 else 65_535
    return 65_535


def _formats(data: bytes) -> tuple[str, ...]:
    """Return the formats to try; HEIF only with its package, which is imported for its own files alone."""
    if data[4:12] not in HEIC:
        return FORMATS
    try:
        import pillow_heif
    except ImportError as error:
        raise BadPicture(
            "HEIC needs a package",
            "it is HEIC; convert it to JPEG, or `pip install pillow-heif` (and start the workflow again with "
            "`--forcerun index_source`)",
        ) from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _refusal(data: bytes) -> BadPicture:
    """Return why Pillow does not know a picture whose first bytes are right: it is not supported, or damaged."""
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is None or (accepts is not None and accepts(data[:16]) is not True):
            continue
        try:
            factory(io.BytesIO(data), "")
        except Exception as cause:  # this is not told when all formats are tried
            if NOT_SUPPORTED.search(str(cause)):
                return _unsupported(f"{name} of a kind that is not read ({cause})")
    return BadPicture("damaged picture", "its header cannot be read; copy or download it again")


def _unsupported(what: str) -> BadPicture:
    return BadPicture("pixel format not supported", f"{what}; convert it to JPEG, or to PNG of 8 or 16 bits")


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
    if data.startswith(JPEG_XL):
        return "is JPEG XL (convert it to JPEG or PNG)"
    if data[4:8] == b"ftyp" or data.startswith(b"\x1aE\xdf\xa3"):
        return "is a video (use a source of type video)"
    if head.startswith((b"pk\x03\x04", b"\x1f\x8b", b"rar!")):
        return "is an archive"
    return "is in none of the formats " + ", ".join(FORMATS)
