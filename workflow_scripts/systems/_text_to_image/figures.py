"""What the page shows of pictures that were generated from words.

| file of `figures/` | what |
|---|---|
| `first_look.png` | the first picture of the first prompts, with adapters and without |
| `prompts.png` | a line for each prompt: pictures of its first seeds, then those of the base model |
| `neighbours.png` | the generated pictures that are nearest to a training picture, beside that picture |

No picture is chosen by how it looks.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.core.shards import Shard, ShardedTensors
from workflow_scripts.reporting.galleries import Row, draw_first_look, draw_gallery
from workflow_scripts.systems._text_to_image.config import TextToImageExperiment

FIRST_LOOK_PROMPTS = 3
SEEDS = 4  # shown of each prompt
ACROSS = 4  # neighbours on a line


def draw(
    experiment: TextToImageExperiment, rows: pd.DataFrame, pictures: ShardedTensors, index: Sequence[Path], folder: Path
) -> None:
    """Draw the figures of an experiment.

    Args:
        experiment: its keys `gallery`, `generation` and `train` are used.
        rows: not used.
        pictures: of the kinds `experiment.drawn_kinds`.
        index: not used.
        folder: where the figures go.
    """
    (network,) = experiment.networks
    shard = pictures.shard("samples", network)
    prompts = experiment.generation.prompts
    of_each = len(experiment.generation.seeds)

    def of_prompt(number: int, column: str) -> list[np.ndarray]:
        return [shard.tensor(column, number * of_each + seed) for seed in range(min(SEEDS, of_each))]

    look = [
        {"with adapters": of_prompt(number, "image")[0], "without": of_prompt(number, "base_image")[0]}
        for number in range(min(FIRST_LOOK_PROMPTS, len(prompts)))
    ]
    draw_first_look(look, folder / "first_look.png")
    shown = range(min(len(prompts), experiment.gallery))
    lines = [Row([[prompts[n]]], [*of_prompt(n, "image"), *of_prompt(n, "base_image")], are_paths=False) for n in shown]
    seeds = experiment.generation.seeds[:SEEDS]
    titles = [f"seed {seed}" for seed in seeds] + [f"base, seed {seed}" for seed in seeds]
    draw_gallery(titles, lines, folder / "prompts.png")
    _draw_neighbours(shard, pictures, experiment.gallery, folder / "neighbours.png")


def _draw_neighbours(shard: Shard, pictures: ShardedTensors, count: int, path: Path) -> None:
    distances = np.array(shard.scalars("nearest_distance"))
    keys = list(zip(*(shard.scalars(f"nearest_{name}") for name in ("source", "item", "variant")), strict=True))
    chosen = [int(row) for row in np.argsort(distances, kind="stable")[:count]]
    lines = [chosen[start : start + ACROSS] for start in range(0, len(chosen), ACROSS)]
    rows = [
        Row(
            [[f"distance {distances[line[0]]:.1f}", f"to {distances[line[-1]]:.1f}"]],
            [one for n in line for one in (shard.tensor("image", n), pictures.get("latents", "image", *keys[n]))],
        )
        for line in lines
    ]
    draw_gallery(["generated", "nearest"] * len(lines[0]), rows, path)
