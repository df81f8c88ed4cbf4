"""From faces to pairs with an occluder, edited faces and their scores.

INPUTS
    results/{source}/index/{shard}.parquet, results/{source}/crops/{shard}.arrow, results/{experiment}/splits.parquet,
    results/{experiment}/checkpoints/{network}.safetensors
OUTPUTS
    results/{experiment}/pairs/{source}/{shard}.arrow         occluded input, bare target, map
    results/{experiment}/export                               the same as PNG folders, only when asked for
    results/{experiment}/maps/{source}/{shard}.arrow          predicted maps
    results/{experiment}/outputs/{source}/{shard}.arrow       edited pictures
    results/{experiment}/metrics/{source}/{shard}.parquet     scores of each item
    results/{experiment}/metrics.parquet, metrics.json        all of them, and their summary
    results/{experiment}/figures/                             galleries, curves, spread of the scores; figures.json: their digests
"""

# Snakemake looks for captions from this file's folder on.
CAPTIONS = "../workflow_scripts/reporting/captions"


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
            "stages.removal.make_pairs", *(f"occluders.{kind}" for kind in experiment(wildcards).occluders.mix)
        ),
        occluders=lambda wildcards: experiment(wildcards).occluders.canonical(),
        difference=lambda wildcards: experiment(wildcards).difference.canonical(),
        role=role,
        seed=CONFIG.seed,
        lock=LOCK,
    shell:
        REUSE
        + "python -m workflow_scripts.stages.removal.make_pairs --occluders {params.occluders:q} --difference {params.difference:q} --role {params.role} "
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
        code=code_digest("stages.removal.export_pairs"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.removal.export_pairs --splits {input.splits} --pairs {input.pairs} "
        "--output {output} --threads {threads} > {log} 2>&1"


rule predict_maps:
    input:
        checkpoint="results/{experiment}/checkpoints/map.safetensors",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
    output:
        "results/{experiment}/maps/{source}/{shard}.arrow",
    log:
        "results/logs/predict_maps/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/predict_maps/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        gpu=GPUS,
    params:
        code=lambda wildcards: code_digest(
            "stages.removal.predict_maps", f"systems.{experiment(wildcards).system}.inference"
        ),
        difference=lambda wildcards: experiment(wildcards).difference.canonical(),
        system=lambda wildcards: experiment(wildcards).system,
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.removal.predict_maps --system {params.system} --difference {params.difference:q} --checkpoint {input.checkpoint} "
        "--pairs {input.pairs} --output {output} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule edit_faces:
    input:
        checkpoint="results/{experiment}/checkpoints/edit.safetensors",
        splits="results/{experiment}/splits.parquet",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        maps="results/{experiment}/maps/{source}/{shard}.arrow",
    output:
        "results/{experiment}/outputs/{source}/{shard}.arrow",
    log:
        "results/logs/edit_faces/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/edit_faces/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        gpu=GPUS,
    params:
        code=lambda wildcards: code_digest(
            "stages.removal.edit_faces", f"systems.{experiment(wildcards).system}.inference"
        ),
        system=lambda wildcards: experiment(wildcards).system,
        seed=CONFIG.seed,
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.removal.edit_faces --system {params.system} --source {wildcards.source} --seed {params.seed} --checkpoint {input.checkpoint} "
        "--splits {input.splits} --pairs {input.pairs} --maps {input.maps} --output {output} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule score_outputs:
    input:
        splits="results/{experiment}/splits.parquet",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        maps="results/{experiment}/maps/{source}/{shard}.arrow",
        outputs="results/{experiment}/outputs/{source}/{shard}.arrow",
        crops="results/{source}/crops/{shard}.arrow",
    output:
        "results/{experiment}/metrics/{source}/{shard}.parquet",
    log:
        "results/logs/score_outputs/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/score_outputs/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    params:
        code=code_digest("stages.removal.score_outputs"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.removal.score_outputs --source {wildcards.source} --splits {input.splits} --pairs {input.pairs} "
        "--maps {input.maps} --outputs {input.outputs} --crops {input.crops} --output {output} > {log} 2>&1"


def feature_weights(wildcards):
    name = experiment(wildcards).evaluation.features
    return [] if name == "none" else f"results/weights/{name}.safetensors"


rule summarize_metrics:
    input:
        metrics=evaluated_shards("results/{experiment}/metrics/{source}/{shard}.parquet"),
        pairs=evaluated_shards("results/{experiment}/pairs/{source}/{shard}.arrow"),
        outputs=evaluated_shards("results/{experiment}/outputs/{source}/{shard}.arrow"),
        quarantine=evaluated_shards("results/{experiment}/quarantine/make_pairs/{source}/{shard}.parquet"),
        leaks="results/{experiment}/quarantine/assign_splits.parquet",
        weights=feature_weights,
    output:
        table="results/{experiment}/metrics.parquet",
        summary="results/{experiment}/metrics.json",
        quarantine="results/{experiment}/quarantine.parquet",
    log:
        "results/logs/summarize_metrics/{experiment}.log",
    benchmark:
        "results/benchmarks/summarize_metrics/{experiment}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    params:
        code=code_digest("stages.removal.summarize_metrics"),
        config=lambda wildcards: experiment(wildcards).slice("evaluation", "apply", "presence"),
        weights=lambda wildcards, input: ["--weights", input.weights] if input.weights else [],
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.removal.summarize_metrics --config {params.config:q} --metrics {input.metrics} --pairs {input.pairs} "
        "--outputs {input.outputs} {params.weights} --quarantine {input.quarantine} {input.leaks} "
        "--output {output.table} --summary {output.summary} --quarantined {output.quarantine} > {log} 2>&1"


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
        digests="results/{experiment}/figures.json",
        figures=report(
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
    wildcard_constraints:
        experiment=REMOVAL,
    params:
        code=code_digest("stages.removal.draw_figures"),
        config=lambda wildcards: experiment(wildcards).slice("gallery", "train", "test", "apply", "presence"),
    shell:
        "python -m workflow_scripts.stages.removal.draw_figures --config {params.config:q} --metrics {input.metrics} "
        "--curves {input.curves} --pairs {input.pairs} --maps {input.maps} --outputs {input.outputs} "
        "--output {output.figures} --digests {output.digests} > {log} 2>&1"
