"""Stage: write the pictures, masks and landmarks of a source or an experiment as Parquet that `datasets` loads.

    datasets.load_dataset("results/{owner}/exports/parquet")

`data/{split}-{number}.parquet` have a column for each picture, mask (both as PNG), text, number and tensor of the
shards (docs/data.md), and `source` and `identity`. The splits are the workflow's own, so no person is in two of them.
README.md is the card: features, splits, licences, consent.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.config.terms import NO_TERMS, NOT_STATED, Terms, consents, licences
from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder, write_text
from workflow_scripts.core.samples import SPLITS, Layout, Sample, Samples, parts, png
from workflow_scripts.provenance.stage import Input, Inputs, OutputFolder, stage_command
from workflow_scripts.reporting.cards import card, licence_tag, table, terms_table

BATCH = 64  # samples that are held
LANDMARKS = "landmarks"  # the column, and the model by which they were found


def export_parquet(
    name: str, items: Input, shards: Inputs, output: OutputFolder, terms: dict[str, Terms] = NO_TERMS
) -> None:
    """Write the folder; what was there is replaced.

    Args:
        name: of the source or the experiment.
        items: the index of the source, or the splits of the experiment; items of no split are left out.
        shards: of one kind.
        output: the folder.
        terms: source -> what is said of it.

    Raises:
        UserError: there is no item.
    """
    samples = Samples(items, shards)
    schema = schema_of(samples.layout)
    counts: dict[str, tuple[int, int]] = {}
    with atomic_folder(output) as folder:
        (folder / "data").mkdir()
        for split in SPLITS:
            for number, part in enumerate(parts(samples.of(split))):
                path = folder / "data" / f"{split}-{number:05d}.parquet"
                rows, size = counts.get(split, (0, 0))
                counts[split] = rows + write_part(path, part, schema), size + path.stat().st_size
        write_text(folder / "README.md", describe(name, samples.layout, schema, counts, terms))


def schema_of(layout: Layout) -> pa.Schema:
    """Return the columns, and what `datasets` takes them for, as it writes this itself."""
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [
        *((name, pa.string()) for name in ("source", "identity", *layout.texts)),
        *((name, pa.int64()) for name in layout.numbers),
        *((name, picture) for name in layout.pictures),
        *((name, pa.list_(pa.list_(pa.float32()))) for name in layout.arrays),
    ]
    schema = pa.schema(fields)
    features = {field.name: _feature(field.type) for field in schema}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _feature(kind: pa.DataType) -> dict:
    if pa.types.is_struct(kind):
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": DTYPES[kind], "_type": "Value"}


DTYPES = {pa.string(): "string", pa.int64(): "int64", pa.float32(): "float32"}


def write_part(path: Path, samples: Iterator[Sample], schema: pa.Schema) -> int:
    """Write one file and return the number of its rows."""
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := [_row(sample) for sample in islice(samples, BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, schema))
            count += len(batch)
    return count


def _row(sample: Sample) -> dict:
    pictures = {name: {"bytes": png(picture), "path": None} for name, picture in sample.pictures.items()}
    return sample.values | pictures | {name: array.tolist() for name, array in sample.arrays.items()}


def describe(
    name: str,
    layout: Layout,
    schema: pa.Schema,
    counts: Mapping[str, tuple[int, int]],
    terms: Mapping[str, Terms],
) -> str:
    """Return the card; `counts` are rows and bytes of each split."""
    found = licences(terms, [LANDMARKS] if LANDMARKS in layout.arrays else [])
    size = sum(size for _, size in counts.values())
    head = {
        "pretty_name": name,
        "license": licence_tag(found, NOT_STATED),
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in counts],
            }
        ],
        "dataset_info": {
            "features": [{"name": field.name} | _plain(field.type) for field in schema],
            "splits": [
                {"name": split, "num_bytes": size, "num_examples": rows} for split, (rows, size) in counts.items()
            ],
            "download_size": size,
            "dataset_size": size,
        },
    }
    rows = ((split, rows) for split, (rows, _) in counts.items())
    parts_of_text = [
        "Made by face-workflow. No person, as far as persons are known, is in two splits.",
        table(("split", "rows"), rows),
        "## Licences and consent",
        terms_table(found, consents(terms)),
    ]
    return card(head, name, parts_of_text)


def _plain(kind: pa.DataType) -> dict:
    """Return a feature as the YAML of a card has it."""
    if pa.types.is_struct(kind):
        return {"dtype": "image"}
    if pa.types.is_list(kind):
        inner = _plain(kind.value_type)
        return {"list": inner if "list" in inner else inner["dtype"]}
    return {"dtype": DTYPES[kind]}


main = stage_command(export_parquet)


if __name__ == "__main__":
    cli.run(main)
