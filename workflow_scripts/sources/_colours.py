"""What a picture states about its colours and values, and its pixels as sRGB."""

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

NEARLY_SRGB = (
    4  # grey levels by which a profile may differ from sRGB; those named sRGB differ by 1, others by 45 and more
)
SRGB_GAMMA = 1 / 2.2  # as PNG's gAMA states it
USUAL_GAMMA = 0.05  # relative difference of a gamma that is taken for that of sRGB
# Numbers of ITU-T H.273 for colours that are sRGB, or nearly so, or unknown: primaries and transfer functions.
USUAL_PRIMARIES, USUAL_TRANSFERS = {0, 1, 2, 5, 6, 7, 22}, {0, 1, 2, 4, 6, 7, 11, 12, 13, 14, 15}


def convert_profile(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Return RGB or grey pixels, of this ICC profile, as sRGB; one that is damaged or absent changes nothing.

    Args:
        pixels: uint8 (H, W, 3), or (H, W) grey.
        profile: the bytes of the profile, or None.
    """
    transform = _transform(profile, "RGB" if pixels.ndim == 3 else "L") if profile else None
    if transform is None:
        return pixels
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))


def restore_profile(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Return RGB pixels of sRGB, uint8 (H, W, 3), in the colours of an ICC profile: the way back of `convert_profile`.

    Colours that the profile does not have become the nearest ones that it has.
    """
    if not profile or _transform(profile, "RGB") is None:
        return pixels
    back = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), _profile(profile, "RGB"), "RGB", "RGB")
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), back))


def is_profile(data: bytes | None) -> bool:
    """Tell whether bytes are an ICC profile of RGB pictures that can be used."""
    return data is not None and _profile(data, "RGB") is not None


def convert_ink(image: Image.Image) -> Image.Image:
    """Return a picture of mode CMYK or LAB as RGB, by its own profile where it has one that can be used."""
    profile = _profile(image.info.get("icc_profile"), image.mode)
    if profile is None and image.mode == "LAB":
        profile = ImageCms.createProfile("LAB")
    if profile is None:
        return image.convert("RGB")
    return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")


def convert_gamma(values: np.ndarray, gamma: float | None) -> np.ndarray:
    """Return values of a PNG that states nothing but its gamma as those of sRGB.

    Args:
        values: uint8 or uint16, any shape.
        gamma: the exponent that the file states, about 0.455 for sRGB; None, or a number that makes no sense, changes
            nothing.
    """
    if not gamma or not 0.1 < gamma < 10 or abs(gamma / SRGB_GAMMA - 1) < USUAL_GAMMA:
        return values
    most = np.iinfo(values.dtype).max
    table = np.round((np.arange(most + 1) / most) ** (SRGB_GAMMA / gamma) * most).astype(values.dtype)
    return table[values]


def fill_range(values: np.ndarray, most: int) -> np.ndarray:
    """Return uint16 values whose largest possible one is `most` as uint8.

    Files that state fewer bits than they store have either moved them to the upper end, as PNG asks for, or not. They
    have not if no value is above `most`.
    """
    if most >= 65_535 or values.max(initial=0) > most:
        return (values >> 8).astype(np.uint8)
    return np.round(values * (255 / most)).astype(np.uint8)


def png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the content of the chunks in front of a PNG's pixels, by their names."""
    chunks, place = {}, 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"IDAT":
            break
        chunks[name] = data[place + 8 : place + 8 + length]
        place += length + 12
    return chunks


def coded_colours(data: bytes, form: str | None) -> tuple[int, int] | None:
    """Return the numbers of primaries and transfer function (ITU-T H.273) that a PNG, AVIF or HEIC states, or None."""
    if form == "PNG":
        coded = png_chunks(data).get(b"cICP", b"")
        return (coded[0], coded[1]) if len(coded) == 4 else None
    place = data.find(b"colrnclx", 0, 1 << 16) if form in ("AVIF", "HEIF") else -1
    return struct.unpack_from(">HH", data, place + 8) if 0 <= place <= len(data) - 12 else None


def is_usual(colours: tuple[int, int] | None) -> bool:
    """Tell whether colours, as `coded_colours` gives them, are those of sRGB or nearly so, or unknown."""
    return colours is None or (colours[0] in USUAL_PRIMARIES and colours[1] in USUAL_TRANSFERS)


def _profile(data: bytes | None, mode: str) -> ImageCms.ImageCmsProfile | None:
    """Return an ICC profile if it is for pictures of this mode."""
    spaces = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        return profile if profile.profile.xcolor_space == spaces[mode] else None
    except (OSError, TypeError, ImageCms.PyCMSError):  # absent or damaged
        return None


@lru_cache(maxsize=16)
def _transform(data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what turns pixels of a profile into sRGB, or None if it is sRGB, or nearly so, or cannot be used."""
    profile = _profile(data, mode)
    if profile is None:
        return None
    try:
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:
        return None
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3) if mode == "RGB" else steps[None]
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform)).astype(int)
    change = np.abs(converted - (grid if mode == "RGB" else grid[..., None])).max()
    return transform if change > NEARLY_SRGB else None
