"""From results to a page that a person reads.

INPUTS
    results/{experiment}/metrics.json, splits.parquet, checkpoints, figures, previews and the other folders that an experiment shows
    results/{source}/index.parquet, quarantine.parquet, landmarks, crops, motion and annotation_counts.json of each source
OUTPUTS
    results/{source}/summary/       what a source holds: charts, contact sheets, numbers
    results/{source}/summary.json   the digests of the files in the summary
    results/runs.parquet            all experiments side by side: changed keys, digests of checkpoints, scores
    results/overview.html           all results on one page
    results/report.html             the page and the graph of the rules; made by `make run` with `snakemake --report`
"""


report: f"{CAPTIONS}/overview.rst"


def where_needed(need, pattern):
    """Return an input function: the files of a pattern for every shard of the source, where `need` is made of it."""
    return lambda wildcards: (of_source(pattern)(wildcards) if need in CONFIG.needs_of(wildcards.source) else [])


def all_experiments(wildcards):
    """Return all experiments as JSON; what a function returns is no pattern, in which a prompt's `{word}` would be one."""
    return json.dumps({name: chosen.model_dump(mode="json") for name, chosen in CONFIG.experiments.items()})


rule summarize_source:
    input:
        raw=raw_sample,
        index="results/{source}/index.parquet",
        quarantine="results/{source}/quarantine.parquet",
        landmarks=where_needed("crops", "results/{source}/landmarks/{shard}.parquet"),
        crops=where_needed("crops", "results/{source}/crops/{shard}.arrow"),
        motion=where_needed("motion", "results/{source}/motion/{shard}.parquet"),
        annotations=lambda wildcards: (
            "results/{source}/annotation_counts.json" if wildcards.source in annotated() else []
        ),
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
        record=record_of("summarize_source/{source}"),
    log:
        log_of("summarize_source/{source}"),
    benchmark:
        benchmark_of("summarize_source/{source}")
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=lambda wildcards: digest("stages.reporting.summarize_source", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("max_pixels", "motion"),
        stages=lambda wildcards: CONFIG.losing_stages(wildcards.source),
    shell:
        "python -m workflow_scripts.stages.reporting.summarize_source "
        "--source {params.source:q} "
        "--name {wildcards.source} "
        "--stages {params.stages} "
        "--index {input.index:q} "
        "--quarantine {input.quarantine:q} "
        "--landmarks {input.landmarks:q} "
        "--crops {input.crops:q} "
        "--motion {input.motion:q} "
        "--annotations {input.annotations:q} "
        "--output {output.summary:q} "
        "--digests {output.digests:q} "
        "--depends {input.raw:q} "
        f"{RECORD}"


def of_experiments(pattern):
    return expand(pattern, experiment=CONFIG.experiments)


NETWORKS = [(name, network) for name, chosen in CONFIG.experiments.items() for network in chosen.networks]
SHOWN = [f"results/{name}/{folder}" for name, chosen in CONFIG.experiments.items() for folder in chosen.shown_folders]


rule tabulate_runs:
    input:
        metrics=of_experiments("results/{experiment}/metrics.json"),
        checkpoints=[f"results/{name}/checkpoints/{network}.safetensors" for name, network in NETWORKS],
    output:
        table="results/runs.parquet",
        record=record_of("tabulate_runs"),
    log:
        log_of("tabulate_runs"),
    benchmark:
        benchmark_of("tabulate_runs")
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.reporting.tabulate_runs"),
        experiments=all_experiments,
    shell:
        "python -m workflow_scripts.stages.reporting.tabulate_runs "
        "--experiments {params.experiments:q} "
        "--metrics {input.metrics:q} "
        "--checkpoints {input.checkpoints:q} "
        "--output {output.table:q} "
        f"{RECORD}"


rule write_overview:
    input:
        runs="results/runs.parquet" if CONFIG.experiments else [],
        index=expand("results/{source}/index.parquet", source=CONFIG.sources),
        quarantine=expand("results/{source}/quarantine.parquet", source=CONFIG.sources),
        metrics=of_experiments("results/{experiment}/metrics.json"),
        splits=of_experiments("results/{experiment}/splits.parquet"),
        # Snakemake judges a folder by its time alone. These files tell whether what is in the folders has changed.
        changes=[
            *expand("results/{source}/summary.json", source=CONFIG.sources),
            *of_experiments("results/{experiment}/figures.json"),
            *(f"{path}.json" for path in SHOWN),
            *(f"results/{name}/checkpoints/{network}.json" for name, network in NETWORKS),
        ],
        summaries=ancient(expand("results/{source}/summary", source=CONFIG.sources)),
        figures=ancient(of_experiments("results/{experiment}/figures")),
        previews=ancient([f"results/{name}/previews/{network}" for name, network in NETWORKS]),
        shown=ancient(SHOWN),
    output:
        page="results/overview.html",
        record=record_of("write_overview"),
    log:
        log_of("write_overview"),
    benchmark:
        benchmark_of("write_overview")
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=digest(
            "stages.reporting.write_overview",
            *(f"systems._{family}.report" for family in sorted({c.family for c in CONFIG.experiments.values()})),
            files=sorted(
                path.relative_to(HOME)
                for folder in ("reporting/templates", "systems/*/templates")
                for path in Path(HOME, "workflow_scripts").glob(f"{folder}/*")
            ),
        ),
        experiments=all_experiments,
    shell:
        "python -m workflow_scripts.stages.reporting.write_overview "
        "--experiments {params.experiments:q} "
        "--runs {input.runs:q} "
        "--index {input.index:q} "
        "--quarantine {input.quarantine:q} "
        "--summaries {input.summaries:q} "
        "--metrics {input.metrics:q} "
        "--splits {input.splits:q} "
        "--figures {input.figures:q} "
        "--previews {input.previews:q} "
        "--shown {input.shown:q} "
        "--output {output.page:q} "
        f"{RECORD}"
