"""Drawings of driven faces that are no faces, by what the driver's frames show.

Each clip is one person. It is cut so that only frames of one kind are left: the fifth that smiles most, talks with the
mouth widest open, looks farthest to a side or up, has the eyes most closed; and all frames, tilted. Photographs drive
as clips of one frame. Each drives every other clip's person, whose face is measured on all frames.

What is no face is told by a measure that the workflow does not use: the drawing, moved, turned and scaled as a whole,
is farther from every real face, in the photographs and the clips, than 995 in 1,000 photographs are from every other
one, or parts of it cross.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from workflow_scripts.config.sources import FolderSource, VideoSource
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.alignment import fit_similarity, transform_points
from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.faces.heads import fit_heads, shapes_of, turns_of
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.faces.plausibility import parts_cross
from workflow_scripts.faces.shape_transfer import Target, measure_target, neutral_face
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.reenactment.draw_landmarks import normalised
from workflow_scripts.stages.sources.fetch_weights import fetch_weights
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._reenactment.config import Drawing

SHARE = 0.2  # of a clip's frames in each cut
TILTS = (15, 30)  # degrees
REAL = 99.5  # percent of the photographs are as near to another one
SHOWN, SIDE, GAP = 5, 128, 2  # frames of a driver on the sheet, pixels of a drawing, and between them


class Driver(NamedTuple):
    """Frames of one person.

    Attributes:
        person: the clip's name, or the photograph's.
        kind: what the frames show.
        frames: rows of the index.
        points: float64 (n, 68, 2).
    """

    person: str
    kind: str
    frames: pd.DataFrame
    points: np.ndarray


def find_faces(source: FolderSource | VideoSource, name: str, work: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of the index whose picture shows a face, and the chosen faces' landmarks (n, 68, 2)."""
    model = work / "landmarks.safetensors"
    if not model.exists():
        fetch_weights("landmarks", None, model)
    index, table, lost = (work / f"{name}.{kind}" for kind in ("index", "faces", "lost"))
    index_source(source, 1, 0, 1, index, lost)
    find_landmarks(source, index, model, table, lost)
    faces = read_table(table)
    faces = faces[faces["face"] == 0]
    rows = read_table(index, ["item", "file", "time", "shot"]).set_index("item").loc[faces["item"]].reset_index()
    return rows, landmark_points(faces).astype(np.float64)


def cuts_of(person: str, frames: pd.DataFrame, points: np.ndarray) -> Iterator[Driver]:
    """Yield the clip, and what is left of it when it is cut."""
    heads = fit_heads(points)
    shapes, (yaw, pitch, _) = shapes_of(heads.modes)[:, :, :2], turns_of(heads.turn).T
    corners = [groups.RIGHT_MOUTH_CORNER, groups.LEFT_MOUTH_CORNER]
    lips = [groups.UPPER_LIP_MIDDLE, groups.LOWER_LIP_MIDDLE]
    smile = shapes[:, corners[1], 0] - shapes[:, corners[0], 0]
    smile += shapes[:, lips, 1].mean(axis=1) - shapes[:, corners, 1].mean(axis=1)
    lids = -_opening(shapes, groups.RIGHT_LID_PAIRS + groups.LEFT_LID_PAIRS)
    measures = {"smiling": smile, "talking": _opening(shapes, groups.LIP_PAIRS), "to the left": -yaw}
    measures |= {"to the right": yaw, "up": pitch, "eyes closed": lids}
    yield Driver(person, "all frames", frames, points)
    for kind, values in measures.items():
        most = np.sort(np.argsort(-values, kind="stable")[: max(1, round(SHARE * len(values)))])
        yield Driver(person, kind, frames.iloc[most], points[most])
    middle = points.mean(axis=(0, 1))
    for degrees in TILTS:
        turn = cv2.getRotationMatrix2D(middle.tolist(), degrees, 1.0)
        yield Driver(person, f"tilted {degrees}°", frames, np.array([transform_points(turn, one) for one in points]))


def _opening(shapes: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    upper, lower = np.array(pairs).T
    return np.linalg.norm(shapes[:, upper] - shapes[:, lower], axis=-1).mean(axis=1)


class RealFaces:
    """Tells faces from what is none.

    Args:
        photographs: landmarks (n, 68, 2), by which the limit is set.
        frames: (m, 68, 2), of other real faces.
    """

    def __init__(self, photographs: np.ndarray, frames: np.ndarray):
        count = len(photographs)
        self._real = _aligned(_with_mirrored(photographs))
        apart = self._distances(self._real[:count])
        rows = np.arange(count)
        apart[rows, rows] = apart[rows, rows + count] = np.inf  # itself, and its mirror image
        self._limit = np.percentile(apart.min(axis=1), REAL)
        self._real = np.concatenate([self._real, _aligned(_with_mirrored(frames))])

    def refuse(self, faces: np.ndarray) -> np.ndarray:
        """Return whether (n, 68, 2) are no faces, bool (n,)."""
        return parts_cross(faces) | (self._distances(_aligned(faces)).min(axis=1) > self._limit)

    def _distances(self, faces: np.ndarray) -> np.ndarray:
        """Return the root-mean-square distances from faces (n, 68, 2) to the photographs, float64 (n, m)."""
        faces, real = (points.reshape(len(points), -1) for points in (faces, self._real))
        squares = (faces**2).sum(axis=1)[:, None] + (real**2).sum(axis=1) - 2 * faces @ real.T
        return np.sqrt(np.maximum(squares, 0) / groups.COUNT)


def _with_mirrored(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces, (faces * (-1, 1))[:, groups.MIRRORED]])


def _aligned(faces: np.ndarray) -> np.ndarray:
    """Return faces moved onto the mean face, from which coordinates are counted."""
    mean = CELEBA_LANDMARKS - CELEBA_LANDMARKS.mean(axis=0)
    return np.array([transform_points(fit_similarity(face, mean), face) for face in faces])


def measure(drivers: list[Driver], targets: dict[str, Target], refuse: Callable) -> pd.DataFrame:
    """Return one row for each kind of driver: counts, and shares in percent."""
    rows = []
    for driver in drivers:
        for person, target in targets.items():
            if person == driver.person:
                continue
            drawn, points = normalised(driver.frames, driver.points, target, Drawing())
            row = {"driver": driver.kind, "frames": len(points), "no face, %": refuse(points).sum()}
            row["neutral face is none, %"] = refuse(neutral_face(driver.points)[None, :, :2]).sum() * len(points)
            rows.append(row | {f"{name}, %": (drawn[name] > 0).sum() for name in ("clamped", "eased")})
    table = pd.DataFrame(rows).groupby("driver", sort=False).sum()
    shares = table.drop(columns="frames").div(table["frames"], axis=0).mul(100)
    return table[["frames"]].join(shares).reset_index()


def write_sheet(drivers: list[Driver], targets: dict[str, Target], path: Path) -> None:
    """Write a line for each driver: its frames, its neutral face, and what they give the next person."""
    people, lines = list(targets), []
    for driver in drivers:
        if driver.person not in targets:
            continue
        target = targets[people[(people.index(driver.person) + 1) % len(people)]]
        _, moved = normalised(driver.frames, driver.points, target, Drawing())
        chosen = np.linspace(0, len(moved) - 1, SHOWN).round().astype(int)
        neutral = neutral_face(driver.points)[:, :2]
        lines.append(_line([*driver.points[chosen], neutral], np.concatenate([driver.points, neutral[None]])))
        lines[-1] = np.hstack([lines[-1], _line(moved[chosen], moved)])
    cv2.imwrite(str(path), np.vstack(lines)[:, :, ::-1])


def _line(faces: list[np.ndarray], framed: np.ndarray) -> np.ndarray:
    """Return drawings side by side, in the square that holds all the faces of `framed`."""
    corner, extent = framed.min(axis=(0, 1)), np.ptp(framed.reshape(-1, 2), axis=0).max()
    drawn = [draw_face((face - corner) * (SIDE - 9) / extent + 4, SIDE) for face in faces]
    return np.pad(np.hstack(drawn), ((0, GAP), (0, GAP), (0, 0)), constant_values=128)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, print the table and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder of videos, each of one person; two or more")
    parser.add_argument("--photographs", type=Path, nargs="+", required=True, help="folders of pictures of many people")
    parser.add_argument("--singles", type=int, default=100, help="photographs that drive")
    parser.add_argument("--work", type=Path, required=True, help="new folder; `driving.png` shows drawings")
    args = parser.parse_args(argv)
    if args.work.exists():
        sys.exit(f"error: {args.work} exists; name a folder that does not")
    args.work.mkdir(parents=True)
    frames, points = find_faces(VideoSource(type="video", path=str(args.clips), every=1), "clips", args.work)
    clips = {file: (frames.iloc[rows], points[rows]) for file, rows in frames.groupby("file").indices.items()}
    found = [
        find_faces(FolderSource(type="folder", path=str(folder)), f"photographs{number}", args.work)
        for number, folder in enumerate(args.photographs)
    ]
    photographs = pd.concat([rows for rows, _ in found]).assign(time=0.0, shot=0)
    faces = np.concatenate([landmarks for _, landmarks in found])
    drivers = [cut for person, clip in clips.items() for cut in cuts_of(person, *clip)]
    chosen = np.linspace(0, len(faces) - 1, min(args.singles, len(faces))).round().astype(int)
    for row in chosen:
        one = photographs.iloc[[row]]
        drivers.append(Driver(one["item"].iloc[0], "one photograph", one, faces[[row]]))
    targets = {person: measure_target(clip) for person, (_, clip) in clips.items()}
    table = measure(drivers, targets, RealFaces(faces, points).refuse)
    print("| " + " | ".join(table.columns) + " |\n" + "|---" * table.shape[1] + "|")
    for kind, count, *shares in table.itertuples(index=False):
        print(f"| {kind} | {count} | " + " | ".join(f"{share:.1f}" for share in shares) + " |")
    write_sheet(drivers, targets, args.work / "driving.png")


if __name__ == "__main__":
    main()
