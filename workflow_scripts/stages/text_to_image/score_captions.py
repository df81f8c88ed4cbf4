"""Stage: measure how well the adapters tell noise from pictures of one shard, beside the base model."""

import numpy as np
import torch

from workflow_scripts.core import cli
from workflow_scripts.core.files import read_json
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems._text_to_image.base_model import read_base
from workflow_scripts.systems._text_to_image.columns import METRICS
from workflow_scripts.systems._text_to_image.diffusion import Diffusion
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.device import choose_device

BATCH = 4  # items of a forward pass; fixed, so that results do not depend on a setting


def score_captions(
    source: str,
    checkpoint: Input,
    splits: Input,
    latents: Input,
    captions: Input,
    base: Input,
    output: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write the `metrics` rows of the scored items: the mean squared error of the noise at four levels.

    Args:
        source: its name.
        checkpoint: the adapters.
        splits: the experiment's splits.
        latents: the shard of latents; mirrored pictures are not scored.
        captions: the shard of embeddings of captions, of which the first is used.
        base: the description of the base model.
        output: the table: `loss` with adapters and `loss_base` without.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    device = choose_device("auto", gpus, threads)
    described = read_base(base)
    network = load_network(checkpoint, device, {"unet": described.unet})
    config = read_json(checkpoint.with_suffix(".json"))["config"]
    diffusion = Diffusion(described, config["adapters"]["predicts"])
    table = read_table(splits)
    table = table[(table["source"] == source) & table["scored"]].set_index("item")["split"]
    pictures, words = Shard(latents), Shard(captions)
    places = {item: row for row, item in enumerate(words.items)}
    scored = [(item, row) for (item, variant), row in pictures.row_numbers().items() if variant == 0 and item in table]
    rows = []
    for start in range(0, len(scored), BATCH):
        batch = scored[start : start + BATCH]
        means = torch.from_numpy(pictures.tensors("mean", [row for _, row in batch])) * described.scaling
        first = np.stack([words.tensor("embeddings", places[item])[0] for item, _ in batch]).astype(np.float32)
        given = means.to(device), torch.from_numpy(first).to(device)
        with torch.inference_mode():
            losses = [diffusion.judge(one, *given).tolist() for one in (network, network.base)]
        for (item, _), loss, by_base in zip(batch, *losses, strict=True):
            rows.append({"source": source, "item": item, "split": table[item], "loss": loss, "loss_base": by_base})
    write_table(output, sorted(rows, key=lambda row: row["item"]), METRICS)


main = stage_command(score_captions)


if __name__ == "__main__":
    cli.run(main)
