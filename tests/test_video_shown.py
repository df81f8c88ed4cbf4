"""Source `video`: what a file states about how its pixels are shown is honoured, or the clip is quarantined for it."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import Image

from workflow_scripts.config.sources import VideoSource
from workflow_scripts.core.tables import read_table
from workflow_scripts.sources._decoding import ShotCounter, VideoReader
from workflow_scripts.sources._pictures import TURNS, BadPicture
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.sources.index_source import index_source

WIDTH, HEIGHT, RATE, SECOND = 96, 64, 10, 90_000
# By EXIF orientation: a, b, c, d of the matrix that maps x, y to a x + c y, b x + d y.
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
# To linear light in XYZ, of BT.709, BT.2020 and Display P3 (their standards' chromaticities).
TO_XYZ = {
    1: [[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]],
    9: [[0.63696, 0.14462, 0.16888], [0.26270, 0.67800, 0.05930], [0.0, 0.02807, 1.06099]],
    12: [[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]],
}


def picture(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Colours that run from dark to bright, with a bright upper left corner."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    pixels = np.stack([40 + 160 * x, 60 + 120 * y, 180 - 100 * x * y], axis=2).astype(np.uint8)
    pixels[: height // 4, : width // 4] = (250, 240, 230)
    return pixels


def frame_of(pixels: np.ndarray, form: str, number: int, **tags: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    ranges = {"dst_color_range": tags["color_range"]} if "color_range" in tags else {}
    spaces = {"dst_colorspace": tags["colorspace"]} if "colorspace" in tags else {}
    frame = frame.reformat(format=form, **ranges, **spaces) if form != "rgb24" else frame
    frame.pts, frame.time_base = number * SECOND // RATE, Fraction(1, SECOND)
    return frame


def write(path: Path, frames: list, codec: str = "libx264", form: str = "yuv444p", **keys) -> Path:
    """Write frames, RGB pixels or frames of FFmpeg.

    Args:
        path: the file.
        frames: of one size.
        codec: encoder.
        form: pixel format.
        keys: `options` of the encoder; `last`, seconds that the last frame is shown; `matrix`, `aspect`, `filter` for
            packets, `metadata` of the stream; others are attributes of encoder and frames.
    """
    given = {name: keys.pop(name, None) for name in ("last", "matrix", "aspect", "filter", "metadata")}
    options = keys.pop("options", {"qp": "0"} if codec == "libx264" else {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        first = frames[0]
        width, height = (
            (first.shape[1], first.shape[0]) if isinstance(first, np.ndarray) else (first.width, first.height)
        )
        stream.pix_fmt, stream.width, stream.height = form, width, height
        context = stream.codec_context
        if codec != "mpeg2video":
            stream.time_base = context.time_base = Fraction(1, SECOND)
        if given["aspect"]:
            context.sample_aspect_ratio = given["aspect"]
        if given["matrix"]:
            stream.set_display_matrix(given["matrix"])
        stream.metadata.update(given["metadata"] or {})
        for name, value in keys.items():
            setattr(context, name, value)
        packets = []
        for number, pixels in enumerate(frames):
            frame = frame_of(pixels, form, number, **keys) if isinstance(pixels, np.ndarray) else pixels
            frame.pts, frame.time_base = number * SECOND // RATE, Fraction(1, SECOND)
            for name, value in keys.items():
                setattr(frame, name, value)
            packets += stream.encode(frame)
        packets += stream.encode()
        if given["last"]:
            max(packets, key=lambda packet: packet.pts or -1).duration = round(given["last"] * SECOND)
        bsf = BitStreamFilterContext(given["filter"], stream) if given["filter"] else None
        for packet in packets:
            for piece in bsf.filter(packet) if bsf else [packet]:
                container.mux(piece)
    return path


def index(path: Path, **keys) -> tuple:
    outputs = path.parent / "index.parquet", path.parent / "quarantine.parquet"
    index_source(VideoSource(type="video", path=str(path), **({"every": 1} | keys)), 1, 0, 1, *outputs)
    return tuple(map(read_table, outputs))


def shown(path: Path) -> np.ndarray:
    """Return the first frame, after the index has had no complaint."""
    rows, rejected = index(path)
    assert rejected.empty
    pixels = VideoReader(path).read(0)
    assert (rows["height"][0], rows["width"][0]) == pixels.shape[:2]
    return pixels


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean difference in grey levels."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("orientation", MATRICES)
def test_all_eight_turns_and_mirrors_are_those_of_exif(tmp_path, orientation, suffix):
    a, b, c, d = (65536 * value for value in MATRICES[orientation])
    path = write(tmp_path / f"clip.{suffix}", [picture()] * 2, matrix=[a, b, 0, c, d, 0, 0, 0, 1 << 30])
    upright = Image.fromarray(picture())
    expected = upright.transpose(TURNS[orientation]) if orientation > 1 else upright
    assert apart(shown(path), np.asarray(expected)) < 3


def test_a_clip_that_is_shown_askew_is_quarantined(tmp_path):
    half = round(65536 * 0.5**0.5)
    path = write(tmp_path / "clip.mp4", [picture()] * 2, matrix=[half, half, 0, -half, half, 0, 0, 0, 1 << 30])
    with pytest.raises(
        Exception, match=r"1 video shown askew; for example clip.mp4: it is turned by no multiple of 90"
    ):
        index(path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(3, 4), Fraction(12, 11), Fraction(1), None])
def test_pixels_are_square(tmp_path, suffix, aspect):
    path = write(tmp_path / f"clip.{suffix}", [picture()] * 2, aspect=aspect)
    width, height = {Fraction(4, 3): (128, 64), Fraction(3, 4): (96, 85), Fraction(12, 11): (105, 64)}.get(
        aspect, (WIDTH, HEIGHT)
    )
    assert apart(shown(path), picture(width, height)) < 3


def test_a_turn_comes_after_the_shape_of_pixels(tmp_path):
    matrix = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    path = write(tmp_path / "clip.mp4", [picture()] * 2, matrix=matrix, aspect=Fraction(4, 3))
    assert shown(path).shape == (128, 64, 3)


def test_a_clip_whose_pixels_are_absurdly_wide_is_quarantined(tmp_path):
    path = write(tmp_path / "clip.mp4", [picture()] * 2, aspect=Fraction(50))
    with pytest.raises(Exception, match="too many pixels"):
        index(path, max_pixels=100_000)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_last_frame_that_is_shown_for_long_is_no_early_end(tmp_path, suffix):
    frames = [np.roll(picture(), 4 * number, axis=1) for number in range(20)]
    rows, rejected = index(write(tmp_path / f"clip.{suffix}", frames, last=6.0))
    assert rejected.empty and len(rows) == 20
    with PictureReader(VideoSource(type="video", path=str(tmp_path))) as reader:
        assert reader.length(f"clip.{suffix}", 19) == pytest.approx(6, abs=0.1)
        assert reader.length(f"clip.{suffix}", 3) == pytest.approx(1 / RATE, abs=0.001)


def soft(pixels: np.ndarray) -> np.ndarray:
    """Return colours that every gamut holds, as those of skin."""
    return (110 + 0.35 * (pixels.astype(int) - 110) + 0.65 * (pixels.mean(axis=2, keepdims=True) - 110)).astype(
        np.uint8
    )


def encoded(pixels: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Return BT.709 colours in others, 0..1, with diffuse white at 203 cd/m2 (ITU-R BT.2408)."""
    light = (pixels / 255) ** 2.4 @ (np.linalg.inv(TO_XYZ[primaries]) @ TO_XYZ[1]).T
    light = np.clip(light, 0, None)
    if transfer == 16:  # SMPTE ST 2084
        power = (light * 203 / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    if transfer == 18:  # ARIB STD-B67, on a screen of 1,000 cd/m2
        screen = light * 0.203
        scene = screen * np.maximum(screen @ np.array(TO_XYZ[9])[1], 1e-9)[..., None] ** (1 / 1.2 - 1)
        bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
    return np.clip(light, 0, 1) ** (1 / 2.4)


def ten_bits(rgb: np.ndarray, matrix: int) -> av.VideoFrame:
    """Return colours, 0..1, as a frame of 10 bits in the narrow range."""
    red, blue = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}[matrix]
    grey = rgb @ [red, 1 - red - blue, blue]
    planes = (
        64 + 876 * grey,
        512 + 448 * (rgb[..., 2] - grey) / (1 - blue),
        512 + 448 * (rgb[..., 0] - grey) / (1 - red),
    )
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        lines = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        lines[:, : rgb.shape[1]] = values.round().clip(0, 1023)
        plane.update(lines.tobytes())
    return frame


@pytest.mark.parametrize(
    ("transfer", "primaries", "matrix"),
    [(16, 9, 9), (18, 9, 9), (14, 9, 9), (1, 12, 1)],
    ids=["PQ", "HLG", "BT.2020", "Display P3"],
)
def test_high_dynamic_range_and_wide_gamut_look_like_a_photograph(tmp_path, transfer, primaries, matrix):
    pixels = soft(picture())
    frames = [ten_bits(encoded(pixels, transfer, primaries), matrix) for _ in range(2)]
    tags = {"color_trc": transfer, "color_primaries": primaries, "colorspace": matrix, "color_range": 1}
    path = write(tmp_path / "clip.mkv", frames, "ffv1", "yuv444p10le", **tags)
    assert apart(VideoReader(path).read(0), pixels) < 1.5


def test_the_change_at_a_cut_is_that_of_the_colours_shown(tmp_path):
    scenes = [np.full((HEIGHT, WIDTH, 3), grey, np.uint8) for grey in (60, 60, 60, 84, 84)]
    frames = [ten_bits(encoded(scene, 16, 9), 9) for scene in scenes]
    tags = {"color_trc": 16, "color_primaries": 9, "colorspace": 9, "color_range": 1}
    path = write(tmp_path / "clip.mkv", frames, "ffv1", "yuv444p10le", **tags)
    counter = ShotCounter()
    assert [counter.count(frame.image) for frame in VideoReader(path).frames()] == [0, 0, 0, 1, 1]


def test_colours_that_cannot_be_converted_are_quarantined(tmp_path):
    path = write(tmp_path / "in/clip.mkv", [picture()] * 2, "ffv1", colorspace=8)
    write(tmp_path / "in/good.mkv", [picture()] * 2, "ffv1")
    rows, rejected = index(path.parent)
    assert set(rows["file"]) == {"good.mkv"}
    assert list(rejected["reason"]) == ["colours not supported"] and "convert it to BT.709" in rejected["detail"][0]


@pytest.mark.parametrize("colorspace", [1, 5])
@pytest.mark.parametrize("color_range", [1, 2])
def test_range_and_matrix_of_colours_are_honoured(tmp_path, color_range, colorspace):
    path = write(tmp_path / "clip.mkv", [picture()] * 2, "ffv1", color_range=color_range, colorspace=colorspace)
    assert apart(shown(path), picture()) < 2


def test_of_interlaced_frames_one_field_is_shown(tmp_path):
    frames = []
    for number in range(4):
        pixels = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        pixels[0::2, 8 * number : 8 * number + 24] = 220
        pixels[1::2, 8 * number + 4 : 8 * number + 28] = 220  # half a frame later
        frames.append(pixels)
    options = {"qp": "0", "flags": "+ildct+ilme", "x264-params": "tff=1"}
    for suffix in ("mkv", "ts"):
        path = write(tmp_path / suffix / f"clip.{suffix}", frames, options=options)
        pixels = shown(path).astype(int)
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(np.diff(pixels[4:-4], axis=0)).max() < 8, "combed"
        assert pixels[30, 10].min() > 200 and pixels[30, 26].max() < 60, "not the upper field"


@pytest.mark.parametrize("left", [2, 6, 18])
def test_what_the_codec_crops_is_cropped_exactly(tmp_path, left):
    path = write(tmp_path / "clip.ts", [picture()] * 2, filter=f"h264_metadata=crop_left={left}:crop_top=4")
    assert apart(shown(path), picture()[4:, left:]) < 3


def insert(data: bytes, path: list[bytes], box: bytes) -> bytes:
    """Append a box to the one at a path of names in an MP4 whose `moov` is its end; all around it grow."""
    start, places = 0, []
    for name in path:
        start = data.index(name, start) - 4
        places.append(start)
        start += 8
    end = places[-1] + struct.unpack_from(">I", data, places[-1])[0]
    grown = bytearray(data)
    for place in places:
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", data, place)[0] + len(box))
    grown[end:end] = box
    return bytes(grown)


def test_the_clean_aperture_of_an_mp4_is_what_is_shown(tmp_path):
    path = write(tmp_path / "clip.mp4", [picture()] * 2)
    aperture = struct.pack(">I4s8i", 40, b"clap", 60, 1, 40, 1, 10, 1, -4, 1)  # 60 x 40, middle moved by (10, -4)
    tree = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
    path.write_bytes(insert(path.read_bytes(), tree, aperture))
    assert apart(shown(path), picture()[8:48, 28:88]) < 3


def element(name: bytes, content: bytes) -> bytes:
    """An element of Matroska whose size takes eight bytes."""
    return name + bytes([1]) + len(content).to_bytes(7, "big") + content


def test_the_crop_of_a_matroska_file_is_what_is_shown(tmp_path):
    path = write(tmp_path / "clip.mkv", [picture()] * 2, aspect=Fraction(2))
    data = path.read_bytes()
    segment = data.index(b"\x18\x53\x80\x67")
    tracks = data.index(b"\x16\x54\xae\x6b", segment)
    crops = b"".join(element(bytes([0x54, side]), bytes([count])) for side, count in ((0xAA, 4), (0xBB, 8), (0xCC, 6)))
    video = element(b"\xe0", crops + element(b"\xb0", bytes([WIDTH])) + element(b"\xba", bytes([HEIGHT])))
    codec = b"V_MPEG4/ISO/AVC"
    private = data.index(b"\x63\xa2", tracks)
    length = data[private + 2] & 0x7F
    entry = element(b"\xd7", b"\1") + element(b"\x73\xc5", b"\1") + element(b"\x83", b"\1") + element(b"\x86", codec)
    entry += element(b"\x63\xa2", data[private + 3 : private + 3 + length]) + video
    cluster = data.index(b"\x1f\x43\xb6\x75", tracks)
    path.write_bytes(
        data[:segment] + b"\x18\x53\x80\x67\x01" + b"\xff" * 7  # of unknown size
        + element(b"\x16\x54\xae\x6b", element(b"\xae", entry)) + data[cluster:]
    )  # fmt: skip
    assert apart(VideoReader(path).read(0), picture()[8:60, 6:]) < 3


def test_only_the_frames_of_an_edit_list_are_shown(tmp_path):
    frames = [np.full((HEIGHT, WIDTH, 3), 10 * number + 5, np.uint8) for number in range(20)]
    path = write(tmp_path / "clip.mp4", frames, options={"qp": "0", "bf": "0"})
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 12
    length, start = struct.unpack_from(">Ii", data, place)
    struct.pack_into(">Ii", data, place, length // 2, start + 5 * SECOND // RATE)
    path.write_bytes(data)
    rows, rejected = index(path)
    assert rejected.empty and len(rows) == 10 and rows["time"][0] == 0
    assert VideoReader(path).read(0).mean() == pytest.approx(55, abs=2)


def test_transparent_video_is_laid_over_white(tmp_path):
    colour = np.dstack([picture(), np.where(np.arange(WIDTH) < 48, 255, 0) * np.ones((HEIGHT, 1), int)]).astype(
        np.uint8
    )
    frames = [av.VideoFrame.from_ndarray(colour, format="rgba").reformat(format="argb") for _ in range(2)]
    pixels = shown(write(tmp_path / "clip.mov", frames, "qtrle", "argb"))
    assert apart(pixels[:, :48], picture()[:, :48]) < 2 and (pixels[:, 48:] == 255).all()


def test_two_views_in_one_picture_are_quarantined(tmp_path):
    path = write(tmp_path / "clip.mkv", [picture()] * 2, metadata={"stereo_mode": "left_right"})
    with pytest.raises(
        Exception, match=r"1 video is not flat; for example clip.mkv: it shows two views in one picture"
    ):
        index(path)
    assert (
        shown(write(tmp_path / "one.mkv", [picture()] * 2, metadata={"stereo_mode": "mono"})).shape == picture().shape
    )
    with pytest.raises(BadPicture, match="export one flat view"):
        VideoReader(path).read(0)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def test_a_picture_of_all_directions_is_quarantined(tmp_path):
    path = write(tmp_path / "clip.mp4", [picture()] * 2)
    projection = box(b"proj", box(b"prhd", bytes(16)) + box(b"equi", bytes(20)))
    tree = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
    path.write_bytes(insert(path.read_bytes(), tree, box(b"sv3d", box(b"svhd", bytes(5)) + projection)))
    with pytest.raises(Exception, match=r"1 video is not flat; for example .* it shows a picture of all directions"):
        index(path)
