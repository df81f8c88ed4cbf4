"""What the page shows of generated pictures.

| file of `figures/` | what |
|---|---|
| `first_look.png` | held-out pictures beside samples of the first generator of each kind |
| `real.png` | real squares: picture, mask, picture dimmed outside its mask |
| `samples_{network}.png` | the first samples: picture and, where it generates them, mask and dimmed picture |
| `neighbours_{network}.png` | the samples nearest to a training picture, beside that picture |
| `classes_{network}.png` | samples of each class, and the nearest training pictures, where there are several |

No picture is chosen by how it looks.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.core.shards import Shard, ShardedTensors
from workflow_scripts.reporting.galleries import Row, draw_first_look, draw_gallery
from workflow_scripts.systems._generation.config import GenerationExperiment, channels_of, number_of
from workflow_scripts.systems._generation.squares import composite

FIRST_LOOK_ITEMS = 3
ACROSS = 4  # items on a line of a sheet
CLASSES = 12  # shown, the largest ones
OF_CLASS = 6  # samples of a class, and as many neighbours

Panels = list[np.ndarray]


def draw(
    experiment: GenerationExperiment, rows: pd.DataFrame, pictures: ShardedTensors, index: Sequence[Path], folder: Path
) -> None:
    """Draw the figures of an experiment.

    Args:
        experiment: its keys `gallery`, `channels`, `seeds` and `train` are used.
        rows: the table of scores.
        pictures: of the kinds `experiment.drawn_kinds`.
        index: not used.
        folder: where the figures go.
    """
    test = rows[rows["split"] == "test"]
    places = np.linspace(0, len(test) - 1, min(max(experiment.gallery, FIRST_LOOK_ITEMS), len(test)))
    test = test.iloc[places.round().astype(int)]

    def real(number: int) -> Panels:
        row = test.iloc[number]
        image, mask = (
            pictures.get("squares", name, row["source"], row["item"], row["variant"]) for name in ("image", "mask")
        )
        return [image, mask, composite(image, mask)]

    shards = {network: pictures.shard("samples", network) for network in experiment.generators}
    draw_sheet(real, len(test), ["picture", "mask", "dimmed"], folder / "real.png")
    draw_first_look(_first_look(shards, real, len(test)), folder / "first_look.png")
    for network, shard in shards.items():
        titles = ["picture", "mask", "dimmed"] if channels_of(network) == 4 else ["picture"]
        count = min(experiment.gallery, len(shard))
        draw_sheet(lambda number, shard=shard: _sample(shard, number), count, titles, folder / f"samples_{network}.png")
        draw_neighbours(shard, pictures, count, folder / f"neighbours_{network}.png")
        if len(set(shard.scalars("class"))) > 1:
            draw_classes(shard, pictures, folder / f"classes_{network}.png")


def draw_sheet(panels: Callable[[int], Panels], count: int, titles: Sequence[str], path: Path) -> None:
    """Draw the panels of `count` items, some on each line, without text."""
    lines = [range(start, min(start + ACROSS, count)) for start in range(0, count, ACROSS)]
    rows = [Row([[f"{line[0] + 1} to {line[-1] + 1}"]], [panel for n in line for panel in panels(n)]) for line in lines]
    draw_gallery(list(titles) * len(lines[0]), rows, path)


def draw_neighbours(shard: Shard, pictures: ShardedTensors, count: int, path: Path) -> None:
    """Draw the samples that are nearest to a training picture, beside it."""
    distances = np.array(shard.scalars("nearest_distance"))
    nearest = _nearest_pictures(shard, pictures)
    chosen = np.argsort(distances, kind="stable")[:count]
    lines = [chosen[start : start + ACROSS] for start in range(0, len(chosen), ACROSS)]
    rows = [
        Row(
            [[f"distance {distances[line[0]]:.1f}", f"to {distances[line[-1]]:.1f}"]],
            [panel for number in line for panel in (shard.tensor("image", int(number)), nearest(int(number)))],
        )
        for line in lines
    ]
    draw_gallery(["sample", "nearest"] * len(lines[0]), rows, path)


def draw_classes(shard: Shard, pictures: ShardedTensors, path: Path) -> None:
    """Draw a line for each of the largest classes: samples, then the nearest training picture of each."""
    classes = pd.Series(shard.scalars("class"))
    nearest = _nearest_pictures(shard, pictures)
    rows = []
    for number, size in classes.value_counts().sort_index().sort_values(ascending=False, kind="stable").items():
        members = [int(row) for row in classes.index[classes == number][:OF_CLASS]]
        blank = [np.full_like(shard.tensor("image", 0), 255)] * (OF_CLASS - len(members))
        samples = [shard.tensor("image", row) for row in members]
        rows.append(
            Row(
                [[f"class {number}", f"{size / len(classes):.1%} of all"]],
                [*samples, *blank, *(nearest(row) for row in members)],
            )
        )
    draw_gallery(["sample"] * OF_CLASS + ["nearest"] * OF_CLASS, rows[:CLASSES], path)


def _first_look(shards: dict[str, Shard], real: Callable[[int], Panels], count: int) -> list[dict[str, np.ndarray]]:
    """Return test pictures, each with a sample of the first generator of each kind."""
    firsts = [network for network in shards if number_of(network) == 1]
    groups = []
    for number in range(min(FIRST_LOOK_ITEMS, count)):
        group = {"real": real(number)[0]}
        for network in firsts:
            image, *masks = _sample(shards[network], number)
            group[f"{channels_of(network)} channels"] = image
            if masks:
                group["its mask"] = np.repeat(masks[0][..., None], 3, axis=2)
        groups.append(group)
    return groups


def _sample(shard: Shard, number: int) -> Panels:
    image = shard.tensor("image", number)
    if "mask" not in shard.columns:
        return [image]
    mask = shard.tensor("mask", number)
    return [image, mask, composite(image, mask)]


def _nearest_pictures(shard: Shard, pictures: ShardedTensors) -> Callable[[int], np.ndarray]:
    """Return the function of a sample's number to the training picture that is nearest to it."""
    keys = list(zip(*(shard.scalars(f"nearest_{name}") for name in ("source", "item", "variant")), strict=True))
    return lambda number: pictures.get("squares", "image", *keys[number])
