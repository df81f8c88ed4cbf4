"""From items to trained networks, for every system.

INPUTS
    results/{source}/index.parquet, quarantine.parquet, crops/{shard}.arrow
    results/{experiment}/{kind}/{source}/{shard}.arrow of the kinds that a network learns from (`pairs`, `maps`, `drawings`),
    pretrained weights where a loss needs them
OUTPUTS
    results/{experiment}/splits.parquet                       what each item is used for, leaks closed
    results/{experiment}/training.parquet                     its training and validation rows alone
    results/{experiment}/checkpoints/{network}.safetensors    the network, with a .json that says what made it
    results/{experiment}/curves/{network}.parquet             losses and scores by step
    results/{experiment}/previews/{network}/                  validation items after epochs
"""


def evaluated_shards(pattern):
    """Return an input function: the files of a pattern for every shard of every source of the experiment."""
    return lambda wildcards: shards_of(
        pattern, CONFIG.used_sources(wildcards.experiment), experiment=wildcards.experiment
    )


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
        code=code_digest("stages.experiments.assign_splits"),
        config=lambda wildcards: experiment(wildcards).slice("train", "test", "apply", "score_train"),
        sources=lambda wildcards: CONFIG.sources_slice(wildcards.experiment),
        seed=CONFIG.seed,
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.experiments.assign_splits --config {params.config:q} --sources {params.sources:q} --seed {params.seed} "
        "--folder results --crops {input.crops} --output {output.splits} --training {output.training} --quarantine {output.quarantine} > {log} 2>&1"


def training_shards(wildcards):
    """Return the shards, of all training sources, of the kinds that a network learns from."""
    chosen = experiment(wildcards)
    return [
        path
        for kind in chosen.kinds_of(wildcards.network)
        for path in shards_of(f"results/{wildcards.experiment}/{kind}/{{source}}/{{shard}}.arrow", chosen.train)
    ]


def perceptual_weights(wildcards):
    names = experiment(wildcards).weights_of(wildcards.network)
    return expand("results/weights/{name}.safetensors", name=names)


rule train_network:
    input:
        splits="results/{experiment}/training.parquet",
        shards=training_shards,
        weights=perceptual_weights,
    output:
        checkpoint="results/{experiment}/checkpoints/{network}.safetensors",
        sidecar="results/{experiment}/checkpoints/{network}.json",
        curves="results/{experiment}/curves/{network}.parquet",
        previews=directory("results/{experiment}/previews/{network}"),
    log:
        "results/logs/train_network/{experiment}/{network}.log",
    benchmark:
        "results/benchmarks/train_network/{experiment}/{network}.tsv"
    threads: lambda wildcards: getattr(experiment(wildcards), wildcards.network).training.threads
    resources:
        gpu=GPUS,
    params:
        code=lambda wildcards: code_digest(
            "stages.experiments.train_network", f"systems.{experiment(wildcards).system}.training"
        ),
        config=lambda wildcards: experiment(wildcards).slice(*experiment(wildcards).keys_of(wildcards.network)),
        system=lambda wildcards: experiment(wildcards).system,
        seed=CONFIG.seed,
        resume="results/{experiment}/resume/{network}",
        live="results/logs/train_network/{experiment}/{network}",
        weights=lambda wildcards, input: ["--weights", *input.weights] if input.weights else [],
        lock=LOCK,
    # tee: the progress bar is for the terminal too; -i: it outlives Ctrl-C, so that the training can say its last word
    shell:
        REUSE
        + "python -m workflow_scripts.stages.experiments.train_network --config {params.config:q} --system {params.system} --network {wildcards.network} "
        "--seed {params.seed} --splits {input.splits} --shards {input.shards} {params.weights} "
        "--output {output.checkpoint} --curves {output.curves} --previews {output.previews} --resume {params.resume} --live {params.live} "
        "--gpus {resources.gpu} --code {params.code} --lock {params.lock} 2>&1 | tee -i {log}"
