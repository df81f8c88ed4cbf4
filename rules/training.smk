"""From pairs to trained networks.

INPUTS
    results/{experiment}/training.parquet, results/{experiment}/pairs/{source}/{shard}.arrow, pretrained weights where a loss needs them
OUTPUTS
    results/{experiment}/checkpoints/{network}.safetensors    the network, with a .json that says what made it
    results/{experiment}/curves/{network}.parquet             losses and scores by step
    results/{experiment}/previews/{network}/                  validation items after epochs
"""


def training_shards(kind):
    """Return an input function: the shards of one kind of all training sources."""
    return lambda wildcards: shards_of(
        f"results/{{experiment}}/{kind}/{{source}}/{{shard}}.arrow",
        experiment(wildcards).train,
        experiment=wildcards.experiment,
    )


def map_shards(wildcards):
    """Return the predicted maps for a network that trains on another's."""
    return training_shards("maps")(wildcards) if wildcards.network in experiment(wildcards).on_predicted_maps else []


def perceptual_weights(wildcards):
    names = experiment(wildcards).weights_of(wildcards.network)
    return expand("results/weights/{name}.safetensors", name=names)


rule train_network:
    input:
        splits="results/{experiment}/training.parquet",
        pairs=training_shards("pairs"),
        maps=map_shards,
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
        code=lambda wildcards: code_digest("train_network", f"systems.{experiment(wildcards).system}.training"),
        config=lambda wildcards: experiment(wildcards).slice(*experiment(wildcards).keys_of(wildcards.network)),
        system=lambda wildcards: experiment(wildcards).system,
        seed=CONFIG.seed,
        resume="results/{experiment}/resume/{network}",
        live="results/logs/train_network/{experiment}/{network}",
        maps=lambda wildcards, input: ["--maps", *input.maps] if input.maps else [],
        weights=lambda wildcards, input: ["--weights", *input.weights] if input.weights else [],
        lock=LOCK,
    # tee: the progress bar is for the terminal too; -i: it outlives Ctrl-C, so that the training can say its last word
    shell:
        REUSE
        + "python -m workflow_scripts.train_network --config {params.config:q} --system {params.system} --network {wildcards.network} "
        "--seed {params.seed} --splits {input.splits} --pairs {input.pairs} {params.maps} {params.weights} "
        "--output {output.checkpoint} --curves {output.curves} --previews {output.previews} --resume {params.resume} --live {params.live} "
        "--gpus {resources.gpu} --code {params.code} --lock {params.lock} 2>&1 | tee -i {log}"
