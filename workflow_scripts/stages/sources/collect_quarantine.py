"""Stage: put the items that the stages of a source could not use into one table."""

from workflow_scripts.core import cli
from workflow_scripts.core.tables import merge_tables
from workflow_scripts.provenance.stage import Inputs, Output, stage_command


def collect_quarantine(quarantine: Inputs, output: Output) -> None:
    """Write the quarantine of a source: every input without a result, with its reason.

    Args:
        quarantine: `quarantine/{stage}/{shard}.parquet` of every stage that the source goes through.
        output: the table, sorted by item.
    """
    merge_tables(quarantine, output)


main = stage_command(collect_quarantine)


if __name__ == "__main__":
    cli.run(main)
