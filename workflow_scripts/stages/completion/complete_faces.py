"""Stage: complete the holes of one shard's items, in several ways, with several completions of each."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.faces.moves import move_landmarks
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems._completion.config import Evaluation
from workflow_scripts.systems._completion.guides import predicted_guide
from workflow_scripts.systems._completion.inference import complete_picture, draw_latents
from workflow_scripts.systems._completion.selection import completed_items, ways_of
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.device import choose_device


def complete_faces(
    evaluation: Evaluation,
    source: str,
    seed: int,
    checkpoint: Input,
    splits: Input,
    holes: Input,
    keypoints: Input,
    output: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write one `completed_{network}` shard: a row for each hole and way of the items that are evaluated.

    Args:
        evaluation: which items, how many completions, which ways.
        source: the source that the shard belongs to.
        seed: of the configuration.
        checkpoint: of the network.
        splits: the experiment's splits.
        holes: the shard of pictures and holes.
        keypoints: the predicted keypoints of the same shard.
        output: the shard; columns as in docs/data.md. Only what lies in the hole differs from the picture.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    completer = load_network(checkpoint, choose_device("auto", gpus, threads))
    chosen = completed_items(read_table(splits), evaluation)
    shard, found = Shard(holes), Shard(keypoints)
    size = shard.tensor("target", 0).shape[0] if len(shard) else 1
    shape = completer.latent_shape(size)
    count = evaluation.samples if shape else 1
    places, variants, kinds = found.row_numbers(), shard.scalars("variant"), shard.scalars("kind")
    rows = [row for row, item in enumerate(shard.items) if (source, item) in chosen]

    def completions() -> Iterator[dict]:
        for row in tqdm(rows, f"complete_faces {checkpoint.stem}", unit="hole", mininterval=2):
            item, variant = shard.items[row], variants[row]
            image, hole = shard.tensor("target", row), shard.tensor("hole", row) > 0
            place = places[item, variant]
            guide = predicted_guide(found.tensor("landmarks", place), found.tensor("spread", place), hole)
            latents = draw_latents(seed, f"{source}/{item}/{variant}", count, shape)
            ways = ways_of(kinds[row], chosen[source, item], completer.guided, evaluation)
            for way in ways if shape else ways[:1]:
                asked = guide
                if way.move:
                    asked = guide.moved(move_landmarks(guide.landmarks, way.move), hole)
                samples = complete_picture(completer, image, hole, asked, way.knob * latents)
                yield {"item": item, "variant": variant, **way._asdict(), "asked": asked.landmarks, "samples": samples}

    columns = {"item": pa.string(), "variant": pa.int32(), "knob": pa.float32(), "move": pa.string()}
    columns |= {"asked": (np.float32, (68, 2)), "samples": (np.uint8, (count, size, size, 3))}
    write_shard(output, completions(), columns)


main = stage_command(complete_faces)


if __name__ == "__main__":
    cli.run(main)
