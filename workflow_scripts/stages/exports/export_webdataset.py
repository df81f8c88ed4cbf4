"""Stage: write the pictures, masks and landmarks of a source or an experiment as tars that `webdataset` reads in order.

`{split}-{number}.tar` hold for each sample

- `{key}.png`: the first picture of the shards (docs/data.md), as the crop, or what a network is shown
- `{key}.{column}.png`: their other pictures and masks
- `{key}.json`: `source`, `item`, and the other texts, numbers and tensors

A key is the number of the sample in its split. The splits are the workflow's own, so no person is in two of them.
"""

import io
import json
import tarfile

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder
from workflow_scripts.core.samples import PART, SPLITS, Sample, Samples, parts, png
from workflow_scripts.provenance.stage import Input, Inputs, OutputFolder, stage_command


def export_webdataset(items: Input, shards: Inputs, output: OutputFolder) -> None:
    """Write the folder; what was there is replaced.

    Args:
        items: the index of a source, or the splits of an experiment; items of no split are left out.
        shards: of one kind.
        output: the folder.

    Raises:
        UserError: there is no item.
    """
    samples = Samples(items, shards)
    with atomic_folder(output) as folder:
        for split in SPLITS:
            for number, part in enumerate(parts(samples.of(split))):
                with tarfile.open(folder / f"{split}-{number:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                    for row, sample in enumerate(part, number * PART):
                        for ending, data in files_of(sample):
                            _add(tar, f"{row:09d}.{ending}", data)


def files_of(sample: Sample) -> list[tuple[str, bytes]]:
    """Return the endings of a sample's files, and what is in them."""
    first, *others = sample.pictures
    told = sample.values | {name: array.tolist() for name, array in sample.arrays.items()}
    return [
        ("png", png(sample.pictures[first])),
        *((f"{name}.png", png(sample.pictures[name])) for name in others),
        ("json", json.dumps(told, ensure_ascii=False).encode()),
    ]


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file without time and owner, so that equal data are equal tars."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


main = stage_command(export_webdataset)


if __name__ == "__main__":
    cli.run(main)
