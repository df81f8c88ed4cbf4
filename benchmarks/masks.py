"""Picture -> landmarks -> fitted mask -> written, as whole processes: the workflow against MaskTheFace.

The peer is run as it is, from a checkout (`github.com/aqeelanwar/MaskTheFace`) with dlib's landmark model in its folder
`dlib_models`, by a Python that has what it imports. Both sides get the same pictures, and one core.

Our side is the stages `index_source`, `find_landmarks`, `crop_faces` and `make_pairs`, with all their files: in one
process, which is what the peer is; as the four commands that a rule calls; and through `snakemake`.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from benchmarks.our_stages import OCCLUDERS, source_of
from benchmarks.timing import ENVIRONMENT, interleaved, print_table, run_command
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces.landmark_groups import five_points
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.sources.fetch_weights import fetch_weights
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._removal.config import Difference

ROOT = Path(__file__).parent.parent
HEADER = " ".join(
    f"{part}_{axis}" for part in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
)
STAGES = ("index", "landmarks", "crops", "pairs")
MODEL = "landmarks.safetensors"


def lay_out(pictures: Path, count: int, folder: Path) -> None:
    """Make a CelebA folder of `count` pictures, repeating them under new names, with the text file of their points.

    Beside it, `landmarks.safetensors`: the landmark model, which a working copy converts once.

    The points are eye centres, nose tip and mouth corners of detected landmarks, rounded to pixels: stand-ins for
    CelebA's own, which have this form. A picture in which nothing is detected gets none.
    """
    found = sorted(path for path in pictures.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    if not found:
        sys.exit(f"error: {pictures} has no .jpg or .png")
    inside = folder / "img_align_celeba"
    inside.mkdir(parents=True)
    origin = {}
    for number in range(count):
        path = found[number % len(found)]
        name = f"{number + 1:06d}{path.suffix}"
        shutil.copy(path, inside / name)
        origin[name] = path.name
    if count > len(found):
        print(f"{len(found)} pictures there, so they are repeated under new names to make {count}")
    once = folder / "once"
    (once / "img_align_celeba").mkdir(parents=True)
    for path in found[:count]:
        shutil.copy(path, once / "img_align_celeba")
    fetch_weights("landmarks", None, folder / MODEL)
    table = {name: once / name for name in ("index", "landmarks", "quarantine")}
    source = source_of(once, "none", 128)
    index_source(source, 1, 0, 1, table["index"], table["quarantine"])
    find_landmarks(source, table["index"], folder / MODEL, table["landmarks"], table["quarantine"])
    faces = read_table(table["landmarks"])
    faces = faces[faces["face"] == 0]
    known = {
        item: np.rint(five_points(own)).astype(int).ravel()
        for item, own in zip(faces["item"], landmark_points(faces), strict=True)
    }
    rows = [" ".join([name, *map(str, known[own])]) for name, own in origin.items() if own in known]
    header = f"{len(rows)}\n{HEADER}"
    (folder / "list_landmarks_align_celeba.txt").write_text("\n".join([header, *rows]) + "\n")
    shutil.rmtree(once)


class Sides:
    """The ways to do the same, each a method that starts after `clear`.

    Attributes:
        masked_by_peer: how many pictures the peer's last run wrote.
    """

    def __init__(self, work: Path, peer: Path, peer_python: str, size: int):
        self.data, self.results, self.size = work / "data", work / "results", size
        self.pictures, self.masked = self.data / "img_align_celeba", self.data / "img_align_celeba_masked"
        self.peer, self.peer_python = peer.resolve(), peer_python
        self.masked_by_peer = 0

    def clear(self) -> None:
        """Remove what the last run wrote."""
        for folder in (self.results, self.masked):
            shutil.rmtree(folder, ignore_errors=True)

    def run_peer(self) -> None:
        """MaskTheFace's own command on the folder."""
        command = [self.peer_python, "mask_the_face.py", "--path", self.pictures, "--mask_type", "surgical"]
        run_command(command, self.peer)
        self.masked_by_peer = sum(1 for _ in self.masked.iterdir())

    def in_one_process(self, prior: str) -> None:
        """Our stages in one process."""
        run_command(self._stages(prior), ROOT)

    def in_two_processes(self, prior: str) -> None:
        """Two workers, one shard each."""
        environment = os.environ | ENVIRONMENT
        jobs = [
            subprocess.Popen(
                [*self._stages(prior), "--shard", str(shard), "--shards", "2"],
                cwd=ROOT,
                env=environment,
                stderr=subprocess.DEVNULL,
            )
            for shard in (0, 1)
        ]
        if any([job.wait() for job in jobs]):
            raise RuntimeError("one of two workers failed; run one to see why")

    def as_commands(self, prior: str) -> None:
        """Our stages as the four commands that the rules call."""
        out, quarantine = self.results, self.results / "quarantine"
        config = source_of(self.data, prior, self.size).model_dump_json()
        occluders, difference = OCCLUDERS.model_dump_json(), Difference().model_dump_json()
        for stage, arguments in {
            "sources.index_source": ["--source", config, "--seed", 1, "--shard", 0, "--shards", 1,
                                     "--output", out / "index"],
            "faces.find_landmarks": ["--source", config, "--index", out / "index", "--model", self.data / MODEL,
                               "--output", out / "landmarks"],
            "faces.crop_faces": ["--source", config, "--index", out / "index", "--landmarks", out / "landmarks",
                           "--output", out / "crops"],
            "removal.make_pairs": ["--occluders", occluders, "--difference", difference, "--role", "draw", "--seed", 1,
                           "--index", out / "index", "--crops", out / "crops", "--output", out / "pairs"],
        }.items():  # fmt: skip
            run_command(
                [
                    sys.executable,
                    "-m",
                    f"workflow_scripts.stages.{stage}",
                    *map(str, arguments),
                    "--quarantine",
                    quarantine,
                ],
                ROOT,
            )

    def by_snakemake(self, prior: str) -> None:
        """Our stages through Snakemake, one core, a working directory of its own."""
        source = source_of(self.data, prior, self.size).model_dump(mode="json")
        experiment = {"system": "unmask", "train": ["faces"], "test": ["faces"]}
        experiment |= {"occluders": OCCLUDERS.model_dump(mode="json"), "edit": {"perceptual": "none"}}
        config = {"sources": {"faces": source}, "experiments": {"masks": experiment}, "shard_size": 20_000}
        self.results.mkdir(parents=True, exist_ok=True)
        (self.results / "config.yaml").write_text(yaml.safe_dump(config))
        snakemake = Path(sys.executable).parent / "snakemake"
        command = [snakemake, "--snakefile", ROOT / "Snakefile", "--directory", self.results, "--cores", "1"]
        target = "results/masks/pairs/faces/00000.arrow"
        run_command([*command, "--configfile", self.results / "config.yaml", "--", target], ROOT)

    def masked_and_refused(self) -> tuple[int, dict[str, int]]:
        """Return how many pictures our last run in one process masked, and how many it refused, by reason."""
        refused: dict[str, int] = {}
        for name in STAGES:
            for reason in read_table(self.results / f"quarantine.{name}.0")["reason"]:
                refused[reason] = refused.get(reason, 0) + 1
        return len(Shard(self.results / "pairs.0")), refused

    def _stages(self, prior: str) -> list[str | Path]:
        module = [sys.executable, "-m", "benchmarks.our_stages", self.data, self.results]
        return [*module, "--model", self.data / MODEL, "--prior", prior, "--size", str(self.size)]


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, run all sides interleaved and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, required=True, help="checkout of MaskTheFace")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="Python that has imutils, dotmap and requests too"
    )
    parser.add_argument("--pictures", type=Path, required=True, help="folder of aligned CelebA pictures")
    parser.add_argument("--work", type=Path, required=True, help="new folder for copies and results")
    parser.add_argument("--count", type=int, default=400, help="pictures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128, help="of our crops, in pixels; CelebA's are 178x218")
    parser.add_argument("--only", nargs="+", help="letters that start the sides to run; default: all")
    args = parser.parse_args(argv)
    if args.work.exists():
        sys.exit(f"error: {args.work} exists; name a folder that does not")
    lay_out(args.pictures, args.count, args.work / "data")
    run = Sides(args.work, args.peer, args.peer_python, args.size)
    sides = {"MaskTheFace": run.run_peer}
    for name, prior in (("detected", "none"), ("from 5 points", "points")):
        sides |= {
            f"{name}, one process": lambda prior=prior: run.in_one_process(prior),
            f"{name}, two workers": lambda prior=prior: run.in_two_processes(prior),
            f"{name}, four commands": lambda prior=prior: run.as_commands(prior),
            f"{name}, snakemake": lambda prior=prior: run.by_snakemake(prior),
        }
    if args.only:
        sides = {
            name: side for name, side in sides.items() if any(part in name for part in ["MaskTheFace", *args.only])
        }
    print(f"{args.count} pictures; the peer writes pictures of their size, we crops of {args.size}x{args.size}")
    print_table(interleaved(sides, args.rounds, run.clear), args.count, "pictures", "MaskTheFace")
    print(f"MaskTheFace: {run.masked_by_peer} of {args.count} pictures written, the others left out without a word")
    for prior in ("none", "points"):
        run.clear()
        run.in_one_process(prior)
        masked, refused = run.masked_and_refused()
        print(f"ours, prior {prior}: {masked} of {args.count} masked, refused with a reason: {refused or 'none'}")


if __name__ == "__main__":
    main()
