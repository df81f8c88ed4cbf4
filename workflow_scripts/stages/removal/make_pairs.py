"""Stage: make the pictures a network learns from and is tested on: occluded input, bare target, map of the difference.

A source has one of three roles. `draw`: an occluder is drawn on each crop. `given`: the source holds both pictures.
`apply`: there is no truth, and the crop is the input.
"""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
import pyarrow as pa

from workflow_scripts.core import cli
from workflow_scripts.core.randomness import draw_weighted, item_rng
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import Quarantine, read_rows
from workflow_scripts.occluders._apply import apply_occluder, fit_reason, load_kind
from workflow_scripts.occluders._config import Occluders
from workflow_scripts.occluders._front import put_in_front
from workflow_scripts.occluders._pictures import read_pictures
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.systems._removal.config import Difference
from workflow_scripts.systems._removal.maps import coverage_map, difference_map

DRAWS = 3  # an item is given up after so many occluders that do not sit right


def make_pairs(
    occluders: Occluders,
    difference: Difference,
    role: Literal["draw", "given", "apply"],
    seed: int,
    index: Input,
    crops: Input,
    output: Output,
    quarantine: Output,
    pictures: Inputs = (),
) -> None:
    """Write one `pairs` shard.

    Args:
        occluders: kinds, variants and fit of drawn occluders.
        difference: how maps are made.
        role: `draw`, `given` or `apply`.
        seed: of the configuration.
        index: the source's index of the same shard: its `split` decides the variants, its `kind` names given occluders.
        crops: the crops.
        output: the shard; columns as in docs/data.md.
        quarantine: items on which no occluder sits right, or whose two given pictures do not differ.
        pictures: the user's own pictures of an occluder, where `occluders.pictures` names their folder.
    """
    cv2.setNumThreads(1)
    shard = Shard(crops)
    known = {row.item: row for row in read_rows(index, ["item", "split", "kind", "attributes"])}
    size = shard.tensor("image", 0).shape[0] if len(shard) else 1
    picture, plane = (np.uint8, (size, size, 3)), (np.uint8, (size, size))
    columns = {"item": pa.string(), "variant": pa.int32(), "kind": pa.string(), "input": picture}
    if role != "apply":
        columns |= {"target": picture, "map": plane}
    if role == "draw":
        columns |= {"coverage": plane}
    rejected = Quarantine("make_pairs")
    own = read_pictures(pictures, occluders.mix) if role == "draw" else {}

    def pairs() -> Iterator[dict]:
        for row, item in enumerate(shard.items):
            image = shard.tensor("image", row)
            if role == "apply":
                shown = shard.tensor("occluded", row) if "occluded" in shard.columns else image
                yield {"item": item, "variant": 0, "kind": None, "input": shown}
            elif role == "given":
                yield from _given(item, known[item].kind, image, shard.tensor("occluded", row), difference, rejected)
            else:
                unwanted = {*occluders.unless} & {*(known[item].attributes or ())}
                if unwanted:
                    rejected.add(item, "has one already", f"{item}: is marked {min(unwanted)}; see `occluders.unless`")
                    continue
                variants = occluders.variants if known[item].split == "train" else 1
                yield from _drawn(
                    item, image, shard.tensor("landmarks", row), variants, occluders, own, difference, seed, rejected
                )

    write_shard(output, pairs(), columns)
    rejected.write(quarantine)


def _given(
    item: str, kind: str | None, image: np.ndarray, occluded: np.ndarray, difference: Difference, rejected: Quarantine
) -> Iterator[dict]:
    found = difference_map(occluded, image, difference.threshold, difference.opening)
    if not found.any():
        rejected.add(
            item,
            "pictures do not differ",
            f"{item}: the bare and the occluded picture show the same; check that the folders are not the same",
        )
        return
    yield {"item": item, "variant": 0, "kind": kind, "input": occluded, "target": image, "map": found}


def _drawn(
    item: str,
    image: np.ndarray,
    landmarks: np.ndarray,
    variants: int,
    occluders: Occluders,
    own: dict[str, list],
    difference: Difference,
    seed: int,
    rejected: Quarantine,
) -> Iterator[dict]:
    """Yield every variant of an item, or none: where one does not sit right, the landmarks cannot be trusted."""
    drawn = []
    mix = [(share, kind) for kind, share in occluders.mix.items()]
    for variant in range(variants):
        rng = item_rng(seed, item, f"occluder {variant}")
        kind = draw_weighted(rng, mix)
        for _ in range(DRAWS):
            occluded = apply_occluder(image, landmarks, kind, occluders.style, rng, own.get(kind, ()))
            misfit = fit_reason(occluded.coverage, landmarks, occluders.fit, load_kind(kind).COVERS)
            if misfit is None:
                break
        else:
            reason, detail = misfit
            rejected.add(item, reason, f"{item}: {detail}")
            return
        bare = image
        if occluders.front:
            rng = item_rng(seed, item, f"front {variant}")
            bare, occluded = put_in_front(image, occluded, landmarks, occluders, rng)
        drawn.append(
            {
                "item": item,
                "variant": variant,
                "kind": kind,
                "input": occluded.image,
                "target": bare,
                "map": coverage_map(occluded.coverage)
                if difference.drawn == "coverage"
                else difference_map(occluded.image, bare, difference.threshold, difference.opening),
                "coverage": occluded.coverage,
            }
        )
    yield from drawn


main = stage_command(make_pairs)


if __name__ == "__main__":
    cli.run(main)
