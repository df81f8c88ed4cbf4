"""Source `video`: choice of frames, turns, shots, blocks, damage and shards, on tiny clips that the tests write."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from workflow_scripts import sources
from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import SampleVideoSource, Split, VideoSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.sources import _decoding as videos
from workflow_scripts.sources._contents import listing_digest
from workflow_scripts.sources._decoding import VideoReader
from workflow_scripts.sources._pictures import BadPicture
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.sources.video import UNUSED_SECONDS, Blocks, divide_by_time
from workflow_scripts.stages.sources.index_source import index_source

WIDTH, HEIGHT = 64, 48
SCENES = ((200, 40, 30), (20, 60, 210))


def shade(number: int) -> np.ndarray:
    """A frame of one grey level, which tells its number, with a white left upper corner."""
    pixels = np.full((HEIGHT, WIDTH, 3), 4 * number % 240, np.uint8)
    pixels[:16, :16] = 255
    return pixels


def write_clip(path: Path, frames, codec: str = "mpeg4", milliseconds=None, turn: int = 0, **options: str) -> Path:
    """Write frames of one size, each for 100 ms or at its own time of `milliseconds`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, frames = itertools.tee(frames)
    height, width = next(first).shape[:2]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate, stream.time_base = 2_000_000, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        for pixels, time in zip(frames, milliseconds or itertools.count(0, 100)):  # noqa: B905 (times may be endless)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shades(count: int):
    return (shade(number) for number in range(count))


def clips(path: Path, **keys) -> VideoSource:
    return VideoSource(type="video", path=str(path), **keys)


def index(source: VideoSource, folder: Path, shard: int = 0, shards: int = 1):
    paths = folder / f"{shard}.parquet", folder / f"{shard}.quarantine.parquet"
    index_source(source, 1, shard, shards, *paths)
    return tuple(read_table(path) for path in paths)


def test_a_frame_is_an_item_with_its_time_shot_size_and_group(tmp_path):
    write_clip(tmp_path / "in/day 1/clip.mp4", shades(25))
    rows, rejected = index(clips(tmp_path / "in"), tmp_path)
    assert rejected.empty
    assert list(rows["item"]) == [f"day 1/clip.mp4#0000{number}" for number in ("00", "10", "20")]
    assert list(rows["frame"]) == [0, 10, 20] and list(rows["time"]) == pytest.approx([0, 1, 2])
    assert set(rows["shot"]) == {0} and set(rows["group"]) == {"day 1/clip.mp4#block 0"}
    assert set(rows["width"]) == {WIDTH} and set(rows["height"]) == {HEIGHT} and rows["sha256"].nunique() == 3
    with PictureReader(clips(tmp_path / "in")) as reader:
        seen = [reader.read(row.file, row.frame)[30, 30].mean() for row in rows.itertuples()]
    assert seen == pytest.approx([0, 40, 80], abs=4)


@pytest.mark.parametrize("suffix", ["mp4", "m4v", "mov", "avi", "mkv", "webm"])
def test_frames_are_alike_in_every_container(tmp_path, suffix):
    codec = {"webm": "libvpx", "mkv": "libx264", "mp4": "libx264"}.get(suffix, "mpeg4")
    path = write_clip(tmp_path / f"clip.{suffix}", shades(25), codec)
    rows, rejected = index(clips(path, every=10), tmp_path)
    assert rejected.empty and list(rows["frame"]) == [0, 10, 20]
    pixels = [VideoReader(path).read(number)[30, 30].mean() for number in rows["frame"]]
    assert pixels == pytest.approx([0, 40, 80], abs=6)


@pytest.mark.parametrize(
    ("keys", "frames"),
    [({}, [0, 4, 7]), ({"per_second": 2}, [0, 3, 4, 7, 8]), ({"every": 4}, [0, 4, 8]), ({"every": 1}, list(range(9)))],
)
def test_frames_of_a_variable_rate_are_chosen_by_their_time(tmp_path, keys, frames):
    times = [0, 100, 150, 900, 1010, 1020, 1030, 2500, 3000][: 9 if keys else 8]
    path = write_clip(tmp_path / "clip.mp4", shades(len(times)), milliseconds=times)
    rows, _ = index(clips(path, **keys), tmp_path)
    assert list(rows["frame"]) == frames
    assert list(rows["time"]) == pytest.approx([times[number] / 1000 for number in frames])


@pytest.mark.parametrize(("turn", "corner"), [(0, (4, 4)), (90, (-4, 4)), (180, (-4, -4)), (-90, (4, -4))])
def test_a_turned_video_comes_upright(tmp_path, turn, corner):
    path = write_clip(tmp_path / "clip.mp4", shades(3), turn=turn)
    rows, _ = index(clips(path), tmp_path)
    size = (HEIGHT, WIDTH) if turn in (0, 180) else (WIDTH, HEIGHT)
    assert (rows["height"][0], rows["width"][0]) == size
    pixels = VideoReader(path).read(0)
    assert pixels.shape[:2] == size and pixels[corner].min() > 200 and (pixels > 200).mean() < 0.2


def moving(scene: int, number: int) -> np.ndarray:
    """A bar that runs over one of two scenes."""
    pixels = np.full((HEIGHT, WIDTH, 3), SCENES[scene], np.uint8)
    pixels[:, 4 * number % WIDTH :][:, :8] = 240
    return pixels


def test_a_cut_begins_a_shot_and_movement_does_not(tmp_path):
    frames = [moving(number // 12 % 2, number) for number in range(36)]
    rows, _ = index(clips(write_clip(tmp_path / "clip.mp4", frames), every=1), tmp_path)
    assert list(rows["shot"]) == [0] * 12 + [1] * 12 + [2] * 12


def test_a_fast_movement_is_no_cut():
    rng = np.random.default_rng(1)
    counter = videos.ShotCounter()
    noise = [av.VideoFrame.from_ndarray(rng.integers(0, 255, (32, 32, 3), np.uint8), format="rgb24") for _ in range(9)]
    assert [counter.count(image) for image in noise] == [0] + [1] * 8, "only the first change stands out"


def test_blocks_are_not_divided_and_their_borders_are_left_unused(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", (shade(1) for _ in range(90)))
    rows, _ = index(clips(path, per_second=5, block=3), tmp_path)
    assert len(rows) == 45, "every frame that was asked for is an item"
    for group, part in rows.groupby("group"):
        assert set(part["time"] // 3) == {int(group.split()[-1])}
        assert len(set(part["split"]) - {"unused"}) == 1
    unused = rows[rows["split"] == "unused"]["time"]
    assert list(unused) == pytest.approx([3, 3.2, 3.4, 3.6, 3.8, 6, 6.2, 6.4, 6.6, 6.8])


def test_a_block_that_begins_with_a_shot_is_used_from_its_beginning():
    blocks = Blocks(3)
    frames = [(0.0, 0), (2.9, 0), (3.0, 1), (3.5, 1), (5.9, 1), (6.0, 1), (6.5, 2), (7.2, 2), (9.0, 3)]
    assert [blocks.place(*frame) for frame in frames] == [
        *((0, False), (0, False), (1, False), (1, False), (1, False)),
        *((2, True), (2, False), (2, False), (3, False)),
    ]


def test_by_time_a_clip_is_trained_on_first_and_tested_on_last(tmp_path):
    for name in ("a", "b"):
        write_clip(tmp_path / f"in/{name}.mp4", (shade(1) for _ in range(200)))
    rows, _ = index(clips(tmp_path / "in", every=1, split_by="time"), tmp_path)
    assert len(rows) == 400, "every frame that was asked for is an item"
    for name, clip in rows.groupby("file"):
        parts = clip.groupby("split")["time"].agg(["min", "max", "size"])
        assert list(parts.loc["train"]) == pytest.approx([0, 15.9, 160])
        assert list(parts.loc["val"]) == pytest.approx([16 + UNUSED_SECONDS, 17.9, 10])
        assert list(parts.loc["test"]) == pytest.approx([18 + UNUSED_SECONDS, 19.9, 10])
        assert parts.loc["unused", "size"] == 20
        assert set(clip["group"]) == {f"{name}#{split}" for split in ("train", "val", "test")}


@pytest.mark.parametrize(
    ("split", "seconds", "expected"),
    [
        (
            {"train": 0.5, "val": 0.25, "test": 0.25},
            4,
            "t" * 20 + "-" * 5 + "v" * 5 + "-" * 5 + "e" * 5,
        ),  # short blocks
        ({"train": 0.5, "val": 0, "test": 0.5}, 6, "t" * 30 + "-" * 10 + "e" * 20),
        ({"train": 0, "val": 0, "test": 1}, 2, "e" * 20),
        ({"train": 0.8, "val": 0.1, "test": 0.1}, 0.1, "t"),
    ],
)
def test_no_block_of_a_short_clip_is_lost(split, seconds, expected):
    times = [number / 10 for number in range(round(10 * seconds))]
    found = divide_by_time(Split(**split), times, [0] * len(times))
    assert "".join("-" if alike else {"train": "t", "val": "v", "test": "e"}[name] for name, alike in found) == expected


def test_after_a_cut_at_the_border_nothing_is_left_unused():
    times = [number / 10 for number in range(100)]
    found = list(divide_by_time(Split(train=0.5, val=0, test=0.5), times, [int(time >= 5.3) for time in times]))
    assert [alike for _, alike in found] == [5.0 <= time < 5.3 for time in times]


def test_by_time_the_frames_before_a_damage_are_divided(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(60)]
    path = damaged(write_clip(tmp_path / "clip.avi", frames), keep=0.6)
    rows, rejected = index(clips(path, every=1, split_by="time"), tmp_path)
    assert set(rows["split"]) == {"train", "val", "test", "unused"} and rows["split"].iloc[-1] == "test"
    assert list(rejected["reason"]) == ["damaged video"]


def test_a_person_and_time_do_not_divide_together():
    with pytest.raises(ValueError, match="write one of them, for example `split_by: time`"):
        clips(Path("x"), identity="^(.)", split_by="time")


def test_a_clip_of_the_sample_is_listed_before_it_is_fetched_and_divided_like_any(tmp_path, monkeypatch):
    source = SampleVideoSource(type="sample_video", clip="single_face.mp4", every=1, split_by="time")
    monkeypatch.chdir(tmp_path)
    assert sources.shard_count(source, 1) == 1
    write_clip(tmp_path / "results/sample/raw/single_face.mp4", (shade(1) for _ in range(50)))
    rows, rejected = index(source, tmp_path)
    assert rejected.empty and list(rows["item"])[:2] == ["single_face.mp4#000000", "single_face.mp4#000001"]
    assert list(rows["split"])[:40] == ["train"] * 40 and rows["split"].iloc[-1] == "test"
    assert "single_face.mp4" in source.slice("every") and rows["identity"].isna().all()
    with PictureReader(source) as reader:
        assert reader.read("single_face.mp4", 3).shape == (HEIGHT, WIDTH, 3)


def test_a_person_is_not_divided(tmp_path):
    for name in ("ann_1", "ann_2", "bob_1"):
        write_clip(tmp_path / f"in/{name}.mp4", shades(50))
    rows, _ = index(clips(tmp_path / "in", block=2, per_second=5, identity=r"^([a-z]+)_"), tmp_path)
    assert rows.groupby("identity")["split"].nunique().to_dict() == {"ann": 1, "bob": 1}
    assert set(rows["group"]) == {"ann", "bob"} and "unused" not in set(rows["split"])


def damaged(path: Path, keep: float = 1.0, hole: float | None = None) -> Path:
    """Cut a file, or overwrite a tenth of it."""
    data = bytearray(path.read_bytes())
    if hole is not None:
        start = int(len(data) * hole)
        data[start : start + len(data) // 10] = bytes(len(data) // 10)
    path.write_bytes(data[: int(len(data) * keep)])
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "harm", "reason"),
    [
        ("mp4", "mpeg4", {"keep": 0.6}, "damaged video"),
        ("mp4", "libx264", {"hole": 0.5}, "damaged video"),
        ("avi", "mpeg4", {"hole": 0.4}, "damaged video"),
        ("avi", "mpeg4", {"keep": 0.6}, "damaged video"),
        ("mkv", "libx264", {"keep": 0.6}, "video ends early"),
        ("webm", "libvpx", {"keep": 0.6}, "video ends early"),
    ],
)
def test_the_frames_before_a_damage_are_used_and_the_loss_is_told(tmp_path, suffix, codec, harm, reason):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(60)]
    options = {"movflags": "faststart"} if suffix == "mp4" else {}
    path = write_clip(tmp_path / f"in/clip.{suffix}", frames, codec, **options)
    whole = {number: VideoReader(path).read(number) for number in (0, 10)}
    damaged(path, **harm)
    rows, rejected = index(clips(path, every=1), tmp_path)
    assert 15 < len(rows) < 56 and list(rows["frame"]) == list(range(len(rows)))
    (lost,) = rejected.itertuples()
    assert (lost.item, lost.reason) == (path.name, reason)
    assert f"{rows['time'].max():.1f}"[:3] in lost.detail or "ends at" in lost.detail
    assert "the frames before are used" in lost.detail and "\n" not in lost.detail
    for number, pixels in whole.items():
        assert np.array_equal(VideoReader(path).read(number), pixels)
    with PictureReader(clips(path)) as reader:
        assert all(reader.read(row.file, row.frame).shape == (row.height, row.width, 3) for row in rows.itertuples())
        with pytest.raises(BadPicture, match=f"{reason}: {path.name}: "):
            reader.read(path.name, 59)


def test_a_video_of_which_no_frame_was_written_is_not_called_sound(tmp_path):
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        container.add_stream("mpeg4", rate=10)
        container.start_encoding()
    with pytest.raises(BadPicture, match="video without frames: it has no picture; copy or download it again"):
        VideoReader(tmp_path / "clip.mp4").read(0)


def test_a_video_is_decoded_once_and_no_frame_is_kept(tmp_path, monkeypatch):
    write_clip(tmp_path / "in/clip.mp4", shades(60))
    opened, open_ = [], av.open
    monkeypatch.setattr(av, "open", lambda *args, **keys: opened.append(args) or open_(*args, **keys))
    rows, _ = index(clips(tmp_path / "in", every=1), tmp_path)
    assert len(rows) == 60 and len(opened) == 1
    with PictureReader(clips(tmp_path / "in")) as reader:
        for row in rows.itertuples():
            reader.read(row.file, row.frame)
        assert len(opened) == 2
        for number in (70, 71, 72):  # a video that was replaced by a shorter one is not read again for each
            with pytest.raises(BadPicture, match="ends early"):
                reader.read("clip.mp4", number)
        assert len(opened) == 2


def test_a_video_of_more_frames_than_names_can_number_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(videos, "MAX_FRAMES", 20)
    rows, rejected = index(clips(write_clip(tmp_path / "clip.mp4", shades(30)), every=1), tmp_path)
    assert len(rows) == 20 and list(rejected["reason"]) == ["video too long"]


def test_a_new_video_changes_its_shard_alone(tmp_path):
    for number in range(8):
        write_clip(tmp_path / f"in/{number}.mp4", shades(12))
    source = clips(tmp_path / "in", every=1)

    def digests() -> list[str]:
        for cached in (sources._listed, sources.shard_listings):
            cached.cache_clear()
        return [listing_digest(part, tmp_path / "no record") for part in sources.shard_listings(source, 4)]

    before = digests()
    tables = [index(source, tmp_path / "before", shard, 4)[0] for shard in range(4)]
    assert sum(len(table) for table in tables) == 96
    assert all(
        table["file"].map(lambda name, s=s: sources.shard_of(name, 4) == s).all() for s, table in enumerate(tables)
    )
    write_clip(tmp_path / "in/new.mp4", shades(12))
    own = sources.shard_of("new.mp4", 4)
    assert [shard for shard, (old, new) in enumerate(zip(before, digests(), strict=True)) if old != new] == [own]
    for shard in range(4):
        index(source, tmp_path / "after", shard, 4)
        pair = [(tmp_path / run / f"{shard}.parquet").read_bytes() for run in ("before", "after")]
        assert (pair[0] == pair[1]) == (shard != own)


@pytest.mark.parametrize(("keys", "shards"), [({}, 1), ({"per_second": 10}, 2), ({"every": 1}, 4), ({"every": 25}, 1)])
def test_the_number_of_shards_is_estimated_from_sizes(tmp_path, keys, shards):
    for number in range(4):
        with open(tmp_path / f"{number}.mp4", "wb") as file:
            file.truncate(100 * 250_000)  # some 100 seconds; no byte of it is read
    assert sources.shard_count(clips(tmp_path, **keys), 2500) == shards
    assert sources.shard_count(clips(tmp_path, **keys), 1) == 4, "more shards than files would be empty"


def test_a_source_without_videos_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(UserError, match=r"path: no video in .* \(1 other files are there\); videos end in \.mp4"):
        index(clips(tmp_path), tmp_path)
    (tmp_path / "notes.md").write_text("notes")
    with pytest.raises(UserError, match=r"path: notes\.md: the name ends in none of"):
        index(clips(tmp_path / "notes.md"), tmp_path)
    with pytest.raises(UserError, match=r"path: none of the 1 lines of .*notes\.txt is a video that is there"):
        index(clips(tmp_path / "notes.txt"), tmp_path)
    with pytest.raises(UserError, match=r"nowhere does not exist; write the folder of the videos"):
        index(clips(tmp_path / "nowhere"), tmp_path)


def test_a_text_file_names_the_videos(tmp_path):
    for name in ("a.mp4", "below/b.mp4", "not listed.mp4"):
        write_clip(tmp_path / "in" / name, shades(4))
    lines = ["# of two cameras", "below/b.mp4", "", "./a.mp4", "a.mp4", "gone.mp4", "../c.mp4", "a.jpg"]
    (tmp_path / "in/videos.txt").write_text("\n".join(lines))
    source = clips(tmp_path / "in/videos.txt", every=1)
    rows, rejected = index(source, tmp_path)
    assert list(rows["item"].str.partition("#")[0].unique()) == ["a.mp4", "below/b.mp4"] and len(rows) == 8
    assert dict(zip(rejected["item"], rejected["reason"], strict=True)) == {
        "../c.mp4": "outside its folder",
        "a.jpg": "not a video file",
        "gone.mp4": "file is missing",
    }
    with PictureReader(source) as reader:
        assert reader.read("below/b.mp4", 3).shape == reader.read("a.mp4", 0).shape


def test_a_list_of_videos_may_have_whole_paths_and_come_from_windows(tmp_path):
    for name in ("a.mp4", "below/b.mp4", "..c.mp4", "d.mp4"):
        write_clip(tmp_path / "in" / name, shades(1))
    lines = [
        "a.mp4",
        "below\\b.mp4",
        str(tmp_path / "in/d.mp4"),
        " # of two cameras",
        "..c.mp4",
        str(tmp_path / "e.mp4"),
    ]
    (tmp_path / "in/videos.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    rows, rejected = index(clips(tmp_path / "in/videos.txt", every=1), tmp_path)
    assert list(rows["file"]) == ["..c.mp4", "a.mp4", "below/b.mp4", "d.mp4"]
    assert rejected[["item", "reason"]].to_numpy().tolist() == [["../e.mp4", "outside its folder"]]


def test_two_paces_are_refused():
    source = {"type": "video", "path": "clips", "every": 5, "per_second": 1}
    experiment = {"system": "unmask", "train": ["clips"], "test": ["clips"]}
    with pytest.raises(UserError, match=r"sources\.clips: every and per_second exclude each other; write one"):
        load_config({"sources": {"clips": source}, "experiments": {"unmask": experiment}})
    assert clips(Path("x")).per_second == 1 and clips(Path("x"), every=3).per_second is None
    again = VideoSource.model_validate_json(clips(Path("x"), every=3).slice("every", "per_second", "block"))
    assert again == clips(Path("x"), every=3)
