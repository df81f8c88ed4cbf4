"""Bad pictures, folders and archives: each is read right, set aside with its reason, or refused at start."""

import importlib.util
import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from workflow_scripts.config.sources import CelebaSource, FolderSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.sources._pictures import BadPicture, decode_picture
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.sources.index_source import index_source

WIDTH, HEIGHT = 60, 40
MAX_PIXELS = 1_000_000
INDEX = "workflow_scripts.stages.sources.index_source"


def scene() -> Image.Image:
    """Red above, blue below, a green square in the left upper corner: no turn of it looks like another."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (200, 40, 30))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, HEIGHT // 2, WIDTH, HEIGHT), fill=(20, 60, 210))
    draw.rectangle((0, 0, 15, 15), fill=(30, 180, 50))
    return picture


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def turned_jpeg(orientation: int) -> bytes:
    """A picture stored turned, with the EXIF orientation that turns it upright."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that undoes what a viewer does
    stored = scene() if orientation == 1 else scene().transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif)


def with_alpha() -> Image.Image:
    """The scene, its lower half fully transparent."""
    picture = scene().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, HEIGHT // 2, WIDTH, HEIGHT))
    return picture


def deep(channels: int) -> np.ndarray:
    values = np.asarray(scene()).astype(np.uint16) * 257
    return values if channels == 3 else values[:, :, 0]


def png_that_claims(width: int, height: int) -> bytes:
    """A small file whose header announces a huge picture: a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def corrupted(data: bytes) -> bytes:
    """Overwrite a stretch in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes(40) + data[middle + 40 :]


HEIF = importlib.util.find_spec("pillow_heif") is not None
JPEG = encoded(scene(), "JPEG", quality=95, subsampling=0)
PNG = encoded(scene(), "PNG")
RGB = np.asarray(scene())
GREY = np.asarray(scene().convert("L").convert("RGB"))
OVER_WHITE = np.where(np.arange(HEIGHT)[:, None, None] < HEIGHT // 2, RGB, 255).astype(np.uint8)
RED_AS_GREY = np.repeat(RGB[:, :, :1], 3, axis=2)


@dataclass
class Good:
    """A picture that looks bad and is not: its name, bytes, and the pixels it must give within a tolerance."""

    name: str
    data: bytes
    pixels: np.ndarray
    tolerance: int = 0


GOOD = [
    Good("plain.jpg", JPEG, RGB, 12),
    Good("capital.JPEG", JPEG, RGB, 12),
    Good("a png named.jpg", PNG, RGB),
    Good("a jpeg named.png", JPEG, RGB, 12),
    Good("many.dots in . the.name.v1.2.png", PNG, RGB),
    Good("ünïcode 顔 😷.png", PNG, RGB),
    Good("new\nline.png", PNG, RGB),
    Good("hash#000001.png", PNG, RGB),
    Good("sub folder/deeper.d/same.png", PNG, RGB),
    Good("lossless.webp", encoded(scene(), "WEBP", lossless=True), RGB),
    Good("windows.bmp", encoded(scene(), "BMP"), RGB),
    Good("portable.ppm", encoded(scene(), "PPM"), RGB),
    Good("portable.pgm", encoded(scene().convert("L"), "PPM"), GREY),
    Good("tagged.tif", encoded(scene(), "TIFF", compression="tiff_lzw"), RGB),
    Good("two pages.tiff", encoded(scene(), "TIFF", save_all=True, append_images=[Image.new("RGB", (50, 50))]), RGB),
    Good("turned.tif", encoded(scene().transpose(Image.Transpose.ROTATE_90), "TIFF", tiffinfo={0x0112: 6}), RGB),
    Good(
        "animated.gif",
        encoded(scene(), "GIF", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]),
        RGB,
        4,
    ),
    Good("grey.jpg", encoded(scene().convert("L"), "JPEG", quality=95), GREY, 4),
    Good("grey alpha.png", encoded(with_alpha().convert("LA"), "PNG"), np.where(OVER_WHITE == 255, 255, GREY), 1),
    Good("black and white.png", encoded(Image.fromarray(GREY[:, :, 0] > 85), "PNG"), np.where(GREY > 85, 255, 0)),
    Good("transparent.png", encoded(with_alpha(), "PNG"), OVER_WHITE),
    Good("transparent.webp", encoded(with_alpha(), "WEBP", lossless=True), OVER_WHITE),
    Good("palette.png", encoded(scene().quantize(8), "PNG"), RGB, 4),
    Good("palette alpha.gif", encoded(with_alpha(), "GIF"), OVER_WHITE, 4),
    Good("cmyk.jpg", encoded(scene().convert("CMYK"), "JPEG", quality=95), RGB, 12),
    Good("16 bits grey.png", cv2.imencode(".png", deep(1))[1].tobytes(), RED_AS_GREY),
    Good("16 bits colour.png", cv2.imencode(".png", deep(3)[:, :, ::-1])[1].tobytes(), RGB),
    Good("16 bits grey.tif", cv2.imencode(".tif", deep(1))[1].tobytes(), RED_AS_GREY),
    Good("16 bits colour.tif", cv2.imencode(".tif", deep(3)[:, :, ::-1])[1].tobytes(), RGB),
    Good("16 bits grey.pgm", encoded(Image.fromarray(deep(1)), "PPM"), RED_AS_GREY, 1),
    Good("damaged exif.jpg", JPEG[:2] + b"\xff\xe1\x00\x10Exif\0\0MM\0*\xff\xff\xff\xff" + JPEG[2:], RGB, 12),
    Good("trailing rubbish.jpg", JPEG + b"rubbish" * 10, RGB, 12),
    *(Good(f"orientation {number}.jpg", turned_jpeg(number), RGB, 12) for number in range(1, 9)),
]

BAD = {
    "empty.jpg": (b"", "empty file"),
    "three bytes.jpg": (JPEG[:3], "damaged picture"),
    "cut header.png": (PNG[:20], "truncated picture"),
    "cut.jpg": (JPEG[: len(JPEG) * 3 // 4], "truncated picture"),
    "cut by two.jpg": (JPEG[:-2], "truncated picture"),
    "ones inside.jpg": (JPEG[:623] + b"\xff" * 8 + JPEG[631:], "damaged picture"),
    "cut.png": (PNG[: len(PNG) // 2], "truncated picture"),
    "cut.bmp": (encoded(scene(), "BMP")[:-500], "truncated picture"),
    "cut.gif": (encoded(scene(), "GIF")[:-30], "truncated picture"),
    "cut.webp": (encoded(scene(), "WEBP")[:-30], "damaged picture"),
    "cut.tif": (encoded(scene(), "TIFF")[:-500], "truncated picture"),
    "corrupt.png": (corrupted(PNG), "damaged picture"),
    "text.jpg": (b"this is no picture, only its name says so\n", "not a picture"),
    "web page.jpg": (b"<!DOCTYPE html><title>404</title>", "not a picture"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not a picture"),
    "archive.png": (b"PK\x03\x04" + bytes(60), "not a picture"),
    "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "not a picture"),
    "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(60), "damaged picture" if HEIF else "HEIC needs a package"),
    "zeros.png": (bytes(5000), "not a picture"),
    "bomb.png": (png_that_claims(60_000, 60_000), "too many pixels"),
    "just too large.png": (png_that_claims(1001, 1000), "too many pixels"),
    "dot.png": (encoded(scene().resize((1, 1)), "PNG"), "too small"),
    "strip.png": (encoded(scene().resize((300, 15)), "PNG"), "too small"),
    "floats.tif": (encoded(Image.fromarray(deep(1).astype(np.float32)), "TIFF"), "pixel format not supported"),
    "32 bits.tif": (encoded(Image.fromarray(deep(1).astype(np.int32)), "TIFF"), "pixel format not supported"),
    "notes.txt": (b"notes", "not a picture file"),
    "labels.csv": (b"a,b\n", "not a picture file"),
    "no suffix": (JPEG, "not a picture file"),
    "clip.mp4": (b"\0\0\0\x18ftypmp42", "not a picture file"),
}


def fates(source, folder: Path) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, str]]]:
    """Index a source and read every item: item -> pixels, and item -> (reason, detail) of what was set aside."""
    index_source(source, 1, 0, 1, folder / "index.parquet", folder / "quarantine.parquet")
    rejected = {row.item: (row.reason, row.detail) for row in read_table(folder / "quarantine.parquet").itertuples()}
    pictures = {}
    with PictureReader(source) as reader:
        for row in read_table(folder / "index.parquet").itertuples():
            try:
                pictures[row.item] = reader.read(row.file, row.frame)
            except BadPicture as bad:
                rejected[row.item] = (bad.reason, bad.detail)
                continue
            assert pictures[row.item].shape == (row.height, row.width, 3), row.item
            assert pictures[row.item].dtype == np.uint8
    return pictures, rejected


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    """The fates of all good and bad pictures in one folder."""
    folder = tmp_path_factory.mktemp("messy")
    for name, data in {case.name: case.data for case in GOOD}.items() | {n: d for n, (d, _) in BAD.items()}.items():
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return fates(FolderSource(type="folder", path=str(folder / "pictures"), max_pixels=MAX_PIXELS), folder)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_unusual_pictures_are_read_right(messy, case):
    pictures, rejected = messy
    assert case.name not in rejected
    difference = np.abs(pictures[case.name].astype(int) - case.pixels.astype(int))
    # A few pixels along edges suffer from lossy coding; a wrong turn or colour changes far more than 2 % of them.
    assert (difference > case.tolerance).mean() < (0.02 if case.tolerance else 1e-9)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpeg_has_the_pixels_that_pillow_gives(astronaut, subsampling, progressive):
    picture = Image.fromarray(astronaut[:201, :303])
    data = encoded(picture, "JPEG", quality=60, subsampling=subsampling, progressive=progressive)
    assert np.array_equal(decode_picture(data, MAX_PIXELS), np.array(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_set_aside_with_their_reason(messy, name):
    pictures, rejected = messy
    assert name not in pictures
    reason, detail = rejected[name]
    assert reason == BAD[name][1]
    assert name in detail
    assert "\n" not in detail
    assert ";" in detail, "the remedy is missing"


def test_nothing_is_lost_in_a_messy_folder(messy):
    pictures, rejected = messy
    assert set(pictures) == {case.name for case in GOOD}
    assert set(rejected) == set(BAD)


def folder_of(path: Path, **files: bytes) -> FolderSource:
    path.mkdir(parents=True)
    (path / "good.png").write_bytes(PNG)
    for name, data in files.items():
        (path / name.replace("_", ".")).write_bytes(data)
    return FolderSource(type="folder", path=str(path), max_pixels=10_000)


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    source = folder_of(tmp_path / "in")
    os.mkfifo(tmp_path / "in/pipe.jpg")
    (tmp_path / "in/broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "in/circle.jpg").symlink_to("circle.jpg")
    os.mkfifo(tmp_path / "in/pipe")
    (tmp_path / "in/album").symlink_to("/not mounted/album")
    (tmp_path / "in/circle").symlink_to("circle")
    pictures, rejected = fates(source, tmp_path)
    assert set(pictures) == {"good.png"}
    names = ("pipe", "pipe.jpg", "broken.jpg", "circle.jpg", "album", "circle")
    assert {name: reason for name, (reason, _) in rejected.items()} == dict.fromkeys(names, "cannot be read")
    assert "a broken or circular link" in rejected["album"][1], "it may have been a whole folder"


def test_links_are_followed_once_and_loops_end(tmp_path):
    source = folder_of(tmp_path / "in")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/far.png").write_bytes(PNG)
    (tmp_path / "in/a").mkdir()
    (tmp_path / "in/a/up").symlink_to("..")
    (tmp_path / "in/a/self").symlink_to(".")
    (tmp_path / "in/again").symlink_to("a")
    (tmp_path / "in/away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/a/link.png").symlink_to("../good.png")
    pictures, rejected = fates(source, tmp_path)
    assert set(pictures) == {"good.png", "a/link.png", "away/far.png"}
    assert rejected == {}


def test_clutter_is_ignored_and_counted(tmp_path, capsys):
    source = folder_of(tmp_path / "in")
    for name in (".DS_Store", "._good.png", "Thumbs.db", "desktop.ini", ".cache/x.png", "__MACOSX/._good.png"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"clutter")
    pictures, rejected = fates(source, tmp_path)
    assert set(pictures) == {"good.png"}
    assert rejected == {}
    assert "6 hidden files or folders of the source are ignored" in capsys.readouterr().err


def test_a_name_that_is_not_text_is_set_aside(tmp_path):
    source = folder_of(tmp_path / "in")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/caf\xe9.png")).write_bytes(PNG)
    except OSError:
        pytest.skip("this file system refuses such names")
    pictures, rejected = fates(source, tmp_path)
    assert set(pictures) == {"good.png"}
    assert rejected["caf\\xe9.png"][0] == "name is not UTF-8"


def test_a_huge_file_is_not_read_into_memory(tmp_path):
    source = folder_of(tmp_path / "in")
    with open(tmp_path / "in/huge.tif", "wb") as file:
        file.truncate(200_000_000_000)  # takes no room on the disk
    pictures, rejected = fates(source, tmp_path)
    assert set(pictures) == {"good.png"}
    assert rejected["huge.tif"][0] == "file too large"


def test_a_file_that_vanishes_after_the_index_is_set_aside(tmp_path):
    source = folder_of(tmp_path / "in", other_png=PNG)
    with PictureReader(source) as reader:
        (tmp_path / "in/other.png").unlink()
        with pytest.raises(BadPicture, match=r"cannot be read: other\.png: "):
            reader.read("other.png")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "does not exist"),
        ({}, "no picture in"),
        ({"notes.txt": b"notes", "data.csv": b""}, r"no picture in .* \(2 other files are there\)"),
        ({"a.jpg": b"", "b.jpg": b"", "c.png": b"text"}, "no usable picture in .*: 2 empty file, 1 not a picture; for"),
    ],
    ids=["missing", "empty", "other files", "bad files"],
)
def test_a_folder_without_pictures_is_refused(tmp_path, files, message):
    folder = tmp_path / "in"
    if files is not None:
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        fates(FolderSource(type="folder", path=str(folder)), tmp_path / "out")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "in").write_bytes(PNG)
    with pytest.raises(UserError, match="is a file, not a folder"):
        fates(FolderSource(type="folder", path=str(tmp_path / "in")), tmp_path)


def test_the_command_ends_with_one_line(tmp_path):
    config = FolderSource(type="folder", path=str(tmp_path / "nowhere")).slice()
    command = [
        sys.executable,
        "-m",
        INDEX,
        "--source",
        config,
        "--seed",
        "1",
        "--shard",
        "0",
    ]
    outputs = ["--shards", "1", "--output", str(tmp_path / "index"), "--quarantine", str(tmp_path / "quarantine")]
    root = Path(__file__).parent.parent
    result = subprocess.run([*command, *outputs], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: path: {tmp_path / 'nowhere'} does not exist")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def archive_of(path: Path, members: dict[str, bytes]) -> zipfile.ZipFile:
    """Return an open archive with one good picture and `members`."""
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    for name, data in {"img_align_celeba/000001.jpg": JPEG, **members}.items():
        archive.writestr(name, data)
    return archive


def celeba(path: Path) -> CelebaSource:
    return CelebaSource(type="celeba", path=str(path), max_pixels=10_000)


@pytest.mark.parametrize(
    "name", ["../000002.jpg", "img/../../000002.jpg", "/tmp/000002.jpg", "..\\000002.jpg", "C:/000002.jpg"]
)
def test_members_that_lead_out_of_an_archive_are_set_aside(tmp_path, name):
    (tmp_path / "in").mkdir()
    with archive_of(tmp_path / "in/img_align_celeba.zip", {name: JPEG}):
        pass
    pictures, rejected = fates(celeba(tmp_path / "in/img_align_celeba.zip"), tmp_path / "out")
    assert set(pictures) == {"000001.jpg"}
    assert {name: reason for name, (reason, _) in rejected.items()} == {name: "unsafe name in archive"}
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"img_align_celeba.zip", "index.parquet", "quarantine.parquet"}


def test_members_that_are_not_whole_files_are_set_aside(tmp_path):
    path = tmp_path / "img_align_celeba.zip"
    link = zipfile.ZipInfo("img_align_celeba/000002.jpg")
    link.external_attr = 0o120777 << 16
    with pytest.warns(UserWarning, match="Duplicate name"), archive_of(path, {}) as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("img_align_celeba/000003.jpg", JPEG)
        archive.infolist()[-1].flag_bits |= 1
        archive.writestr("img_align_celeba/000004.jpg", bytes(30_000_000))
        archive.writestr("img_align_celeba/000005.jpg", JPEG, zipfile.ZIP_STORED)
        broken = archive.infolist()[-1]
        archive.writestr("img_align_celeba/000001.jpg", PNG)
        archive.writestr("other/000001.jpg", PNG)
        archive.writestr("img_align_celeba/empty.jpg", b"")
        archive.writestr("__MACOSX/img_align_celeba/._000001.jpg", b"clutter")
        archive.writestr("readme.txt", "text")
    data = bytearray(path.read_bytes())
    data[broken.header_offset + 300] ^= 0xFF
    path.write_bytes(data)
    pictures, rejected = fates(celeba(path), tmp_path)
    assert set(pictures) == {"000001.jpg"}
    assert {name: reason for name, (reason, _) in rejected.items()} == {
        "img_align_celeba/000001.jpg (again)": "name used twice",
        "img_align_celeba/000002.jpg": "link in archive",
        "img_align_celeba/000003.jpg": "encrypted archive member",
        "000004.jpg": "file too large",
        "000005.jpg": "damaged archive member",
        "other/000001.jpg": "name used twice",
        "empty.jpg": "empty file",
        "readme.txt": "not a picture file",
    }
    assert np.abs(pictures["000001.jpg"].astype(int) - RGB).mean() < 5, "the first member of a name is the one used"


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    path = tmp_path / "img_align_celeba.zip"
    with archive_of(path, {}):
        pass
    data = {"cut": path.read_bytes()[:-30], "text": b"no archive", "empty": b""}[damage]
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"img_align_celeba\.zip is no whole zip archive.*; download it again"):
        fates(celeba(tmp_path), tmp_path / "out")
