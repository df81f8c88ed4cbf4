"""Stage: put the annotations of all shards that cannot be used into one table."""

from workflow_scripts.core import cli
from workflow_scripts.core.tables import merge_tables
from workflow_scripts.provenance.stage import Inputs, Output, stage_command


def collect_rejected_annotations(rejected: Inputs, output: Output) -> None:
    """Write the rejected annotations of a source.

    Args:
        rejected: `quarantine/read_objects/{shard}.parquet`, all shards.
        output: the table, sorted by item.
    """
    merge_tables(rejected, output)


main = stage_command(collect_rejected_annotations)


if __name__ == "__main__":
    cli.run(main)
