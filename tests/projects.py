"""Small projects in which tests run the real workflow."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import yaml
from started_snakemake import SNAKEMAKE, run_snakemake

ROOT = Path(__file__).parent.parent
PICTURES = 30


def write_photos(folder: Path, astronaut: np.ndarray) -> None:
    """Write variants of one portrait, a picture without a face and a file that is no picture."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        turn = cv2.getRotationMatrix2D((225, 120), float(rng.uniform(-15, 15)), float(rng.uniform(0.8, 1.1)))
        light = rng.uniform(0.7, 1.2, 3)
        picture = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)[:300, 70:370]
        picture = np.clip(picture * light, 0, 255).astype(np.uint8)[..., ::-1]
        cv2.imwrite(str(folder / f"portrait_{number:02d}.png"), cv2.resize(picture, (200, 200)))
    grey = np.tile(np.linspace(60, 120, 200).astype(np.uint8)[:, None, None], (1, 200, 3))
    cv2.imwrite(str(folder / "no_face.png"), grey)
    (folder / "broken.jpg").write_bytes(b"not a picture")


def tiny_config() -> dict:
    """Return the real configuration, shrunk: a folder, one epoch, few channels, nothing to download."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    source = {
        "type": "folder",
        "path": "photos",
        "crop": {"size": 64},
        "split": {"train": 0.6, "val": 0.2, "test": 0.2},
    }
    config["sources"] = {"photos": source}
    experiment = config["experiments"]["unmask"] | {"train": ["photos"], "test": ["photos"], "score_train": 3}
    experiment["occluders"]["variants"] = 1
    experiment |= {"evaluation": {"features": "none"}, "gallery": 2}
    for network in ("map", "edit"):
        experiment[network]["unet"] = {"blocks": 5, "channels": 4, "max_channels": 8, "squeeze_excitation": []}
        experiment[network]["training"] = {
            "epochs": 1,
            "batch_size": 8,
            "preview_items": 2,
            "save_every": 1,
            "threads": 1,
        }
    experiment["edit"] |= {"perceptual": "none", "discriminator_channels": 4, "mask_start": 0.4}
    # Values that are not the defaults, so that these keys have a run: `test_every_key.py`.
    experiment["edit"]["losses"] = {
        **{"reconstruction": 90.0, "l1": 0.9, "ssim": 0.8, "perceptual": 0.2, "hole": 5.0, "composite": False},
        **{"whole": 0.1, "mask": 0.2, "adversarial": "minimax"},
    }
    experiment["difference"]["threshold"] = 7
    experiment["occluders"]["fit"] = {"max_turn": 0.85}
    config["experiments"] = {"unmask": experiment}
    return config


class Project:
    """A copy of the workflow's code with its own data and results."""

    def __init__(self, root: Path):
        self.root = root

    @classmethod
    def create(cls, root: Path, astronaut: np.ndarray, photos: bool = True) -> "Project":
        """Return a new project; without `photos` it has no data and is not configured."""
        project = cls(root)
        root.mkdir(parents=True, exist_ok=True)
        for name in ("Snakefile", "rules", "workflow_scripts", "envs", "profiles"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, root / name)
        if photos:
            write_photos(root / "photos", astronaut)
            project.configure(tiny_config())
        return project

    def copy(self, root: Path) -> "Project":
        """Return a copy to be changed; the weights, most of its bytes, are the same files, which nobody writes into."""

        def copy(source: str, target: str) -> None:
            (os.link if Path(source).parent == self.root / "results/weights" else shutil.copy2)(source, target)

        shutil.copytree(self.root, root, copy_function=copy, symlinks=True)
        return Project(root)

    def configure(self, config: dict) -> None:
        (self.root / "config.yaml").write_text(yaml.safe_dump(config))

    def config(self) -> dict:
        return yaml.safe_load((self.root / "config.yaml").read_text())

    def run(self, *arguments: str, cores: int = 2, limit=None) -> subprocess.CompletedProcess:
        """Run Snakemake with these arguments; `limit` is called in its process first."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if limit is None:
            return run_snakemake(["--cores", str(cores), *arguments], self.root, environment)
        return subprocess.run(
            [str(SNAKEMAKE), "--cores", str(cores), *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env=environment,
            preexec_fn=limit,
        )

    def said(self, *targets: str) -> str:
        """Run the workflow to its end and return all that it printed."""
        done = self.run(*targets)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def jobs(self, *options: str) -> dict[str, tuple[set[str], set[str]]]:
        """Return the jobs of a dry run, named like their logs, with their inputs and outputs."""
        printed = self.run("--dry-run", *options)
        assert printed.returncode == 0, printed.stdout + printed.stderr
        jobs = {}
        for block in re.findall(r"^rule \w+:\n((?:    .*\n)+)", printed.stdout + printed.stderr, re.M):
            fields = dict(re.findall(r"^    (\w+): (.*)$", block, re.M))
            if "log" in fields:
                name = fields["log"].removeprefix("results/logs/").removesuffix(".log")
                jobs[name] = tuple(set(fields.get(key, "").split(", ")) for key in ("input", "output"))
        return jobs

    def planned(self, *targets: str) -> dict[str, int]:
        """Return which stages would run, and how many jobs of each."""
        printed = self.run("--dry-run", *targets)
        assert printed.returncode == 0, printed.stdout + printed.stderr
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", printed.stdout + printed.stderr, re.M | re.S)
        rows = (line.split() for line in table[1].splitlines()) if table else ()
        return {stage: int(count) for stage, count in rows if stage != "all"}


def overview_arguments(
    results: Path, experiments: dict, sources: list[str], output: Path, videos: list[str] = ()
) -> list[str]:
    """Return the options of `write_overview` for a results folder, as its rule gives them.

    Args:
        results: the folder.
        experiments: by name; the page shows what the folder has of them.
        sources: shown by their summaries.
        output: the page.
        videos: sources whose videos are shown.
    """

    def of(names, file: str) -> list[str]:
        return [str(results / name / file) for name in names]

    used = sorted({path.parent.name for path in results.glob("*/index.parquet")})
    previews = [str(path) for name in experiments for path in sorted(results.glob(f"{name}/previews/*"))]
    options = {
        "experiments": [json.dumps(experiments)],
        "index": of(used, "index.parquet"),
        "quarantine": of(used, "quarantine.parquet"),
        "summaries": of(sources, "summary"),
        "metrics": of(experiments, "metrics.json"),
        "splits": of(experiments, "splits.parquet"),
        "figures": of(experiments, "figures"),
        "previews": previews,
        "shown": [str(results / name / "videos" / source) for name in experiments for source in videos],
        "output": [str(output)],
    }
    return [text for name, values in options.items() for text in (f"--{name}", *values)]


def edit_code(path: str, old: str, new: str):
    def change(project: Project) -> None:
        file = project.root / "workflow_scripts" / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return change


def edit_config(path: str, value: object):
    def change(project: Project) -> None:
        config = project.config()
        *parents, key = path.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
        project.configure(config)

    return change
