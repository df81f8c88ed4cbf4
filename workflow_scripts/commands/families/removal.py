"""Occluders are found on faces and taken off: both networks of an experiment are used, `map` and `edit`."""

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from workflow_scripts.commands._controls import Page
from workflow_scripts.commands._editing import Editor
from workflow_scripts.commands._patches import CutFace, Edit
from workflow_scripts.commands._trained import Trained
from workflow_scripts.config.sources import Crop
from workflow_scripts.core.cli import UserError
from workflow_scripts.systems import system_module
from workflow_scripts.systems._removal.maps import border_weights, clean_map
from workflow_scripts.training.data import Key
from workflow_scripts.training.inference import item_seed

PAGE = Page("Finds what covers a face, and paints the face below it.")
MOST = 1000  # versions
RIM = 1 / 32  # of the crop's side; over which an edit fades at least, as its pixels may be larger than the picture's


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what an editor that samples is asked for; the map says where to paint."""
    parser.add_argument("--count", type=int, default=1, help="versions of a picture; a video has the first")
    parser.add_argument("--diversity", type=float, help="of several versions; 1 as trained, 0: all alike")


def build_editor(trained: Trained, args: argparse.Namespace, device: torch.device) -> Editor:
    """Return what takes occluders off."""
    return _Remover(trained, args, device)


class _Remover(Editor):
    guesses = True

    def __init__(self, trained: Trained, args: argparse.Namespace, device: torch.device):
        paths = [trained.path(name) for name in ("map", "edit")]
        self.crop = Crop(size=trained.size("map", "input"), frame=trained.frame("map", args.frame))
        self._inference = system_module(trained.system, "inference")
        self._map, self._edit = (self._inference.load_network(path, device) for path in paths)
        self._opening = trained.experiment("map").difference.opening
        border = self._edit.border
        self._border = border.model_copy(update={"feather": max(border.feather, RIM * self.crop.size)})
        self._seed, self._count = args.seed, args.count
        self._diversity = 1.0 if args.diversity is None else args.diversity
        if not 1 <= args.count <= MOST or not 0 <= self._diversity <= 4:
            raise UserError(f"--count is 1 to {MOST} and --diversity 0 to 4")
        sampling = trained.experiment("edit").edit.sampling
        if sampling is None and (args.count > 1 or args.diversity is not None):
            raise UserError(
                f"{trained.path('edit')}: paints one face only; --count and --diversity are for networks that were "
                "trained with `edit: {sampling: …}`"
            )

    def edit(self, faces: Sequence[CutFace], only_first: bool = False) -> list[list[Edit]]:
        """Return the versions of each face, or none where no occluder is found."""
        images = np.stack([face.image for face in faces])
        found = np.rint(self._inference.find_occluders(self._map, images) * 255).astype(np.uint8)
        maps = np.stack(
            [_own_part(clean_map(one, self._opening), face) for one, face in zip(found, faces, strict=True)]
        )
        seeds = [item_seed(self._seed, Key("apply", face.name, 0)) for face in faces]
        count = 1 if only_first else self._count
        painted = self._inference.paint_bare_faces(self._edit, images, maps, seeds, count, self._diversity)
        return [
            [Edit(image, border_weights(occluder, self._border)) for image in versions] if occluder.any() else []
            for occluder, *versions in zip(maps, *painted, strict=True)
        ]


def _own_part(occluder: np.ndarray, face: CutFace) -> np.ndarray:
    """Return the parts of a map, uint8 (S, S), 0 or 255, that lie on the face itself, and not on who stands beside."""
    hull = cv2.convexHull(np.rint(face.landmarks).astype(np.int32))
    own = cv2.fillConvexPoly(np.zeros_like(occluder), hull, 255)
    _, parts = cv2.connectedComponents(occluder)
    return np.where(np.isin(parts, np.unique(parts[own > 0])), occluder, 0).astype(np.uint8)
