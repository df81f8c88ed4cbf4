"""Stage: put the shards of a source's index into one table."""

from workflow_scripts.core import cli
from workflow_scripts.core.tables import merge_tables
from workflow_scripts.provenance.stage import Inputs, Output, stage_command


def merge_index(index: Inputs, output: Output) -> None:
    """Write the whole index of a source.

    Args:
        index: `index/{shard}.parquet`, all shards.
        output: the table, sorted by item.
    """
    merge_tables(index, output)


main = stage_command(merge_index)


if __name__ == "__main__":
    cli.run(main)
