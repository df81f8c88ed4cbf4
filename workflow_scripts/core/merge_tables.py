"""Stages `merge_index` and `collect_quarantine`: stack tables of one schema, sorted by item."""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path


def merge_tables(inputs: list[Path], output: Path) -> None:
    """Write the rows of all `inputs` to one table, sorted by `item` (rows of one item keep their order)."""
    merged = pa.concat_tables(pq.read_table(path) for path in inputs)
    merged = merged.append_column("order", pa.array(range(merged.num_rows)))
    merged = merged.sort_by([("item", "ascending"), ("order", "ascending")]).drop_columns("order")
    with atomic_path(output) as temporary:
        pq.write_table(merged, temporary, compression="zstd")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    merge_tables(args.inputs, args.output)


if __name__ == "__main__":
    cli.run(main)
