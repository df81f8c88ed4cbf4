"""Stage: draw what the page shows of one experiment.

`figures/curves_{network}.svg` are losses and scores during training; the family's own figures are described in
`systems/_{family}/figures.py`.
"""

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder, write_digests
from workflow_scripts.core.shards import ShardedTensors, paths_by_kind
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Inputs, Output, OutputFolder, stage_command
from workflow_scripts.reporting.charts import draw_curves
from workflow_scripts.systems import family_module


def draw_figures(
    experiment: BaseExperiment,
    metrics: Input,
    curves: Inputs,
    shards: Inputs,
    output: OutputFolder,
    digests: Output,
    index: Inputs = (),
) -> None:
    """Write the folder of figures, in place of an earlier one, and the digests of the files in it.

    Args:
        experiment: its keys `drawn_keys` are used.
        metrics: the experiment's table of scores.
        curves: `curves/{network}.parquet` of every network.
        shards: `{kind}/{source}/{shard}.arrow` of the kinds `drawn_kinds`.
        output: the folder.
        digests: JSON, file name -> SHA-256; by it, later stages know whether a figure has changed.
        index: `{source}/index.parquet` of every source, where the family draws with it.
    """
    rows, pictures = read_table(metrics), ShardedTensors(paths_by_kind(shards))
    with atomic_folder(output) as folder:
        family_module(experiment.family, "figures").draw(experiment, rows, pictures, index, folder)
        for path in curves:
            draw_curves(read_table(path), path.stem, folder / f"curves_{path.stem}.svg")
    write_digests(output, digests)


main = stage_command(draw_figures)


if __name__ == "__main__":
    cli.run(main)
