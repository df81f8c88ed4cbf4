"""What the tests of the commands for one's own pictures share: small networks, and pictures of several people."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from workflow_scripts.systems.unmask.config import Experiment
from workflow_scripts.systems.unmask.networks import build_network
from workflow_scripts.training.checkpoint import save_checkpoint

SIZE = 64


def save_unmask(folder: Path, finds: bool = True, edit: dict | None = None) -> Path:
    """Write the two networks of an experiment, whose map holds the whole crop, or nothing, and return their folder.

    Args:
        folder: where they go.
        finds: whether the map holds the whole crop.
        edit: keys of the editing network, in place of a small one that paints one face.
    """
    torch.manual_seed(0)
    unet = {"blocks": 5, "channels": 4, "max_channels": 8}
    small = {"unet": unet | {"squeeze_excitation": [], "atrous": False}, "perceptual": "none", "residual": False}
    config = Experiment(system="unmask", map={"unet": unet}, edit=edit or small | {"fill": "grey"})
    for name in ("map", "edit"):
        network = build_network(name, config)
        last = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        torch.nn.init.constant_(last.bias, (9 if finds else -9) if name == "map" else 0.3)
        if config.edit.sampling and name == "edit":  # a new flow is at 0
            torch.nn.init.normal_(network.unet.head.weight, 0, 0.1)
        description = {"system": "unmask", "network": name, "config": config.model_dump(mode="json"), "bases": {}}
        description |= {"shapes": {"input": [SIZE, SIZE, 3]}}
        description |= {"crops": {"photos": {"size": SIZE, "frame": "celeba"}}}
        save_checkpoint(folder / f"{name}.safetensors", folder / f"{name}.json", network, description)
    return folder


def group_picture(astronaut: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return a picture of three people of different size, one tilted, and about where their noses are."""
    portrait = np.ascontiguousarray(astronaut[:300, 70:370])
    turned = cv2.warpAffine(
        portrait, cv2.getRotationMatrix2D((150, 120), 25, 1.0), (300, 300), borderMode=cv2.BORDER_REPLICATE
    )
    picture = np.full((320, 860, 3), 120, np.uint8)
    picture[10:310, 10:310], picture[10:310, 330:630] = portrait, turned
    picture[60:260, 650:850] = cv2.resize(portrait, (200, 200), interpolation=cv2.INTER_AREA)
    return picture, [(160, 125), (480, 125), (750, 137)]


def write_film(
    path: Path, pictures: Sequence[np.ndarray], times: Sequence[int] = (), sound: float = 0, codec: str = "aac"
) -> Path:
    """Write a video of pictures at times in milliseconds, 40 apart by default, with so many seconds of a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.height, stream.width = (side + side % 2 for side in pictures[0].shape[:2])
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = container.add_stream(codec, rate=16000, layout="mono") if sound else None
        for picture, time in zip(pictures, times or range(0, 40 * len(pictures), 40), strict=True):
            even = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone:
            wave = np.sin(np.arange(int(16000 * sound)) * 0.2)[None].astype(np.float32) * 0.4
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.rate = 16000
            resampler = av.AudioResampler(format=tone.codec_context.format, layout="mono", rate=16000)
            for part in resampler.resample(frame):
                container.mux(tone.encode(part))
            container.mux(tone.encode())
    return path
