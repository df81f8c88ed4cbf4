"""Stage: gather the scores of all methods on one shard in one table."""

from workflow_scripts.core import cli
from workflow_scripts.core.tables import read_tables, write_table
from workflow_scripts.provenance.stage import Inputs, Output, stage_command
from workflow_scripts.systems._completion.columns import KEYS, METRICS


def merge_scores(scores: Inputs, output: Output) -> None:
    """Write the rows of all tables, sorted by `columns.KEYS`.

    Args:
        scores: `scores_{method}/{source}/{shard}.parquet` of every method and of the keypoints.
        output: the table.
    """
    write_table(output, read_tables(scores).sort_values(list(KEYS), ignore_index=True), METRICS)


main = stage_command(merge_scores)


if __name__ == "__main__":
    cli.run(main)
