"""From shards of training items to trained networks.

INPUTS
    results/{experiment}/training.parquet, results/{experiment}/{kind}/{source}/{shard}.arrow of the kinds that the network learns from
    (`pairs`, `maps`, `drawings`), pretrained weights where a loss needs them
OUTPUTS
    results/{experiment}/checkpoints/{network}.safetensors    the network, with a .json that says what made it
    results/{experiment}/curves/{network}.parquet             losses and scores by step
    results/{experiment}/previews/{network}/                  validation items after epochs
"""


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
        code=lambda wildcards: code_digest("train_network", f"systems.{experiment(wildcards).system}.training"),
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
        + "python -m workflow_scripts.train_network --config {params.config:q} --system {params.system} --network {wildcards.network} "
        "--seed {params.seed} --splits {input.splits} --shards {input.shards} {params.weights} "
        "--output {output.checkpoint} --curves {output.curves} --previews {output.previews} --resume {params.resume} --live {params.live} "
        "--gpus {resources.gpu} --code {params.code} --lock {params.lock} 2>&1 | tee -i {log}"
