"""Holes in faces are completed, in many ways: the hulls of face parts, or the light pixels of a picture of the hole."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import torch

from workflow_scripts.commands._controls import Control, Page
from workflow_scripts.commands._editing import Editor
from workflow_scripts.commands._patches import CutFace, Edit, spread
from workflow_scripts.commands._trained import Trained
from workflow_scripts.config.sources import Crop
from workflow_scripts.core import cli, guard
from workflow_scripts.core.files import open_regular
from workflow_scripts.faces.moves import MOVES, move_landmarks
from workflow_scripts.sources._pictures import decode_picture
from workflow_scripts.systems._completion.config import Holes, Part
from workflow_scripts.systems._completion.guides import predicted_guide
from workflow_scripts.systems._completion.holes import LIGHT, MAX_PIXELS, part_hole
from workflow_scripts.systems._completion.inference import complete_picture, draw_latents, find_keypoints
from workflow_scripts.training.checkpoint import load_network

FINDER, BEST = "keypoints", "flow"  # the network that guides, and that which completes where none is named
MOST = 1000  # completions


def _completers(trained: Trained) -> list[str]:
    return sorted({*trained.sidecars} - {FINDER}, key=lambda name: (name != BEST, name))


PAGE = Page(
    "Completes a hole in a face, in many ways.",
    (
        Control("--parts", "Parts of the face", "several", default=["mouth"], unless="--hole"),
        Control("--hole", "Hole", "hole"),
        Control("--count", "Completions", "slider", (1, 24, 1), default=6),
        Control("--diversity", "Diversity", "slider", (0, 2, 0.05)),
        Control("--move", "Expression", "amounts", (-1, 1, 0.05), names=[*MOVES]),
    ),
    _completers,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says where the hole is and how it is completed."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--hole", type=Path, help="a picture of the same size; its light pixels are completed")
    place.add_argument("--parts", nargs="+", choices=get_args(Part), default=[], help="face parts to complete")
    parser.add_argument("--count", type=int, default=12, help="completions of a picture; a video has the first")
    parser.add_argument("--diversity", type=float, default=1.0, help="1 as trained, 0: the middle of all completions")
    parser.add_argument("--move", nargs="+", default=[], help=f"{', '.join(MOVES)}, each with an amount: smile=0.5")


def build_editor(trained: Trained, args: argparse.Namespace, device: torch.device) -> Editor:
    """Return what completes holes."""
    return _Completer(trained, args, device)


class _Completer(Editor):
    def __init__(self, trained: Trained, args: argparse.Namespace, device: torch.device):
        if not 1 <= args.count <= MOST or not 0 <= args.diversity <= 4:
            raise cli.UserError(f"--count is 1 to {MOST} and --diversity 0 to 4")
        network = trained.named or BEST
        if network == FINDER:
            raise cli.UserError(
                f"{trained.path(network)}: is no network that completes faces; write {BEST}.safetensors"
            )
        completer, finder = trained.path(network), trained.path(FINDER)
        self.crop = Crop(size=trained.size(network, "target"), frame=trained.frame(network, args.frame))
        self._moves = _moves(args.move)
        self._hole = _read_hole(args.hole) if args.hole else None
        self._args = args
        self._network = load_network(completer, device)
        self._finder = load_network(finder, device)

    def edit(self, faces: Sequence[CutFace], only_first: bool = False) -> list[list[Edit]]:
        """Return the completions of each face, none where the hole is not in it."""
        return [self._complete(face, 1 if only_first else self._args.count) for face in faces]

    def _complete(self, face: CutFace, count: int) -> list[Edit]:
        size = self.crop.size
        if self._hole is None:
            margin = Holes().margin
            hole = np.any([part_hole(part, face.landmarks, size, margin) for part in self._args.parts], axis=0)
            within = spread(hole.astype(np.float32), face) > 0.5
        else:
            within = self._hole
            if within.shape != face.picture.shape[:2]:
                (rows, columns), (height, width) = within.shape, face.picture.shape[:2]
                raise cli.BadItem(
                    "hole of another size",
                    f"--hole {self._args.hole} has {columns}x{rows} pixels, the picture {width}x{height}; "
                    "make them equal",
                )
            hole = cv2.warpAffine(within.astype(np.float32), face.matrix, (size, size)) > 0
        if not hole.any() or hole.all():
            return []
        guide = predicted_guide(*find_keypoints(self._finder, face.image, hole), hole)
        for move, amount in self._moves.items():
            guide = guide.moved(move_landmarks(guide.landmarks, move, amount), hole)
        shape = self._network.latent_shape(size)
        latents = draw_latents(self._args.seed, face.name, count if shape else 1, shape)
        samples = complete_picture(self._network, face.image, hole, guide, self._args.diversity * latents)
        return [Edit(sample, hole.astype(np.float32), within) for sample in samples]


def _read_hole(path: Path) -> np.ndarray:
    """Return the light pixels of a picture, bool (H, W)."""
    try:
        with guard.reading(str(path), MAX_PIXELS), open_regular(path) as file:
            hole = cv2.cvtColor(decode_picture(file.read(), MAX_PIXELS), cv2.COLOR_RGB2GRAY) > LIGHT
    except OSError as error:
        raise cli.UserError(f"--hole {path}: {error.strerror}; write the path of one picture") from error
    except cli.BadItem as bad:
        raise cli.UserError(f"--hole {path}: {bad.reason}; {bad.detail}") from bad
    if not hole.any():
        raise cli.UserError(f"--hole {path}: no pixel is light; paint white what is to be completed, black the rest")
    return hole


def _moves(texts: Sequence[str]) -> dict[str, float]:
    """Return movement -> amount of texts such as `open_mouth=0.5`; without an amount it is 1."""
    moves = {}
    for text in texts:
        name, _, amount = text.partition("=")
        if name not in MOVES:
            raise cli.UserError(f"--move {text}: unknown; known: {', '.join(MOVES)}, for example `open_mouth=0.5`")
        try:
            moves[name] = float(amount or 1)
        except ValueError:
            raise cli.UserError(f"--move {text}: {amount!r} is no number; write for example `{name}=0.5`") from None
    return moves
