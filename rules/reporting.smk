"""From scores to a page that a person reads.

INPUTS
    results/{experiment}/metrics.parquet, metrics.json, splits.parquet, curves, previews and shards of each experiment
    results/{source}/index.parquet, quarantine.parquet, landmarks and crops of each source
OUTPUTS
    results/{source}/summary/           what a source holds: charts, contact sheets, numbers; summary.json: their digests
    results/{experiment}/figures/       galleries, curves, spread of the scores; figures.json: their digests
    results/overview.html               all results on one page
    results/report.html                 made of these by `snakemake --report` (see the Makefile)
"""

import json

# Snakemake looks for captions from this file's folder on.
CAPTIONS = "../workflow_scripts/reporting/captions"


report: f"{CAPTIONS}/overview.rst"


rule summarize_source:
    input:
        raw=raw_sample,
        index="results/{source}/index.parquet",
        quarantine="results/{source}/quarantine.parquet",
        landmarks=lambda wildcards: shards_of("results/{source}/landmarks/{shard}.parquet", [wildcards.source]),
        crops=lambda wildcards: shards_of("results/{source}/crops/{shard}.arrow", [wildcards.source]),
    output:
        digests="results/{source}/summary.json",
        summary=report(
            directory("results/{source}/summary"),
            patterns=["{figure}.png", "{figure}.svg"],
            category="Sources",
            subcategory="{source}",
            labels={"figure": "{figure}"},
            caption=f"{CAPTIONS}/summary.rst",
        ),
    log:
        "results/logs/summarize_source/{source}.log",
    benchmark:
        "results/benchmarks/summarize_source/{source}.tsv"
    params:
        code=lambda wildcards: code_digest("stages.reporting.summarize_source", f"sources.{source(wildcards).type}"),
        config=lambda wildcards: source(wildcards).slice("max_pixels"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reporting.summarize_source --config {params.config:q} --name {wildcards.source} --index {input.index} "
        "--quarantine {input.quarantine} --landmarks {input.landmarks} --crops {input.crops} --output {output.summary} --digests {output.digests} > {log} 2>&1"


rule write_overview:
    input:
        experiments=expand(
            "results/{experiment}/{file}",
            experiment=CONFIG.experiments,
            file=["metrics.json", "splits.parquet", "figures.json"],
        ),
        networks=[
            f"results/{name}/checkpoints/{network}.json"
            for name, chosen in CONFIG.experiments.items()
            for network in chosen.networks
        ],
        videos=VIDEOS,
        # A folder has only a time to judge it by: whether its files changed, the files above tell.
        folders=ancient(
            [
                f"results/{name}/{folder}"
                for name, chosen in CONFIG.experiments.items()
                for folder in ["figures", *(f"previews/{network}" for network in chosen.networks)]
            ]
            + [path.removesuffix(".json") for path in VIDEOS]
            + expand("results/{source}/summary", source=CONFIG.sources)
        ),
        sources=expand(
            "results/{source}/{file}",
            source=CONFIG.sources,
            file=["index.parquet", "quarantine.parquet", "summary.json"],
        ),
    output:
        "results/overview.html",
    log:
        "results/logs/write_overview.log",
    benchmark:
        "results/benchmarks/write_overview.tsv"
    params:
        code=code_digest("stages.reporting.write_overview"),
        templates=[
            file_digest(path.relative_to(workflow.basedir))
            for folder in ("reporting/page", "systems/*/page")
            for path in sorted(Path(workflow.basedir).glob(f"workflow_scripts/{folder}/*"))
        ],
        config=json.dumps({name: chosen.model_dump(mode="json") for name, chosen in CONFIG.experiments.items()}),
        sources=list(CONFIG.sources),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reporting.write_overview --config {params.config:q} --sources {params.sources} "
        "--folder results --output {output} > {log} 2>&1"
