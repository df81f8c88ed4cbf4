"""Complete a hole in a face many times: `--checkpoint … --picture photo.jpg --parts mouth --output DIR`.

The face is found in the picture as it is, cut out as in training, completed, and put back into the picture, which
outside the hole stays the same to the bit. The hole is a picture of the same size, whose light pixels are to be
completed, or the hulls of named face parts. What is written is marked as generated.

Only complete the face of somebody who agreed to it (README, "Consent and law").
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, get_args

import cv2
import numpy as np
from PIL import Image

from workflow_scripts.config.sources import Crop, FaceSearch, FolderSource
from workflow_scripts.core import cli, marking
from workflow_scripts.core.names import readable
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces.alignment import crop_matrix, crop_picture, transform_points
from workflow_scripts.faces.moves import MOVES, move_landmarks
from workflow_scripts.reporting.contact_sheets import Tile, draw_contact_sheet
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.sources.fetch_weights import fetch_weights
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._completion.config import Holes, Part
from workflow_scripts.systems._completion.guides import predicted_guide
from workflow_scripts.systems._completion.holes import LIGHT, part_hole
from workflow_scripts.systems._completion.inference import complete_picture, draw_latents, find_keypoints
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.device import choose_device

FRAMES = ("celeba", "face", "whole")


class Wanted(NamedTuple):
    """How a hole is to be completed.

    Attributes:
        parts: face parts whose hulls are the hole.
        hole: file of the hole; None where it is of parts.
        count: completions.
        diversity: value of the diversity knob; 1 as trained, 0 for the middle of all completions.
        seed: of the random numbers.
        moves: movement of the keypoints -> its amount.
        frame: of the crops in training.
    """

    parts: list[str]
    hole: Path | None
    count: int
    diversity: float
    seed: int
    moves: dict[str, float]
    frame: str


class _Face(NamedTuple):
    """A picture, uint8 (H, W, 3), with the landmarks (68, 2) of its face in pixels."""

    picture: np.ndarray
    landmarks: np.ndarray


def complete_face(checkpoint: Path, picture: Path, output: Path, wanted: Wanted, gpus: int = 0) -> list[Path]:
    """Write the completed pictures, `{name}_01.png` and so on, and a sheet of the faces, `{name}_sheet.png`.

    Args:
        checkpoint: of a network of `diverse`; its sidecar, and the checkpoint `keypoints`, lie beside it.
        picture: the file.
        output: the folder to write to.
        wanted: the hole, and how it is completed.
        gpus: GPUs that may be used.

    Returns:
        The files of the completed pictures.

    Raises:
        UserError: a file is absent or cannot be used, no face is found, or nothing of the hole lies in the crop.
    """
    size = _check_files(checkpoint, picture)
    device = choose_device("auto", gpus, 1)
    completer, finder = (
        load_network(checkpoint, device),
        load_network(checkpoint.with_name("keypoints.safetensors"), device),
    )
    face, given = _read(picture, wanted)
    crop = Crop(size=size, frame=wanted.frame)
    matrix = crop_matrix(face.landmarks, face.picture.shape[1::-1], crop)
    if given is None:
        within = transform_points(matrix, face.landmarks)
        hole = np.any([part_hole(part, within, size, Holes().margin) for part in wanted.parts], axis=0)
        given = _put_back(hole.astype(np.float32), matrix, face.picture) > 0.5
    else:
        hole = cv2.warpAffine(given.astype(np.float32), matrix, (size, size)) > 0
    image = crop_picture(face.picture, matrix, crop)
    if not hole.any() or hole.all():
        what = "fills the face's square, which leaves nothing to see" if hole.any() else "lies beside the face"
        raise cli.UserError(f"--hole {wanted.hole or ' '.join(wanted.parts)}: {what}; choose another hole")

    keypoints, spread = find_keypoints(finder, image, hole)
    guide = predicted_guide(keypoints, spread, hole)
    for move, amount in wanted.moves.items():
        guide = guide.moved(move_landmarks(guide.landmarks, move, amount), hole)
    name = f"{picture.name}/0/0"
    latents = draw_latents(wanted.seed, name, wanted.count, completer.latent_shape(size))
    samples = complete_picture(completer, image, hole, guide, wanted.diversity * latents)

    reached = _put_back(np.ones((size, size), np.float32), matrix, face.picture) > 0.99
    if missed := int((given & ~reached).sum()):
        print(
            f"{missed / given.sum():.0%} of the hole lies beyond the face's square and stays as it is", file=sys.stderr
        )
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / f"{picture.stem}_{number:02d}.png" for number in range(1, len(samples) + 1)]
    for path, sample in zip(paths, samples, strict=True):
        completed = np.where((given & reached)[..., None], _put_back(sample, matrix, face.picture), face.picture)
        marking.save_png(Image.fromarray(completed), path)
    holed = np.where(hole[..., None], np.uint8(127), image)
    tiles = [Tile(holed, ["given"]), *(Tile(sample, [str(number)]) for number, sample in enumerate(samples, 1))]
    draw_contact_sheet(tiles, output / f"{picture.stem}_sheet.png")
    return paths


def _read(path: Path, wanted: Wanted) -> tuple[_Face, np.ndarray | None]:
    """Return the picture with its face, and the hole that is given, bool (H, W)."""
    faces = FaceSearch(on_no_face="whole" if wanted.frame == "whole" else "quarantine")
    with tempfile.TemporaryDirectory(prefix="complete_face.") as folder:
        home = Path(folder)
        source = FolderSource(type="folder", path=str(_copied(path, home / "pictures")), faces=faces)
        names = ("landmarks.safetensors", "index.parquet", "landmarks.parquet", "unread.parquet", "no_face.parquet")
        model, index, landmarks, unread, no_face = (home / name for name in names)
        index_source(source, 0, 0, 1, index, unread)
        fetch_weights("landmarks", None, model)
        find_landmarks(source, index, model, landmarks, no_face)
        found = read_table(landmarks)
        found = found[found["face"] == 0]
        if found.empty:
            detail = read_table(no_face)["detail"].iloc[0]
            raise cli.UserError(f"{detail}; a face that is cut out already needs `--frame whole`")
        with PictureReader(source) as reader:
            face = _Face(reader.read(path.name), landmark_points(found)[0])
        return face, _read_hole(wanted.hole, home / "holes", face.picture) if wanted.hole else None


def _read_hole(path: Path, folder: Path, picture: np.ndarray) -> np.ndarray:
    """Return the light pixels of a hole's picture, bool (H, W), which must be as large as the face's picture."""
    with PictureReader(FolderSource(type="folder", path=str(_copied(path, folder)))) as reader:
        try:
            hole = cv2.cvtColor(reader.read(path.name), cv2.COLOR_RGB2GRAY) > LIGHT
        except cli.BadItem as bad:
            raise cli.UserError(f"--hole {path}: {bad.reason}; {bad.detail}") from bad
    if hole.shape != picture.shape[:2]:
        (height, width), (rows, columns) = picture.shape[:2], hole.shape
        raise cli.UserError(
            f"--hole {path}: has {columns}x{rows} pixels, the picture {width}x{height}; make them equal"
        )
    if not hole.any():
        raise cli.UserError(f"--hole {path}: no pixel is light; paint white what is to be completed, black the rest")
    return hole


def _copied(path: Path, folder: Path) -> Path:
    """Return a new folder that holds nothing but a copy of the file."""
    folder.mkdir()
    shutil.copyfile(path, folder / path.name)
    return folder


def _put_back(values: np.ndarray, matrix: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return values of the crop, (S, S) or (S, S, 3), at their places in the picture; 0 beyond the crop."""
    size = picture.shape[1::-1]
    return cv2.warpAffine(values, matrix, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def _check_files(checkpoint: Path, picture: Path) -> int:
    """Return the side of the pictures that the checkpoint was trained on."""
    if not picture.is_file():
        raise cli.UserError(f"--picture {picture}: no such file; write the path of one picture")
    keypoints = checkpoint.with_name("keypoints.safetensors")
    for path in (checkpoint, checkpoint.with_suffix(".json"), keypoints, keypoints.with_suffix(".json")):
        if not path.is_file():
            raise cli.UserError(
                f"--checkpoint {checkpoint}: no file {path}; write one of results/{{experiment}}/checkpoints/, where "
                "`keypoints.safetensors` and the .json of both lie beside it"
            )
    sidecar = checkpoint.with_suffix(".json")
    try:
        description = json.loads(sidecar.read_text(encoding="utf-8"))
        if description["system"] != "diverse" or description["network"] == "keypoints":
            raise cli.UserError(
                f"--checkpoint {checkpoint}: is no network that completes faces; write `flow.safetensors`"
            )
        return int(description["shapes"]["target"][0])
    except (ValueError, KeyError, TypeError) as error:
        raise cli.UserError(f"{sidecar}: is damaged ({error}); copy it again or train again") from error


def _moves(texts: list[str]) -> dict[str, float]:
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


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="`flow.safetensors`; keypoints.safetensors beside"
    )
    parser.add_argument("--picture", type=Path, required=True, help="a picture with a face")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write to")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--hole", type=Path, help="a picture of the same size; its light pixels are completed")
    place.add_argument("--parts", nargs="+", choices=get_args(Part), default=[], help="face parts to complete")
    parser.add_argument("--count", type=int, default=12, help="completions")
    parser.add_argument("--diversity", type=float, default=1.0, help="1 as trained, 0: the middle of all completions")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--move", nargs="+", default=[], help=f"{', '.join(MOVES)}, each with an amount: smile=0.5")
    parser.add_argument("--frame", choices=FRAMES, default="celeba", help="of the crops that were trained on")
    parser.add_argument("--gpus", type=int, default=0)
    args = parser.parse_args(argv)
    if not 1 <= args.count <= 1000 or not 0 <= args.diversity <= 4:
        raise cli.UserError("--count is 1 to 1000 and --diversity 0 to 4")
    wanted = Wanted(args.parts, args.hole, args.count, args.diversity, args.seed, _moves(args.move), args.frame)
    if wanted.hole and not wanted.hole.is_file():
        raise cli.UserError(f"--hole {wanted.hole}: no such file; write the path of one picture")
    for path in complete_face(args.checkpoint, args.picture, args.output, wanted, args.gpus):
        print(readable(str(path)))


if __name__ == "__main__":
    cli.run(main)
