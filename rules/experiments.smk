"""From items to trained networks, their scores and figures, for every system. The experiment says what it needs.

INPUTS
    results/{source}/index.parquet, quarantine.parquet, and crops/{shard}.arrow or fingerprints/{shard}.arrow
    results/{experiment}/{kind}/{source}/{shard}.arrow of the kinds that the experiment's networks, summary and figures
    need; results/{experiment}/metrics/{source}/{shard}.parquet; results/weights/{name}.safetensors where needed
OUTPUTS
    results/{experiment}/splits.parquet                       what each item is used for, with all leaks closed
    results/{experiment}/training.parquet                     only the training and validation rows of the splits
    results/{experiment}/quarantine/assign_splits.parquet     items taken out of training because of a leak
    results/{experiment}/checkpoints/{network}.safetensors    the trained network
    results/{experiment}/checkpoints/{network}.json           what made it, and how it is built
    results/{experiment}/curves/{network}.parquet             losses and scores by step
    results/{experiment}/previews/{network}/                  pictures of validation items, drawn after epochs
    results/{experiment}/metrics.parquet                      all scores, a row for each scored item
    results/{experiment}/metrics.json                         the summary of the scores
    results/{experiment}/quarantine.parquet                   items that it could not use, beside those of its sources' own quarantine
    results/{experiment}/figures/                             galleries, training curves, spread of the scores
    results/{experiment}/figures.json                         the digests of the figures
"""

# Snakemake looks for captions relative to the folder of this file.
CAPTIONS = "../workflow_scripts/reporting/captions"


def of_each_source(pattern):
    """Return an input function: one file for every source of the experiment."""
    return lambda wildcards: expand(pattern, source=experiment(wildcards).used_sources)


def fingerprints(wildcards):
    """Return the shards that hold fingerprints: crops or, where the experiment needs no faces, shards of their own."""
    chosen, found = experiment(wildcards), []
    for name in chosen.used_sources:
        kind = "crops" if "crops" in chosen.needs_of(CONFIG.sources[name]) else "fingerprints"
        found += shards_of(f"results/{{source}}/{kind}/{{shard}}.arrow", [name])
    return found


def experiment_shards(kinds, sources, name):
    """Return the shards of some kinds of an experiment, kind after kind."""
    chosen, found = CONFIG.experiments[name], []
    for kind in kinds:
        makers = chosen.makers_of(kind)
        if makers is None:
            found += shards_of(f"results/{name}/{kind}/{{source}}/{{shard}}.arrow", sources)
        else:
            found += [f"results/{name}/{kind}/{network}/00000.arrow" for network in makers]
    return found


def training_crops(wildcards):
    """Return how the faces were cut out that a network is trained on, as JSON: source -> its keys `crop`."""
    chosen = experiment(wildcards)
    sources = {name: CONFIG.sources[name] for name in chosen.train}
    return json.dumps(
        {name: s.crop.model_dump(mode="json") for name, s in sources.items() if "crops" in chosen.needs_of(s)}
    )


def weight_files(names):
    return expand("results/weights/{name}.safetensors", name=names)


rule assign_splits:
    input:
        index=of_each_source("results/{source}/index.parquet"),
        quarantine=of_each_source("results/{source}/quarantine.parquet"),
        fingerprints=fingerprints,
    output:
        splits="results/{experiment}/splits.parquet",
        training="results/{experiment}/training.parquet",
        quarantine="results/{experiment}/quarantine/assign_splits.parquet",
        record=record_of("assign_splits/{experiment}"),
    log:
        log_of("assign_splits/{experiment}"),
    benchmark:
        benchmark_of("assign_splits/{experiment}")
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        code=digest("stages.experiments.assign_splits"),
        experiment=lambda wildcards: experiment(wildcards).slice("train", "test", "apply", "score_train"),
        sources=lambda wildcards: CONFIG.sources_slice(wildcards.experiment),
        seed=CONFIG.seed,
    shell:
        "python -m workflow_scripts.stages.experiments.assign_splits "
        "--experiment {params.experiment:q} "
        "--sources {params.sources:q} "
        "--seed {params.seed} "
        "--index {input.index:q} "
        "--source-quarantine {input.quarantine:q} "
        "--fingerprints {input.fingerprints:q} "
        "--output {output.splits:q} "
        "--training {output.training:q} "
        "--quarantine {output.quarantine:q} "
        f"{RECORD}"


rule train_network:
    input:
        splits="results/{experiment}/training.parquet",
        shards=lambda wildcards: experiment_shards(
            experiment(wildcards).kinds_of(wildcards.network), experiment(wildcards).train, wildcards.experiment
        ),
        weights=lambda wildcards: weight_files(experiment(wildcards).weights_of(wildcards.network)),
    output:
        checkpoint="results/{experiment}/checkpoints/{network}.safetensors",
        sidecar="results/{experiment}/checkpoints/{network}.json",
        curves="results/{experiment}/curves/{network}.parquet",
        previews=directory("results/{experiment}/previews/{network}"),
        record=record_of("train_network/{experiment}/{network}"),
    log:
        log_of("train_network/{experiment}/{network}"),
    benchmark:
        benchmark_of("train_network/{experiment}/{network}")
    threads: lambda wildcards: experiment(wildcards).settings_of(wildcards.network).training.threads
    resources:
        mem_mb=8000,
        runtime=2880,
        gpu=lambda wildcards: gpus(experiment(wildcards).settings_of(wildcards.network).training.device),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.experiments.train_network", f"systems.{experiment(wildcards).system}.training"
        ),
        experiment=lambda wildcards: experiment(wildcards).slice(
            *experiment(wildcards).keys_of(wildcards.network), *experiment(wildcards).applied_keys
        ),
        crops=training_crops,
        seed=CONFIG.seed,
        resume="results/{experiment}/resume/{network}",
        live="results/logs/train_network/{experiment}/{network}",
    # tee shows the progress bar in the terminal too. A training that is told to stop (Ctrl-C, a cluster that takes its
    # node away) saves first: meanwhile the shell waits, and tee lives on to pass the last line.
    shell:
        "trap : TERM; python -m workflow_scripts.stages.experiments.train_network --reuse "
        "--experiment {params.experiment:q} "
        "--network {wildcards.network} "
        "--crops {params.crops:q} "
        "--seed {params.seed} "
        "--splits {input.splits:q} "
        "--shards {input.shards:q} "
        "--weights {input.weights:q} "
        "--output {output.checkpoint:q} "
        "--sidecar {output.sidecar:q} "
        "--curves {output.curves:q} "
        "--previews {output.previews:q} "
        "--resume {params.resume:q} "
        "--live {params.live:q} "
        "--gpus {params.gpus} "
        "--code {params.code} --record {output.record:q} 2>&1 | (trap '' TERM; tee -i {log:q})"


rule summarize_scores:
    input:
        metrics=of_experiment("results/{experiment}/metrics/{source}/{shard}.parquet"),
        shards=lambda wildcards: experiment_shards(
            experiment(wildcards).summarized_kinds, experiment(wildcards).used_sources, wildcards.experiment
        ),
        weights=lambda wildcards: weight_files(experiment(wildcards).summary_weights),
        quarantine=lambda wildcards: shards_of(
            f"results/{wildcards.experiment}/quarantine/{experiment(wildcards).item_stage}/{{source}}/{{shard}}.parquet",
            experiment(wildcards).used_sources,
        ),
        leaks="results/{experiment}/quarantine/assign_splits.parquet",
    output:
        table="results/{experiment}/metrics.parquet",
        summary="results/{experiment}/metrics.json",
        quarantine="results/{experiment}/quarantine.parquet",
        record=record_of("summarize_scores/{experiment}"),
    log:
        log_of("summarize_scores/{experiment}"),
    benchmark:
        benchmark_of("summarize_scores/{experiment}")
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=lambda wildcards: digest(
            "stages.experiments.summarize_scores", f"systems._{experiment(wildcards).family}.scores"
        ),
        experiment=lambda wildcards: experiment(wildcards).slice(*experiment(wildcards).summarized_keys),
    shell:
        "python -m workflow_scripts.stages.experiments.summarize_scores "
        "--experiment {params.experiment:q} "
        "--metrics {input.metrics:q} "
        "--shards {input.shards:q} "
        "--weights {input.weights:q} "
        "--quarantine {input.quarantine:q} {input.leaks:q} "
        "--output {output.table:q} "
        "--summary {output.summary:q} "
        "--quarantined {output.quarantine:q} "
        f"{RECORD}"


def captions(wildcards):
    """Return what the report says of the family's figures, by the beginnings of their names."""
    from workflow_scripts.systems import family_module

    return family_module(experiment(wildcards).family, "report").CAPTIONS


rule draw_figures:
    input:
        metrics="results/{experiment}/metrics.parquet",
        curves=lambda wildcards: expand(
            "results/{experiment}/curves/{network}.parquet",
            experiment=wildcards.experiment,
            network=experiment(wildcards).networks,
        ),
        shards=lambda wildcards: experiment_shards(
            experiment(wildcards).drawn_kinds, experiment(wildcards).used_sources, wildcards.experiment
        ),
        index=lambda wildcards: expand(
            "results/{source}/index.parquet",
            source=experiment(wildcards).used_sources if experiment(wildcards).drawn_with_index else [],
        ),
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
        record=record_of("draw_figures/{experiment}"),
    log:
        log_of("draw_figures/{experiment}"),
    benchmark:
        benchmark_of("draw_figures/{experiment}")
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=lambda wildcards: digest(
            "stages.experiments.draw_figures", f"systems._{experiment(wildcards).family}.figures"
        ),
        experiment=lambda wildcards: experiment(wildcards).slice(*experiment(wildcards).drawn_keys),
        captions=captions,
    shell:
        "python -m workflow_scripts.stages.experiments.draw_figures "
        "--experiment {params.experiment:q} "
        "--metrics {input.metrics:q} "
        "--curves {input.curves:q} "
        "--shards {input.shards:q} "
        "--index {input.index:q} "
        "--output {output.figures:q} "
        "--digests {output.digests:q} "
        f"{RECORD}"
