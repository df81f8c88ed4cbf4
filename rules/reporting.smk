"""From scores to a page that a person reads.

INPUTS
    results/{experiment}/metrics.parquet, metrics.json, splits.parquet, curves, previews and shards of each experiment
    results/{source}/index.parquet, quarantine.parquet
OUTPUTS
    results/{experiment}/figures/       galleries, curves, spread of the scores
    results/overview.html               all results on one page
    results/report.html                 made of these by `snakemake --report` (see the Makefile)
"""

import json

# Snakemake looks for captions from this file's folder on.
CAPTIONS = "../workflow_scripts/reporting/captions"


report: f"{CAPTIONS}/overview.rst"


rule draw_figures:
    input:
        metrics="results/{experiment}/metrics.parquet",
        curves=lambda wildcards: expand(
            "results/{experiment}/curves/{network}.parquet",
            experiment=wildcards.experiment,
            network=experiment(wildcards).networks,
        ),
        pairs=evaluated_shards("results/{experiment}/pairs/{source}/{shard}.arrow"),
        maps=evaluated_shards("results/{experiment}/maps/{source}/{shard}.arrow"),
        outputs=evaluated_shards("results/{experiment}/outputs/{source}/{shard}.arrow"),
    output:
        report(
            directory("results/{experiment}/figures"),
            patterns=["{figure}.png", "{figure}.svg"],
            category="Figures",
            subcategory="{experiment}",
            labels={"figure": "{figure}"},
            caption=f"{CAPTIONS}/figure.rst",
        ),
    log:
        "results/logs/draw_figures/{experiment}.log",
    benchmark:
        "results/benchmarks/draw_figures/{experiment}.tsv"
    params:
        code=code_digest("draw_figures"),
        config=lambda wildcards: experiment(wildcards).slice("gallery", "train", "test", "apply", "presence"),
    shell:
        "python -m workflow_scripts.draw_figures --config {params.config:q} --metrics {input.metrics} "
        "--curves {input.curves} --pairs {input.pairs} --maps {input.maps} --outputs {input.outputs} "
        "--output {output} > {log} 2>&1"


USED_SOURCES = sorted({name for chosen in CONFIG.experiments for name in CONFIG.used_sources(chosen)})


rule write_overview:
    input:
        experiments=expand(
            "results/{experiment}/{file}",
            experiment=CONFIG.experiments,
            file=["metrics.json", "splits.parquet", "figures"],
        ),
        previews=[
            f"results/{name}/previews/{network}"
            for name, chosen in CONFIG.experiments.items()
            for network in chosen.networks
        ],
        sources=expand(
            "results/{source}/{file}",
            source=USED_SOURCES,
            file=["index.parquet", "quarantine.parquet"],
        ),
    output:
        "results/overview.html",
    log:
        "results/logs/write_overview.log",
    benchmark:
        "results/benchmarks/write_overview.tsv"
    params:
        code=code_digest("write_overview"),
        template=file_digest("workflow_scripts/reporting/overview.html.jinja2"),
        config=json.dumps({name: chosen.model_dump(mode="json") for name, chosen in CONFIG.experiments.items()}),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.write_overview --config {params.config:q} --folder results "
        "--output {output} > {log} 2>&1"
