"""From faces to what a network learns from.

INPUTS
    results/{source}/index.parquet, results/{source}/quarantine.parquet, results/{source}/crops/{shard}.arrow
OUTPUTS
    results/{experiment}/splits.parquet                   what each item is used for, leaks closed
    results/{experiment}/training.parquet                 its training and validation rows alone
    results/{experiment}/pairs/{source}/{shard}.arrow     occluded input, bare target, map
    results/{experiment}/export                           the same as PNG folders, only when asked for
"""


def role(wildcards):
    """Return how the pairs of a source come about in an experiment."""
    if wildcards.source in experiment(wildcards).apply:
        return "apply"
    return "given" if source(wildcards).type == "pairs" else "draw"


def own_pictures(wildcards):
    """Return the user's own pictures of an occluder, where an experiment draws such."""
    folder = experiment(wildcards).occluders.pictures
    if not folder:
        return []
    from workflow_scripts.occluders._pictures import list_pictures

    return list_pictures(Path(folder))


rule assign_splits:
    input:
        index=lambda wildcards: expand(
            "results/{source}/index.parquet", source=CONFIG.used_sources(wildcards.experiment)
        ),
        quarantine=lambda wildcards: expand(
            "results/{source}/quarantine.parquet", source=CONFIG.used_sources(wildcards.experiment)
        ),
        crops=lambda wildcards: shards_of(
            "results/{source}/crops/{shard}.arrow", CONFIG.used_sources(wildcards.experiment)
        ),
    output:
        splits="results/{experiment}/splits.parquet",
        training="results/{experiment}/training.parquet",
        quarantine="results/{experiment}/quarantine/assign_splits.parquet",
    log:
        "results/logs/assign_splits/{experiment}.log",
    benchmark:
        "results/benchmarks/assign_splits/{experiment}.tsv"
    params:
        code=code_digest("assign_splits"),
        config=lambda wildcards: experiment(wildcards).slice("train", "test", "apply", "score_train"),
        sources=lambda wildcards: CONFIG.sources_slice(wildcards.experiment),
        seed=CONFIG.seed,
        lock=LOCK,
    shell:
        "python -m workflow_scripts.assign_splits --config {params.config:q} --sources {params.sources:q} --seed {params.seed} "
        "--folder results --crops {input.crops} --output {output.splits} --training {output.training} --quarantine {output.quarantine} > {log} 2>&1"


rule make_pairs:
    input:
        index="results/{source}/index/{shard}.parquet",
        crops="results/{source}/crops/{shard}.arrow",
        pictures=own_pictures,
    output:
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/make_pairs/{source}/{shard}.parquet",
    log:
        "results/logs/make_pairs/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/make_pairs/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    params:
        code=lambda wildcards: code_digest(
            "make_pairs", *(f"occluders.{kind}" for kind in experiment(wildcards).occluders.mix)
        ),
        occluders=lambda wildcards: experiment(wildcards).occluders.canonical(),
        difference=lambda wildcards: experiment(wildcards).difference.canonical(),
        role=role,
        seed=CONFIG.seed,
        lock=LOCK,
    shell:
        REUSE
        + "python -m workflow_scripts.make_pairs --occluders {params.occluders:q} --difference {params.difference:q} --role {params.role} "
        "--seed {params.seed} --index {input.index} --crops {input.crops} --output {output.pairs} --quarantine {output.quarantine} > {log} 2>&1"


rule export_pairs:
    input:
        splits="results/{experiment}/splits.parquet",
        pairs=lambda wildcards: shards_of(
            "results/{experiment}/pairs/{source}/{shard}.arrow",
            CONFIG.used_sources(wildcards.experiment),
            experiment=wildcards.experiment,
        ),
    output:
        directory("results/{experiment}/export"),
    log:
        "results/logs/export_pairs/{experiment}.log",
    benchmark:
        "results/benchmarks/export_pairs/{experiment}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    threads: workflow.cores or 8
    params:
        code=code_digest("export_pairs"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.export_pairs --splits {input.splits} --pairs {input.pairs} "
        "--output {output} --threads {threads} > {log} 2>&1"
