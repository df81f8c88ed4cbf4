"""Stage: put beside each other what each stage was predicted to need of memory, and what it took."""

from collections import defaultdict

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder, read_json, write_digests, write_json
from workflow_scripts.provenance.stage import Input, Inputs, Output, OutputFolder, stage_command

FILE = "memory.json"


def tabulate_memory(predicted: Input, jobs: Inputs, output: OutputFolder, digests: Output) -> None:
    """Write the folder with the table.

    Args:
        predicted: what `predict_memory` wrote.
        jobs: the records of the stages' jobs.
        output: folder with `memory.json`: a list, one entry for each stage: `stage`, `ram` and `device`, the bytes at
            the peak of its largest job, and `predicted_ram` and `predicted_device`; null where nothing was predicted.
        digests: JSON, file name -> SHA-256.
    """
    wanted, taken = read_json(predicted), defaultdict(list)
    for path in jobs:
        record = read_json(path)
        taken[record["module"].rpartition(".")[2]].append(record["memory"])
    table = [
        {"stage": stage}
        | {kind: max(found[kind] for found in of_jobs) for kind in ("ram", "device")}
        | {f"predicted_{kind}": wanted[stage][kind] if stage in wanted else None for kind in ("ram", "device")}
        for stage, of_jobs in sorted(taken.items())
    ]
    with atomic_folder(output) as folder:
        write_json(folder / FILE, table)
    write_digests(output, digests)


main = stage_command(tabulate_memory)


if __name__ == "__main__":
    cli.run(main)
