"""What tests read from written films: their frames, and the mark that says how they were made."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

from workflow_scripts.core import marking


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def xmp_of_mp4(path: Path) -> str:
    """Return the XMP packet of an MP4 file, by walking its boxes."""
    data, place = path.read_bytes(), 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"uuid" and data[place + 8 : place + 24] == marking.XMP_BOX:
            return data[place + 24 : place + length].decode()
        place += length
    return ""


def assert_marked(path: Path) -> None:
    """Check that another program finds the mark where the format has it."""
    if path.suffix == ".mp4":
        assert marking.SOURCE_TYPE in xmp_of_mp4(path)
        with av.open(str(path)) as container:
            assert marking.SOURCE_TYPE in container.metadata["comment"]
    elif path.suffix == ".png":
        assert marking.SOURCE_TYPE in Image.open(path).info["XML:com.adobe.xmp"]
    elif path.suffix == ".jpg":
        assert marking.SOURCE_TYPE in Image.open(path).info["xmp"].decode()
    else:
        data = path.read_bytes()
        start = data.index(b"\x21\xff\x0bXMP DataXMP") + 14
        assert data[start : data.index(b"\x01\xff\xfe", start)].decode() == marking.XMP
        with Image.open(path) as gif:
            for number in range(gif.n_frames):
                gif.seek(number)
                gif.load()
