"""Pictures that are to be edited: what is seen of them, and what of their files stays as it is.

What networks see is sRGB, upright, over white (`_pictures.decode_picture`). An edited picture keeps the values that its
file has: the colours of its profile and its transparency. So the values of a pixel that is not edited stay as they are.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

from workflow_scripts.sources._colours import is_profile, restore_profile
from workflow_scripts.sources._pictures import ORIENTATION, TURNS, decode_picture, open_picture, orientation_of

SEVERAL = ("GIF", "PNG", "TIFF", "WEBP")  # formats whose files can hold several pictures that count
PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # of Pillow; values of other modes cannot stay as they are


@dataclass
class Original:
    """A picture, upright.

    Attributes:
        shown: RGB uint8 (H, W, 3), sRGB over white.
        stored: the file's own values, RGB or RGBA uint8 (H, W, 3 or 4). Of a file of 16 bits, CMYK or Lab, or with a
            gamma of its own, these are those of `shown`.
        profile: the ICC profile of `stored`; None for sRGB.
        exif: the file's EXIF data without orientation, since `stored` is upright, and without its thumbnail, which
            would show the picture as it was; empty if there are none.
        count: pictures in the file, of which this is the first, as in an animation.
    """

    shown: np.ndarray
    stored: np.ndarray
    profile: bytes | None
    exif: bytes
    count: int = 1

    @property
    def remarks(self) -> list[str]:
        """What is to be said of what is written, a line each."""
        return [f"has {self.count} pictures, of which the first is written"] if self.count > 1 else []

    def edited(self, shown: np.ndarray) -> np.ndarray:
        """Return `stored` with the pixels changed that differ between `shown` (H, W, 3) and what was shown before."""
        changed = (shown != self.shown).any(axis=2)
        result = self.stored.copy()
        if changed.any():
            rows, columns = (slice(at.min(), at.max() + 1) for at in np.nonzero(changed))
            colours = restore_profile(np.ascontiguousarray(shown[rows, columns]), self.profile)
            where = changed[rows, columns]
            result[rows, columns, :3][where] = colours[where]
        return result


def read_original(data: bytes, max_pixels: int) -> Original:
    """Decode a picture that is to be edited.

    Args:
        data: the bytes of the file.
        max_pixels: a larger picture is refused before it is decoded.

    Raises:
        BadPicture: as `decode_picture`.
    """
    shown = decode_picture(data, max_pixels)
    image = open_picture(data, max_pixels)
    turn = None if image.format == "TIFF" else TURNS.get(orientation_of(image))  # Pillow turns a TIFF by itself
    exif = _exif(image)
    count = getattr(image, "n_frames", 1) if image.format in SEVERAL else 1
    profile = image.info.get("icc_profile")
    profile = profile if is_profile(profile) else None
    if image.mode not in PLAIN_MODES or not (profile or image.has_transparency_data):
        return Original(shown, shown, None, exif, count)
    stored = image.convert("RGBA" if image.has_transparency_data else "RGB")
    stored = np.array(stored if turn is None else stored.transpose(turn))
    if profile is None:
        opaque = stored[..., 3] == 255
        if (stored[..., :3][opaque] != shown[opaque]).any():  # a gamma was applied
            return Original(shown, shown, None, exif, count)
    return Original(shown, stored, profile, exif, count)


def _exif(image: Image.Image) -> bytes:
    with suppress(Exception):  # damaged EXIF data are no reason to lose a picture
        exif = image.getexif()
        exif.pop(ORIENTATION, None)
        return exif.tobytes() if len(exif) else b""
    return b""
