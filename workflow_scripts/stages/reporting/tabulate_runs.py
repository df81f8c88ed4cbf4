"""Stage: put all experiments side by side: what was changed, which checkpoints came of it, and how they score.

A row for each experiment; where an experiment scores several methods, one for each, sorted by `experiment` and `part`:

| column | type | meaning |
|---|---|---|
| `experiment`, `system` | string | its name, its system |
| `part` | string | which rows were averaged, as `method=flow`; empty where it is all |
| `train`, `test` | string | its sources |
| `changed` | list<string> | its other keys that are not the system's defaults, `path=value` |
| `checkpoints` | list<string> | `network=digest` of each, the first 12 digits of the file's SHA-256 |
| `items` | int64 | test items that are averaged; null where none is scored |
| `mean_{score}` | float64 | their mean; a system's own scores are null for the others |
"""

import json
from collections.abc import Iterator

import pandas as pd
import yaml

from workflow_scripts.config.experiments import BaseExperiment, experiment_type
from workflow_scripts.core import cli
from workflow_scripts.core.files import read_json, sha256_of
from workflow_scripts.core.tables import write_table
from workflow_scripts.provenance.stage import Inputs, Output, stage_command

DIGITS = 12  # of a digest
OWN_COLUMNS = ("system", "train", "test")  # keys that have columns, or name the experiment
ENTRY = ("split", "source", "kind", "items", "mean", "median", "count")  # keys of scores; others name a part


def tabulate_runs(experiments: dict[str, BaseExperiment], metrics: Inputs, checkpoints: Inputs, output: Output) -> None:
    """Write the table of runs.

    Args:
        experiments: by name.
        metrics: `{experiment}/metrics.json` of each.
        checkpoints: `{experiment}/checkpoints/{network}.safetensors` of each network of each.
        output: the table.
    """
    summaries = {path.parent.name: read_json(path) for path in metrics}
    rows = []
    for name, experiment in experiments.items():
        digests = [f"{path.stem}={sha256_of(path)[:DIGITS]}" for path in checkpoints if path.parents[1].name == name]
        run = {"experiment": name, "system": experiment.system}
        about = {
            "train": ", ".join(experiment.train),
            "test": ", ".join(experiment.test),
            "changed": changed_keys(experiment),
            "checkpoints": digests,
        }
        rows += [run | {"part": part} | about | scores for part, scores in test_scores(summaries[name])]
    table = pd.DataFrame(rows)
    table["items"] = table["items"].astype("Int64")
    write_table(output, table.sort_values(["experiment", "part"], ignore_index=True))


def changed_keys(experiment: BaseExperiment) -> list[str]:
    """Return `path=value` of each key that is not the system's default, but for its sources."""
    default = experiment_type(experiment.system)(system=experiment.system)
    own, usual = (dict(_flat(one.model_dump(mode="json"))) for one in (experiment, default))
    return [
        f"{path}={_inline(value)}"
        for path, value in own.items()
        if path not in OWN_COLUMNS and usual.get(path, ...) != value
    ]


def test_scores(summary: dict) -> Iterator[tuple[str, dict]]:
    """Yield part and scores of all test items together; once without scores where there are none."""
    found = False
    for entry in summary["scores"]:
        if (entry["split"], entry["source"], entry["kind"]) == ("test", None, None):
            found = True
            part = " ".join(f"{key}={value}" for key, value in entry.items() if key not in ENTRY)
            yield part, {"items": entry["items"]} | {f"mean_{name}": mean for name, mean in entry["mean"].items()}
    if not found:
        yield "", {"items": None}


def _flat(values: dict, above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _inline(value: object) -> str:
    if isinstance(value, str) and not set(value) & set(" '\"\\") and yaml.safe_load(value) == value:
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


main = stage_command(tabulate_runs)


if __name__ == "__main__":
    cli.run(main)
