"""Folders, archives and videos full of bad input, through three stages: each has its fate, nothing is lost."""

import bz2
import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from test_bad_input import BAD, JPEG, MAX_PIXELS, PNG, encoded
from test_video import damaged, shade, write_clip
from weights import landmark_weights

from workflow_scripts import sources
from workflow_scripts.config.sources import FolderSource, VideoSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.sources._archives import tars
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.sources.index_source import index_source

FAINT = encoded(Image.new("RGB", (90, 90), (120, 110, 100)), "JPEG")  # a good picture without a face


@pytest.fixture(scope="module")
def portrait(astronaut) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:240, 120:340])


def run_stages(source, folder: Path) -> tuple[set[str], dict[str, tuple[str, str]]]:
    """Run three stages; return the items with a crop, and item -> (stage, reason) of what was set aside.

    Conservation is checked at every stage: what goes in comes out or is set aside, and never both.
    """
    index, landmarks, crops = folder / "index.parquet", folder / "landmarks.parquet", folder / "crops.arrow"
    lost = {stage: folder / f"{stage}.parquet" for stage in ("index_source", "find_landmarks", "crop_faces")}
    index_source(source, 1, 0, 1, index, lost["index_source"])
    find_landmarks(source, index, landmark_weights(), landmarks, lost["find_landmarks"])
    crop_faces(source, index, landmarks, crops, lost["crop_faces"])
    fates: dict[str, tuple[str, str]] = {}
    for stage, path in lost.items():
        for row in read_table(path).itertuples():
            assert row.item not in fates, f"{row.item} was set aside twice"
            assert ";" in row.detail and "\n" not in row.detail, "one line with the remedy"
            fates[row.item] = (stage, row.reason)
    indexed, found = set(read_table(index)["item"]), set(read_table(landmarks)["item"])
    cropped = set(Shard(crops).items)
    for stage, before, after in (("find_landmarks", indexed, found), ("crop_faces", found, cropped)):
        gone = {item for item, (where, _) in fates.items() if where == stage}
        assert before == after | gone and not after & gone, stage
    return cropped, fates


def test_bad_pictures_in_bulk(tmp_path, portrait):
    files = {name: data for name, (data, _) in BAD.items()}
    files |= {"face.jpg": encoded(Image.fromarray(portrait), "JPEG"), "no face.jpg": FAINT}
    for name, data in files.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    os.mkfifo(tmp_path / "in/pipe.jpg")
    (tmp_path / "in/broken.jpg").symlink_to("nowhere.jpg")
    cropped, fates = run_stages(FolderSource(type="folder", path=str(tmp_path / "in"), max_pixels=MAX_PIXELS), tmp_path)
    assert cropped == {"face.jpg"}
    expected = {name: reason for name, (_, reason) in BAD.items()}
    expected |= {"no face.jpg": "no face", "pipe.jpg": "cannot be read", "broken.jpg": "cannot be read"}
    assert {item: reason for item, (_, reason) in fates.items()} == expected


def sound(path: Path, cover: bool = False) -> bytes:
    """Half a second of silence, with a picture on its cover if asked for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame.from_ndarray(shade(1), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 22050), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def sized(path: Path, width: int, height: int, frames: int = 1) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        container.start_encoding()
        for _ in range(frames):
            pixels = np.zeros((height, width, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


BAD_VIDEOS = {
    "empty.mp4": "empty file",
    "text.mp4": "not a video",
    "web page.avi": "not a video",
    "picture.mp4": "not a video",
    "archive.mkv": "not a video",
    "play list.mp4": "not a video",
    "web list.mov": "not a video",
    "zeros.mov": "not a video",
    "sound.m4v": "not a video",
    "sound with cover.mp4": "not a video",
    "no table.mp4": "damaged video",
    "only header.mkv": "damaged video",
    "no frame.avi": "video without frames",
    "unknown codec.mkv": "unknown video codec",
    "too small.mp4": "too small",
    "too large.mp4": "too many pixels",
    "cut.avi": "video ends early",
    "cut.webm": "video ends early",
    "hole.mp4": "damaged video",
    "notes.txt": "not a video file",
    "photo.jpg": "not a video file",
    "clips.zip": "not a video file",
    "pipe.mp4": "cannot be read",
    "broken.mp4": "cannot be read",
    "folder.mp4/inside.txt": "not a video file",
}


def write_bad_videos(folder: Path) -> None:
    good = write_clip(folder.parent / "good.mp4", (shade(number) for number in range(30))).read_bytes()
    matroska = write_clip(folder.parent / "good.mkv", (shade(number) for number in range(30))).read_bytes()
    text = {
        "empty.mp4": b"",
        "text.mp4": b"this is no video",
        "web page.avi": b"<!DOCTYPE html><title>404</title>",
        "picture.mp4": PNG,
        "archive.mkv": b"PK\x03\x04" + bytes(60),
        "play list.mp4": f"ffconcat version 1.0\nfile {folder.parent / 'good.mp4'}\n".encode(),
        "web list.mov": f"#EXTM3U\n#EXTINF:1,\n{folder.parent / 'good.mp4'}\n#EXT-X-ENDLIST\n".encode(),
        "zeros.mov": bytes(5000),
        "no table.mp4": good[: good.rindex(b"moov") - 4],
        "only header.mkv": matroska[:40],
        "unknown codec.mkv": matroska.replace(b"V_MPEG4/ISO/ASP", b"V_UNKNOWN/X/ASP"),
        "notes.txt": b"notes",
        "photo.jpg": JPEG,
        "clips.zip": b"PK",
        "folder.mp4/inside.txt": b"",
    }
    for name, data in text.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    sound(folder / "sound.m4v")
    sound(folder / "sound with cover.mp4", cover=True)
    sized(folder / "too small.mp4", 64, 8)
    sized(folder / "too large.mp4", 1200, 1000)
    sized(folder / "no frame.avi", 64, 48, frames=0)
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8)
    damaged(write_clip(folder / "cut.avi", noise), keep=0.6)
    damaged(write_clip(folder / "cut.webm", noise, "libvpx"), keep=0.6)
    damaged(write_clip(folder / "hole.mp4", noise, "libx264", movflags="faststart"), hole=0.5)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "broken.mp4").symlink_to("nowhere.mp4")


def test_bad_videos_in_bulk(tmp_path, portrait):
    folder = tmp_path / "in"
    write_bad_videos(folder)
    write_portrait_clip(folder / "face.mp4", portrait)
    source = VideoSource(type="video", path=str(folder), every=5, max_pixels=MAX_PIXELS)
    cropped, fates = run_stages(source, tmp_path)
    assert cropped == {"face.mp4#000000", "face.mp4#000005"}
    assert {item: reason for item, (_, reason) in fates.items() if "#" not in item} == BAD_VIDEOS
    faceless = {item.split("#")[0] for item, fate in fates.items() if fate == ("find_landmarks", "no face")}
    assert faceless == {"cut.avi", "cut.webm", "hole.mp4"}, "the frames before the damage are items"


def write_portrait_clip(path: Path, portrait: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = portrait.shape[1], portrait.shape[0], "yuv420p"
        for _ in range(7):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(portrait, format="rgb24")))
        container.mux(stream.encode())


SPECIAL = {
    "fifo.jpg": tarfile.FIFOTYPE,
    "device.jpg": tarfile.CHRTYPE,
    "disk.jpg": tarfile.BLKTYPE,
    "link.jpg": tarfile.SYMTYPE,
    "hard link.jpg": tarfile.LNKTYPE,
}
BAD_MEMBERS = {
    "../outside.jpg": "unsafe name in archive",
    "a/../../outside.jpg": "unsafe name in archive",
    "/absolute.jpg": "unsafe name in archive",
    "C:/windows.jpg": "unsafe name in archive",
    "a\\..\\..\\outside.jpg": "unsafe name in archive",
    "face.jpg (again)": "name used twice",
    "empty.jpg": "empty file",
    "text.jpg": "not a picture",
    "cut.jpg": "truncated picture",
    "readme.txt": "not a picture file",
    "inner.zip": "not a picture file",
    "huge.bmp": "file too large",
    "no face.jpg": "no face",
}
BAD_TAR = BAD_MEMBERS | {
    "fifo.jpg": "no regular file",
    "device.jpg": "no regular file",
    "disk.jpg": "no regular file",
    "link.jpg": "link in archive",
    "hard link.jpg": "link in archive",
    "caf\\xe9.jpg": "name is not UTF-8",
}
BAD_ZIP = BAD_MEMBERS | {
    "link.jpg": "link in archive",
    "secret.jpg": "encrypted archive member",
    "broken.jpg": "damaged archive member",
}


def members(portrait: np.ndarray) -> list[tuple[str, bytes]]:
    face = encoded(Image.fromarray(portrait), "JPEG")
    special = {"text.jpg": b"text", "cut.jpg": JPEG[:-60], "huge.bmp": bytes(30_000_000), "no face.jpg": FAINT}
    bad = [(name, special.get(name, b"")) for name in BAD_MEMBERS if name != "face.jpg (again)"]
    return [("face.jpg", face), ("sub/face 2.jpg", face), ("face.jpg", PNG), ("__MACOSX/._face.jpg", b"clutter"), *bad]


def write_tar(path: Path, portrait: np.ndarray, mode: str) -> Path:
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as archive:
        for name, data in members(portrait):
            member = tarfile.TarInfo(f"./{name}" if name.startswith("sub") else name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in SPECIAL.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        archive.addfile(tarfile.TarInfo("caf\udce9.jpg"))
    return path


@pytest.mark.parametrize("suffix", ["tar", "tgz", "tar.xz"])
def test_bad_members_of_a_tar_in_bulk(tmp_path, portrait, suffix):
    kind = {"tar": "", "tgz": "gz", "tar.xz": "xz"}[suffix]
    path = write_tar(tmp_path / f"photos.{suffix}", portrait, f"w:{kind}")
    (tmp_path / "out").mkdir()
    source = FolderSource(type="folder", path=str(path), max_pixels=MAX_PIXELS)
    cropped, fates = run_stages(source, tmp_path / "out")
    assert cropped == {"face.jpg", "sub/face 2.jpg"}
    assert {item: reason for item, (_, reason) in fates.items()} == BAD_TAR
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "out"}, "nothing was unpacked"
    assert sources.shard_count(source, 1000) == 1


def test_bad_members_of_a_zip_in_bulk(tmp_path, portrait):
    path = tmp_path / "photos.zip"
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        for name, data in members(portrait):
            archive.writestr(name, data)
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.jpg", JPEG)
        archive.infolist()[-1].flag_bits |= 1
        archive.writestr("broken.jpg", JPEG)
        broken = archive.infolist()[-1]
    data = bytearray(path.read_bytes())
    data[broken.header_offset + 300] ^= 0xFF
    path.write_bytes(data)
    (tmp_path / "out").mkdir()
    source = FolderSource(type="folder", path=str(path), max_pixels=MAX_PIXELS)
    cropped, fates = run_stages(source, tmp_path / "out")
    assert cropped == {"face.jpg", "sub/face 2.jpg"}
    assert {item: reason for item, (_, reason) in fates.items()} == BAD_ZIP
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "out"}, "nothing was unpacked"


def test_bad_input_has_at_least_forty_kinds():
    kinds = {(place, name) for place, table in enumerate((BAD, BAD_VIDEOS, BAD_TAR, BAD_ZIP)) for name in table}
    assert len(kinds) >= 40


def tar_of(**files: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


WHOLE = tar_of(a_jpg=JPEG, b_jpg=JPEG)
SECOND = tarfile.BLOCKSIZE + -(-len(JPEG) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE  # where its second member begins


def changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def special_header(kind: bytes, size: int, data: bytes = b"") -> bytes:
    """Return a header that says more of the member after it, as a long name, with the size that it states."""
    member = tarfile.TarInfo("special")
    member.type, member.size = kind, size
    return member.tobuf() + data.ljust(-len(data) % tarfile.BLOCKSIZE + len(data), b"\0")


def zip64_of(count: int) -> bytes:
    """Return the end of a zip that states a number of members, in a central directory far beyond the file."""
    end_64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, count, 2**62)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    return end_64 + locator + b"PK\x05\x06" + bytes(4) + b"\xff" * 12 + bytes(2)


DAMAGED_ARCHIVES = {
    "empty.tar": (b"", "no whole tar archive"),
    "text.tar": (b"this is no archive" * 100, "no whole tar archive"),
    "cut in a member.tar": (WHOLE[:1500], "no whole tar archive"),
    "header.tar": (changed(WHOLE, SECOND + 150), f"damaged header at byte {SECOND:,}"),
    "no end.tar": (WHOLE[: 2 * SECOND], f"end missing at byte {2 * SECOND:,}"),
    "endless time.tar": (special_header(b"x", 13, b"13 mtime=inf\n") + WHOLE, "no whole tar archive"),
    "long name.tar": (special_header(b"L", 4 << 30) + WHOLE, "a header of 4,294,967,296 bytes"),
    "long header.tar.gz": (gzip.compress(special_header(b"x", 4 << 30) + WHOLE), "a header of 4,294,967,296 bytes"),
    "names of names.tar": (special_header(b"L", 5, b"name") * 3000 + WHOLE, "no whole tar archive"),
    "changed.tar.bz2": (changed(bz2.compress(WHOLE), 150), "no whole tar archive"),
    "cut.tar.gz": (gzip.compress(WHOLE)[:-500], "no whole tar archive"),
    "changed.tgz": (gzip.compress(WHOLE)[:-8] + bytes(8), "no whole tar archive"),
    "no tar in it.tar.gz": (gzip.compress(b"text" * 1000), "no whole tar archive"),
    "cut.tar.xz": (b"\xfd7zXZ\0" + bytes(50), "no whole tar archive"),
    "bomb.tar.gz": (gzip.compress(tar_of(zeros_jpg=bytes(5_000_000))), "unpacks to more than"),
    "no picture.tar": (tar_of(notes_txt=b"notes"), "no picture in"),
    "text.zip": (b"this is no archive", "no whole zip archive"),
    "count.zip": (zip64_of(2**63), "no whole zip archive"),
    "cut.zip": (b"PK\x03\x04" + bytes(100), "no whole zip archive"),
}


@pytest.mark.parametrize("name", DAMAGED_ARCHIVES)
def test_a_damaged_archive_is_refused_with_one_line(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tars, "FREE_BYTES", 1_000_000)
    data, message = DAMAGED_ARCHIVES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        run_stages(FolderSource(type="folder", path=str(tmp_path / name)), tmp_path / "out")
    assert name in str(caught.value) and ";" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_start_unpacks_the_beginning_of_an_archive_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tars, "SEEN_BYTES", 1_000_000)
    read = []

    class Counting(gzip.GzipFile):
        def read(self, size: int = -1) -> bytes:
            read.append(size)
            return super().read(size)

    monkeypatch.setitem(tars.OPENERS, b"\x1f\x8b", lambda file: Counting(fileobj=file))
    path = tmp_path / "zeros.tar.gz"
    path.write_bytes(gzip.compress(tar_of(zeros_jpg=bytes(20_000_000), a_jpg=JPEG), 1))
    assert tars.count_members(path) >= 1
    assert 0 < sum(read) <= 1_000_000 and min(read) >= 0


def test_a_member_without_a_name_or_with_holes_is_a_problem(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.jpg", JPEG)
        archive.writestr("x", JPEG)
        archive.infolist()[-1].filename = ""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("holes.jpg")
        member.type = tarfile.GNUTYPE_SPARSE
        archive.addfile(member)
        good = tarfile.TarInfo("good.jpg")
        good.size = len(JPEG)
        archive.addfile(good, io.BytesIO(JPEG))
    for name, reason in (("a.zip", "no name in archive"), ("a.tar", "no regular file")):
        listing = sources.list_files(FolderSource(type="folder", path=str(tmp_path / name)))
        assert [file.path for file in listing.files] == ["good.jpg"]
        assert [problem.reason for problem in listing.problems] == [reason]


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2"])
def test_members_of_a_tar_are_counted_from_its_beginning(tmp_path, suffix):
    rng = np.random.default_rng(0)
    files = {f"{number}_jpg": rng.bytes(20_000) for number in range(400)}
    data = tar_of(**files)
    compress = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress}[suffix]
    path = tmp_path / f"many.{suffix}"
    path.write_bytes(compress(data))
    assert tars.count_members(path) == pytest.approx(400, rel=0.25)
    store = tars.open_store(path)
    for name in ("399.jpg", "7.jpg"):  # in any order
        assert store.read(name, 20_000) == files[name.replace(".", "_")]
    store.close()
