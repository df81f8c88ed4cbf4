"""Stage: gather the scores of an experiment: all rows in one table, their summary in one JSON file.

`metrics.json` has these keys; null means that something was not measured, and a text beside it says why:

- `scores`: a list, one entry for each `split`, `source` and (where the system has kinds) `kind` that occurs; null as
  source or kind means all of them together. `items` counts its rows; `mean`, `median` and `count` hold a number for
  each score of the `metrics` table, whose columns are described at the head of the stage that scores (`count` is the
  number of rows that have it). Where the rows are of several methods, there are such entries for each, by its name.
- `gaps`: a list, one entry for each source that is both trained and tested on, and one for all together (null; training
  and test items may then come from different sources): for each score, the mean of training less that of test items.
- `published`: published rows to show beside these, each measured on other items.
- `items`: for each source, how many items were made (`paired`) and how many are scored (`scored`).
- `quarantined`: the experiment's lost items, counted by stage, source and reason.
- and the keys that the family adds, see `systems/_{family}/scores.py`.
"""

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.files import write_json
from workflow_scripts.core.shards import paths_by_kind
from workflow_scripts.core.tables import read_tables, write_table
from workflow_scripts.metrics import summary as summaries
from workflow_scripts.provenance.stage import Inputs, Output, stage_command
from workflow_scripts.systems import family_module


def summarize_scores(
    experiment: BaseExperiment,
    metrics: Inputs,
    shards: Inputs,
    quarantine: Inputs,
    output: Output,
    summary: Output,
    quarantined: Output,
    weights: Inputs = (),
) -> None:
    """Write the table, the summary and the quarantine of one experiment.

    Args:
        experiment: its keys `summarized_keys` are used.
        metrics: `metrics/{source}/{shard}.parquet` of every source.
        shards: `{kind}/{source}/{shard}.arrow` of the kinds `summarized_kinds`, each in the same order.
        quarantine: `quarantine/{stage}/{source}/{shard}.parquet`; the source is the folder's name.
        output: the table of all scores, sorted by source and item.
        summary: the JSON file described above.
        quarantined: the merged quarantine, with a column `source`.
        weights: of the networks `summary_weights`; a file's stem is the network's name.
    """
    family = family_module(experiment.family, "scores")
    rows = read_tables(metrics).sort_values(list(family.SORTED_BY), ignore_index=True)
    write_table(output, rows, family.METRICS)
    lost = summaries.merge_quarantine(quarantine)
    write_table(quarantined, lost, summaries.EXPERIMENT_QUARANTINE)
    parts = family.parts(rows) if hasattr(family, "parts") else [({}, rows)]
    kinds, networks = paths_by_kind(shards), {path.stem: path for path in weights}
    write_json(
        summary,
        {
            "scores": [
                labels | entry
                for labels, part in parts
                for entry in summaries.summarize_groups(part, family.SCORES, family.SPLITS)
            ],
            "gaps": [labels | gap for labels, part in parts for gap in summaries.training_gaps(part, family.SCORES)],
            "published": [row._asdict() for row in family.PUBLISHED.get(experiment.system, ())],
            "items": summaries.count_paired_and_scored(rows, kinds[experiment.item_kind]),
            "quarantined": summaries.count_reasons(lost),
        }
        | family.summarize(experiment, rows, metrics, kinds, networks),
    )


main = stage_command(summarize_scores)


if __name__ == "__main__":
    cli.run(main)
