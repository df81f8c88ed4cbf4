"""Pictures to pairs in one process: the workflow's own four stages, one after the other, with all their files."""

import argparse
from pathlib import Path

from workflow_scripts.config.sources import CelebaSource, Crop
from workflow_scripts.core import cli
from workflow_scripts.occluders._config import Occluders
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.removal.make_pairs import make_pairs
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._removal.config import Difference

OCCLUDERS = Occluders(mix={"surgical": 1.0})  # style `varied`: light, shading, folds, straps, blur and grain


def source_of(folder: Path, prior: str, size: int) -> CelebaSource:
    """Return the source that every form of our side reads."""
    return CelebaSource(type="celeba", path=str(folder), faces={"prior": prior}, crop=Crop(size=size))


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stages of one shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a CelebA folder")
    parser.add_argument("output", type=Path, help="folder of the results")
    parser.add_argument("--model", type=Path, required=True, help="the landmark model, of `fetch_weights`")
    parser.add_argument("--prior", default="none")
    parser.add_argument("--size", type=int, default=128, help="of a crop, in pixels")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    args = parser.parse_args(argv)
    source = source_of(args.folder, args.prior, args.size)
    path = {name: args.output / f"{name}.{args.shard}" for name in ("index", "landmarks", "crops", "pairs")}
    rejected = {name: args.output / f"quarantine.{name}.{args.shard}" for name in path}
    index_source(source, 1, args.shard, args.shards, path["index"], rejected["index"])
    find_landmarks(source, path["index"], args.model, path["landmarks"], rejected["landmarks"])
    crop_faces(source, path["index"], path["landmarks"], path["crops"], rejected["crops"])
    make_pairs(OCCLUDERS, Difference(), "draw", 1, path["index"], path["crops"], path["pairs"], rejected["pairs"])


if __name__ == "__main__":
    cli.run(main)
