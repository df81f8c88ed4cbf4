"""Pictures: colours, depths and formats that files state are honoured, or the picture is quarantined for them."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from source_files import index, write

from workflow_scripts.config.sources import FolderSource
from workflow_scripts.sources._listing import PICTURE_FILES, PICTURE_SUFFIXES, VIDEO_FILES, name_problem
from workflow_scripts.sources._pictures import BadPicture, check_content, decode_picture

MAX_PIXELS = 1_000_000
ADOBE_TO_XYZ = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]  # D50


def scene(width: int = 64, height: int = 48) -> np.ndarray:
    """A gradient of colours like those of skin, uint8 (H, W, 3)."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([90 + 120 * x, 70 + 90 * x, 60 + 60 * x + 50 * y], axis=2).astype(np.uint8)


def apart(data: bytes, expected: np.ndarray) -> float:
    """Return the mean difference in grey levels of a decoded picture."""
    found = decode_picture(data, MAX_PIXELS)
    assert found.shape == expected.shape and found.dtype == np.uint8 and found.flags.c_contiguous
    assert found.flags.writeable
    return float(np.abs(found.astype(int) - expected).mean())


def encoded(image: Image.Image, form: str, **keys) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **keys)
    return data.getvalue()


def tag(signature: bytes, content: bytes) -> tuple[bytes, bytes]:
    return signature, content + bytes(-len(content) % 4)


def profile(space: bytes, gamma: float, primaries: list[list[float]] | None = None) -> bytes:
    """An ICC profile of version 2 with one gamma, for `RGB ` by its primaries (XYZ of D50), or for `GRAY`."""

    def xyz(values) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))
    tags = [tag(b"wtpt", xyz((0.9642, 1, 0.8249))), tag(b"desc", b"desc\0\0\0\0\0\0\0\2x\0" + bytes(78))]
    tags += [tag(b"cprt", b"text\0\0\0\0none\0")]
    if primaries is None:
        tags.append(tag(b"kTRC", curve))
    else:
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), zip(*primaries, strict=True), strict=True):
            tags.append(tag(name, xyz(column)))
        tags += [tag(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    place, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags:
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", place + len(body), b"none", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    return (head + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0") + table + body


def as_adobe(pixels: np.ndarray) -> np.ndarray:
    """Return sRGB colours in those of Adobe RGB (1998)."""
    to_xyz = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    values = pixels / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ (np.linalg.inv(ADOBE_TO_XYZ) @ to_xyz).T, 0, 1)
    return np.round(255 * light ** (1 / 2.2)).astype(np.uint8)


ADOBE = profile(b"RGB ", 563 / 256, ADOBE_TO_XYZ)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def with_chunk(png: bytes, name: bytes, content: bytes, *without: bytes) -> bytes:
    """Put a chunk behind a PNG's header, and take others out."""
    for other in without:
        place = png.index(other) - 4
        png = png[:place] + png[place + 12 + struct.unpack_from(">I", png, place)[0] :]
    chunk = struct.pack(">I", len(content)) + name + content
    return png[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + png[33:]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_colour_profile_is_applied(form):
    keys = {"quality": 98, "subsampling": 0} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    keys = {"quality": 98, "subsampling": "4:4:4"} if form == "AVIF" else keys
    data = encoded(Image.fromarray(as_adobe(scene())), form, icc_profile=ADOBE, **keys)
    plain = encoded(Image.fromarray(as_adobe(scene())), form, **keys)
    assert apart(data, scene()) < 1.5 < 3 < apart(plain, scene())


def test_profiles_that_are_srgb_or_damaged_or_of_another_kind_change_nothing():
    for given in (SRGB, b"junk" * 99, SRGB[:200], profile(b"GRAY", 1.8)):
        assert apart(encoded(Image.fromarray(scene()), "PNG", icc_profile=given), scene()) == 0
        data = encoded(Image.fromarray(scene()), "JPEG", quality=90)
        own = encoded(Image.fromarray(scene()), "JPEG", quality=90, icc_profile=given)
        assert np.array_equal(decode_picture(data, MAX_PIXELS), decode_picture(own, MAX_PIXELS))


def test_grey_ink_and_transparent_pictures_have_profiles_too():
    grey = np.arange(48 * 64, dtype=np.float64).reshape(48, 64) / (48 * 64)
    dark = np.round(255 * grey ** (1 / 1.0)).astype(np.uint8)
    expected = np.where(dark / 255 <= 0.0031308, 12.92 * dark / 255, 1.055 * (dark / 255) ** (1 / 2.4) - 0.055)
    expected = np.repeat(np.round(255 * expected)[..., None], 3, axis=2)
    assert apart(encoded(Image.fromarray(dark), "PNG", icc_profile=profile(b"GRAY", 1.0)), expected) < 1
    layer = np.dstack([as_adobe(scene()), np.full((48, 64), 255, np.uint8)])
    layer[:10, :, 3] = 0
    expected = scene()
    expected[:10] = 255
    assert apart(encoded(Image.fromarray(layer), "PNG", icc_profile=ADOBE), expected) < 1.5
    lab = ImageCms.profileToProfile(
        Image.fromarray(scene()), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert apart(encoded(lab, "TIFF"), scene()) < 2
    assert apart(encoded(Image.fromarray(scene()).convert("CMYK"), "TIFF"), scene()) < 2


@pytest.mark.parametrize(("gamma", "exponent"), [(1.0, 2.2), (0.55, 2.2 * 0.55)])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_that_states_only_its_gamma_is_shown_by_it(gamma, exponent, depth):
    values = np.round((scene() / 255) ** exponent * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)
    png = cv2.imencode(".png", values[..., ::-1])[1].tobytes()
    stated = struct.pack(">I", round(100_000 * gamma))
    assert apart(with_chunk(png, b"gAMA", stated), scene()) < (1 if depth == 8 else 0.6)
    assert apart(png, scene()) > 10
    assert apart(with_chunk(with_chunk(png, b"gAMA", stated), b"sRGB", b"\0"), scene()) > 10, "sRGB has precedence"
    for unusable in (0, 45_455, 99_000_000):
        assert apart(with_chunk(png, b"gAMA", struct.pack(">I", unusable)), scene()) > 10


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("moved", [True, False])
def test_a_png_of_16_bits_may_use_fewer(bits, grey, moved):
    pixels = np.repeat(scene()[..., :1], 3, axis=2) if grey else scene()
    values = np.round(pixels / 255 * (2**bits - 1)).astype(np.uint16) << (16 - bits if moved else 0)
    png = cv2.imencode(".png", values[..., 0] if grey else values[..., ::-1])[1].tobytes()
    assert apart(with_chunk(png, b"sBIT", bytes([bits] * (1 if grey else 3))), pixels) <= 1
    if bits == 12 and not moved:
        with pytest.raises(BadPicture, match=r"nearly black: item: no value is above 1\d of 255; .* scale its values"):
            check_content("item", decode_picture(png, MAX_PIXELS))


def test_grey_tiffs_of_16_bits_are_scaled_and_not_inverted():
    values = (scene()[..., 0].astype(np.uint16) << 4) + 7
    grey = np.repeat(scene()[..., :1], 3, axis=2)
    assert apart(encoded(Image.fromarray(values), "TIFF", tiffinfo={281: 4095}), grey) < 1
    inverted = encoded(Image.fromarray(65_535 - scene()[..., 0].astype(np.uint16) * 257), "TIFF")
    place = inverted.index(struct.pack("<HHI", 262, 3, 1))
    assert apart(inverted[: place + 8] + b"\0\0" + inverted[place + 10 :], grey) < 1


def colours(primaries: int, transfer: int) -> bytes:
    return struct.pack(">HHHB", primaries, transfer, 6, 128)


def test_high_dynamic_range_is_quarantined():
    png, avif = (encoded(Image.fromarray(scene()), form) for form in ("PNG", "AVIF"))
    place = avif.index(b"colrnclx") + 8
    for primaries, transfer in ((9, 16), (9, 18), (12, 13)):
        for data in (
            with_chunk(png, b"cICP", bytes([primaries, transfer, 0, 1])),
            avif[:place] + colours(primaries, transfer) + avif[place + 7 :],
        ):
            with pytest.raises(
                BadPicture, match="colours not supported: its colours are of high dynamic range or wide"
            ):
                decode_picture(data, MAX_PIXELS)
    assert apart(with_chunk(png, b"cICP", bytes([1, 13, 0, 1])), scene()) == 0
    assert apart(avif, scene()) < 4


def float_tiff() -> bytes:
    return cv2.imencode(".tif", scene().astype(np.float32) / 255)[1].tobytes()


NOT_SUPPORTED = {
    "floats.tif": float_tiff(),
    "32 bits.tif": encoded(Image.fromarray(scene()[..., 0].astype(np.int32)), "TIFF"),
    "12 bits.jpg": encoded(Image.fromarray(scene()), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
    "lossless.jpg": encoded(Image.fromarray(scene()), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc3\0\x11\x08"),
    "compression.tif": encoded(Image.fromarray(scene()), "TIFF").replace(
        struct.pack("<HHIHH", 259, 3, 1, 1, 0), struct.pack("<HHIHH", 259, 3, 1, 34_999, 0)
    ),
    "floats.ppm": b"Pf\n64 48\n-1.0\n" + scene()[..., 0].astype(np.float32).tobytes(),
}


@pytest.mark.parametrize("name", NOT_SUPPORTED)
def test_what_is_not_supported_is_never_called_damaged(name):
    with pytest.raises(BadPicture, match=r"^pixel format not supported: .*; convert it to JPEG, or to PNG of"):
        decode_picture(NOT_SUPPORTED[name], MAX_PIXELS)


def test_pictures_of_all_endings_are_read(tmp_path):
    forms = {".jfif": "JPEG", ".jpe": "JPEG", ".JPG": "JPEG", ".avif": "AVIF", ".jp2": "JPEG2000", ".dib": "BMP"}
    forms |= {".pbm": "PPM", ".gif": "GIF", ".Webp": "WEBP", ".PNG": "PNG", ".tif": "TIFF", ".bmp": "BMP"}
    files = {f"a{suffix}": encoded(Image.fromarray(scene()), form) for suffix, form in forms.items()}
    stack = [Image.fromarray(scene()), Image.fromarray(scene()[::-1])]
    for form in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        files[f"moving.{form.lower()}"] = encoded(stack[0], form, save_all=True, append_images=stack[1:])
    rows, rejected = index(FolderSource(type="folder", path=str(write(tmp_path / "in", files))), tmp_path)
    assert rejected == [] and {row["item"] for row in rows} == set(files)
    for name, data in files.items():
        assert apart(data, scene()) < (9 if "gif" in name else 4), name


@pytest.mark.parametrize(
    ("name", "kind", "remedy"),
    [
        ("a.JXL", PICTURE_FILES, "convert it to JPEG or PNG"),
        ("a.CR2", PICTURE_FILES, "it is a camera's raw file; develop it"),
        ("a.dng", PICTURE_FILES, "it is a camera's raw file; develop it"),
        ("a.psd", PICTURE_FILES, "export it as PNG"),
        ("a.MTS", PICTURE_FILES, "it is a video; make a source of type video of it"),
        ("a.zip", PICTURE_FILES, "unpack it"),
        ("a.txt", PICTURE_FILES, "the name ends in none of .jpg"),
        ("a", PICTURE_FILES, "the name ends in none of .jpg"),
        ("a.jpg ", PICTURE_FILES, "a blank stands after the ending of its name; rename it"),
        ("a.heic", VIDEO_FILES, "it is a picture; make a source of type folder of it"),
        ("a.mxf", VIDEO_FILES, "convert it to MP4"),
        ("a.srt", VIDEO_FILES, "the name ends in none of .mp4"),
    ],
)
def test_every_other_file_has_a_line_that_says_what_to_do(name, kind, remedy):
    assert remedy in name_problem(name, kind).detail
    assert not any(name_problem(f"x{suffix.upper()}") for suffix in PICTURE_SUFFIXES)


HEIC = """
import sys, types
from PIL import Image, ImageFile
class Stub(ImageFile.ImageFile):
    format = "HEIF"
    def _open(self):
        self._mode, self._size, self.tile = "RGB", (64, 48), []
    def load(self):
        self.im = Image.new("RGB", (64, 48), (200, 100, 50)).im
        return Image.Image.load(self)
stub = types.ModuleType("pillow_heif")
stub.register_heif_opener = lambda: Image.register_open("HEIF", Stub, lambda head: head[4:8] == b"ftyp")
sys.modules["pillow_heif"] = stub if sys.argv[1] == "with" else None
from workflow_scripts.sources._pictures import BadPicture, decode_picture
try:
    print(decode_picture(bytes(3) + b"\\x18ftypheic" + bytes(60), 10**6)[0, 0].tolist())
except BadPicture as bad:
    print(bad)
"""


def test_heic_is_read_where_its_package_is_installed():
    def said(way: str) -> str:
        command = [sys.executable, "-c", HEIC, way]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent
        ).stdout

    assert said("with") == "[200, 100, 50]\n"
    assert said("without").startswith(
        "HEIC needs a package: it is HEIC; convert it to JPEG, or `pip install pillow-heif`"
    )


def test_black_and_flat_pictures_are_not_accepted():
    for pixels, reason in (
        (np.zeros((50, 50, 3), np.uint8), "nearly black"),
        (np.random.default_rng(0).integers(0, 16, (900, 900, 3), np.uint8), "nearly black"),
        (np.full((50, 50, 3), 90, np.uint8), "flat picture"),
        (np.full((50, 50, 3), (250, 30, 30), np.uint8), "flat picture"),
    ):
        with pytest.raises(BadPicture, match=reason):
            check_content("item", pixels)
    check_content("item", scene())
    check_content("item", (scene() // 6).astype(np.uint8))
