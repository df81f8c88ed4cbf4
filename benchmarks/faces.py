"""Faces found and lost, and landmarks beside the face, on pictures of which it is known what they show.

Every second picture of each folder is left for choosing thresholds (`--half even`), the other half for reporting. The
stages `index_source` and `find_landmarks` run as in the workflow, with all defaults.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from workflow_scripts.config.sources import FaceSearch, FolderSource
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces.alignment import transform_points
from workflow_scripts.metrics.landmarks import normalised_mean_error
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.sources.fetch_weights import fetch_weights
from workflow_scripts.stages.sources.index_source import index_source

ANGLES = (0, 20, -30, 40, 45, -45, 60, -60, 75, -75)  # degrees
BESIDE = 0.15  # of the distance of the outer eye corners; landmarks that are farther off on average lie beside the face
PICTURES = (".jpg", ".jpeg", ".png")
CURVE = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)  # scores


def half_of(paths: list[Path], half: str) -> list[Path]:
    """Return every second of the paths in the order of their names, or all."""
    start = {"even": 0, "odd": 1, "all": 0}[half]
    return sorted(paths)[start :: 1 if half == "all" else 2]


def without_people(root: Path) -> list[Path]:
    """Return the pictures of a COCO folder that are annotated, but with no person."""
    found = []
    for path in sorted((root / "annotations").glob("instances_*.json")):
        content = json.loads(path.read_text())
        person = next(row["id"] for row in content["categories"] if row["name"] == "person")
        people = {row["image_id"] for row in content["annotations"] if row["category_id"] == person}
        folder = root / path.stem.removeprefix("instances_")
        found += [folder / row["file_name"] for row in content["images"] if row["id"] not in people]
    return [path for path in found if path.is_file()]


class Search:
    """Runs the stages on pictures.

    Args:
        work: folder for what they write.
    """

    def __init__(self, work: Path):
        self._work = work
        self._model = work / "landmarks.safetensors"
        fetch_weights("landmarks", None, self._model)

    def __call__(self, name: str, paths: list[Path], **faces) -> tuple:
        """Return the tables of landmarks of chosen faces and of quarantine.

        Args:
            name: of the folder of links that is made; its files are numbered in the order of `paths`.
            paths: pictures.
            faces: keys of `faces`.
        """
        folder = self._work / name
        folder.mkdir(exist_ok=True)
        for number, path in enumerate(paths):
            link = folder / f"{number:05d}{path.suffix.lower()}"
            if not link.exists():
                link.symlink_to(path.resolve())
        source = FolderSource(type="folder", path=str(folder), faces=FaceSearch(**faces))
        index, table, lost, unread = (self._work / f"{name}.{kind}" for kind in ("index", "table", "lost", "unread"))
        index_source(source, 1, 0, 1, index, unread)
        find_landmarks(source, index, self._model, table, lost)
        chosen = read_table(table)
        return chosen[chosen["face"] == 0], read_table(lost)


def report(search: Search, name: str, paths: list[Path]) -> None:
    """Print how many pictures have a chosen face, by step, and why the others have none."""
    chosen, lost = search(name, paths)
    steps, reasons = (dict(Counter(column).most_common()) for column in (chosen["detector"], lost["reason"]))
    print(f"{name}: {len(paths)} pictures, {len(chosen)} with a face {steps}, others {reasons}", flush=True)


def curve(search: Search, without: list[Path], faces: list[Path]) -> None:
    """Print false and lost faces by the score that is asked for, without a second look at doubtful ones."""
    tables = [
        search(f"{name}_by_score", paths, min_score=0)[0]
        for name, paths in (("without_people", without), ("faces", faces))
    ]
    print("| step | score | false faces | faces below it |\n|---|---|---|---|")
    for step in ("dlib_hog", "dlib_cnn"):
        scores = [table["score"][table["detector"].str.startswith(step)].to_numpy() for table in tables]
        for least in CURVE:
            false, below = (scores[0] >= least).sum(), (scores[1] < least).sum()
            print(f"| {step} | {least} | {false} of {len(without)} | {below} of {len(scores[1])} |", flush=True)


def turned(search: Search, paths: list[Path], work: Path) -> None:
    """Turn upright faces by known angles and print where their landmarks come to lie."""
    upright, _ = search("upright", paths)
    folder = work / "turned_pictures"
    folder.mkdir(exist_ok=True)
    made, truth = [], []
    for row, points in zip(upright.itertuples(), landmark_points(upright), strict=True):
        picture = cv2.imread(str(work / "upright" / row.item))
        height, width = picture.shape[:2]
        side = 2 * int(np.hypot(width, height))
        for angle in ANGLES:
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 2.0)
            matrix[:, 2] += (side - width) / 2, (side - height) / 2
            made.append(folder / f"{Path(row.item).stem}_{angle:+04d}.png")
            truth.append(transform_points(matrix, points))
            cv2.imwrite(
                str(made[-1]),
                cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_CUBIC, borderValue=(110,) * 3),
            )
    chosen, _ = search("turned", made)
    fates = {angle: Counter() for angle in ANGLES}
    found = dict(zip((int(item[:5]) for item in chosen["item"]), landmark_points(chosen), strict=True))
    for number, points in enumerate(truth):
        fate = "set aside"
        if number in found:
            fate = "right" if normalised_mean_error(found[number], points, points) < BESIDE else "beside"
        fates[ANGLES[number % len(ANGLES)]][fate] += 1
    print("| degrees | right | beside the face | set aside |\n|---|---|---|---|")
    for angle, counts in sorted(fates.items()):
        print(f"| {angle} | {counts['right']} | {counts['beside']} | {counts['set aside']} |", flush=True)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print one section for each folder given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coco", type=Path, help="a COCO folder; its pictures without people are searched")
    parser.add_argument("--faces", type=Path, help="folder of pictures that each show a face")
    parser.add_argument("--aligned", type=Path, help="folder of upright faces, which are turned by known angles")
    parser.add_argument("--work", type=Path, required=True, help="new folder")
    parser.add_argument("--half", choices=("even", "odd", "all"), default="odd")
    parser.add_argument("--step", type=int, default=1, help="use every n-th picture of the half")
    parser.add_argument("--curve", action="store_true", help="false and lost faces by score instead")
    args = parser.parse_args(argv)
    if args.work.exists():
        sys.exit(f"error: {args.work} exists; name a folder that does not")
    args.work.mkdir(parents=True)
    search = Search(args.work)

    def pictures(folder: Path | None) -> list[Path]:
        found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES] if folder else []
        return half_of(found, args.half)[:: args.step]

    without = half_of(without_people(args.coco), args.half) if args.coco else []
    faces = pictures(args.faces)
    if args.curve:
        curve(search, without, faces)
        return
    if without:
        report(search, "without_people", without)
    if faces:
        report(search, "faces", faces)
    if args.aligned:
        turned(search, pictures(args.aligned), args.work)


if __name__ == "__main__":
    main()
