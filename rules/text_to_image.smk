"""From pictures with captions to latents and embeddings, to adapters of a text-to-picture model, and to its pictures.

INPUTS
    the base model (config: `base.path`), or the package with CLIP's vocabulary for the tiny one
    results/{source}/index/{shard}.parquet, fingerprints/{shard}.arrow, captions/{shard}.parquet
    results/{experiment}/splits.parquet, training.parquet, checkpoints/adapters.safetensors
OUTPUTS
    results/weights/tiny_base/                                               a base model as small as can be, made here
    results/weights/{base}.safetensors                                       which base model it is, and how it is built
    results/{experiment}/memory.predicted.json                               the memory that each stage will need
    results/{experiment}/latents/{source}/{shard}.arrow                      squares and their latents
    results/{experiment}/quarantine/encode_images/{source}/{shard}.parquet   pictures without a caption
    results/{experiment}/captions/{source}/{shard}.arrow                     embeddings of captions
    results/{experiment}/metrics/{source}/{shard}.parquet                    errors of held-out items, with adapters and without
    results/{experiment}/samples/{network}/00000.arrow                       generated pictures, and the nearest training pictures
    results/{experiment}/held_out/{network}/00000.arrow                      the nearest training pictures of held-out pictures
    results/{experiment}/generated/{network}/                                the generated pictures as marked PNGs
    results/{experiment}/lora/{network}/                                     the adapters as diffusers loads them, with their card
    results/{experiment}/tables/memory/                                      the memory that each stage was predicted to need, and took
    results/{experiment}/tables/memory.json                                  the digest of that table
"""

TEXT_TO_IMAGE = experiments_of("text_to_image")
BASES = {chosen.base.name: chosen.base for chosen in CONFIG.experiments.values() if chosen.family == "text_to_image"}


ruleorder: describe_base > fetch_weights


def description(wildcards):
    """Return the description of an experiment's base model."""
    return f"results/weights/{experiment(wildcards).base.name}.safetensors"


rule make_tiny_base:
    output:
        folder=directory("results/weights/tiny_base"),
        record=record_of("make_tiny_base"),
    log:
        log_of("make_tiny_base"),
    benchmark:
        benchmark_of("make_tiny_base")
    localrule: True  # the nodes of a cluster often cannot reach a network
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=digest("stages.text_to_image.make_tiny_base"),
    shell:
        "python -m workflow_scripts.stages.text_to_image.make_tiny_base --reuse "
        "--output {output.folder:q} "
        f"{RECORD}"


rule describe_base:
    input:
        made=lambda wildcards: [] if BASES[wildcards.base].path else "results/weights/tiny_base",
    output:
        description="results/weights/{base}.safetensors",
        record=record_of("describe_base/{base}"),
    log:
        log_of("describe_base/{base}"),
    benchmark:
        benchmark_of("describe_base/{base}")
    wildcard_constraints:
        base="|".join(BASES),
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=digest("stages.text_to_image.describe_base"),
        base=lambda wildcards: BASES[wildcards.base].canonical(),
    shell:
        "python -m workflow_scripts.stages.text_to_image.describe_base "
        "--base {params.base:q} "
        "--made {input.made:q} "
        "--output {output.description:q} "
        f"{RECORD}"


rule predict_memory:
    input:
        base=description,
    output:
        predicted="results/{experiment}/memory.predicted.json",
        record=record_of("predict_memory/{experiment}"),
    log:
        log_of("predict_memory/{experiment}"),
    benchmark:
        benchmark_of("predict_memory/{experiment}")
    wildcard_constraints:
        experiment=TEXT_TO_IMAGE,
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=lambda wildcards: digest(
            "stages.text_to_image.predict_memory", f"systems.{experiment(wildcards).system}.memory"
        ),
        experiment=lambda wildcards: experiment(wildcards).slice(
            "base", "pictures", "generation", "memory", *experiment(wildcards).networks
        ),
        gpus=lambda wildcards: int(gpus() is not None),
    shell:
        "python -m workflow_scripts.stages.text_to_image.predict_memory "
        "--experiment {params.experiment:q} "
        "--base {input.base:q} "
        "--gpus {params.gpus} "
        "--output {output.predicted:q} "
        f"{RECORD}"


rule encode_images:
    input:
        raw=raw_sample,
        index="results/{source}/index/{shard}.parquet",
        fingerprints="results/{source}/fingerprints/{shard}.arrow",
        captions="results/{source}/captions/{shard}.parquet",
        base=description,
        # A setting that does not fit is refused before anything is encoded; other numbers do not encode it again.
        fits=ancient("results/{experiment}/memory.predicted.json"),
    output:
        latents="results/{experiment}/latents/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/encode_images/{source}/{shard}.parquet",
        record=record_of("encode_images/{experiment}/{source}/{shard}"),
    log:
        log_of("encode_images/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("encode_images/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=TEXT_TO_IMAGE,
    resources:
        mem_mb=6000,
        runtime=600,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest("stages.text_to_image.encode_images", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("max_pixels"),
        pictures=lambda wildcards: experiment(wildcards).pictures.canonical(),
    shell:
        "python -m workflow_scripts.stages.text_to_image.encode_images --reuse "
        "--source {params.source:q} "
        "--pictures {params.pictures:q} "
        "--index {input.index:q} "
        "--fingerprints {input.fingerprints:q} "
        "--captions {input.captions:q} "
        "--base {input.base:q} "
        "--output {output.latents:q} "
        "--quarantine {output.quarantine:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        "--depends {input.raw:q} "
        f"{RECORD}"


rule encode_captions:
    input:
        captions="results/{source}/captions/{shard}.parquet",
        base=description,
        fits=ancient("results/{experiment}/memory.predicted.json"),
    output:
        captions="results/{experiment}/captions/{source}/{shard}.arrow",
        record=record_of("encode_captions/{experiment}/{source}/{shard}"),
    log:
        log_of("encode_captions/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("encode_captions/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=TEXT_TO_IMAGE,
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=digest("stages.text_to_image.encode_captions"),
        pictures=lambda wildcards: experiment(wildcards).pictures.canonical(),
    shell:
        "python -m workflow_scripts.stages.text_to_image.encode_captions --reuse "
        "--pictures {params.pictures:q} "
        "--captions {input.captions:q} "
        "--base {input.base:q} "
        "--output {output.captions:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


def checkpoint_of(wildcards):
    """Return the adapters of an experiment, of which each has one set."""
    (network,) = experiment(wildcards).networks
    return f"results/{wildcards.experiment}/checkpoints/{network}.safetensors"


rule score_captions:
    input:
        checkpoint=checkpoint_of,
        splits="results/{experiment}/splits.parquet",
        latents="results/{experiment}/latents/{source}/{shard}.arrow",
        captions="results/{experiment}/captions/{source}/{shard}.arrow",
        base=description,
    output:
        metrics="results/{experiment}/metrics/{source}/{shard}.parquet",
        record=record_of("score_captions/{experiment}/{source}/{shard}"),
    log:
        log_of("score_captions/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("score_captions/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=TEXT_TO_IMAGE,
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.text_to_image.score_captions", f"systems.{experiment(wildcards).system}.networks"
        ),
    shell:
        "python -m workflow_scripts.stages.text_to_image.score_captions "
        "--source {wildcards.source} "
        "--checkpoint {input.checkpoint:q} "
        "--splits {input.splits:q} "
        "--latents {input.latents:q} "
        "--captions {input.captions:q} "
        "--base {input.base:q} "
        "--output {output.metrics:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule generate_pictures:
    input:
        checkpoint="results/{experiment}/checkpoints/{network}.safetensors",
        training="results/{experiment}/training.parquet",
        splits="results/{experiment}/splits.parquet",
        latents=lambda wildcards: experiment_shards(
            ["latents"], experiment(wildcards).used_sources, wildcards.experiment
        ),
        base=description,
    output:
        samples="results/{experiment}/samples/{network}/00000.arrow",
        held_out="results/{experiment}/held_out/{network}/00000.arrow",
        pictures=directory("results/{experiment}/generated/{network}"),
        record=record_of("generate_pictures/{experiment}/{network}"),
    log:
        log_of("generate_pictures/{experiment}/{network}"),
    benchmark:
        benchmark_of("generate_pictures/{experiment}/{network}")
    wildcard_constraints:
        experiment=TEXT_TO_IMAGE,
    resources:
        mem_mb=8000,
        runtime=600,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.text_to_image.generate_pictures", f"systems.{experiment(wildcards).system}.networks"
        ),
        generation=lambda wildcards: experiment(wildcards).generation.canonical(),
        evaluation=lambda wildcards: experiment(wildcards).evaluation.canonical(),
    shell:
        "python -m workflow_scripts.stages.text_to_image.generate_pictures "
        "--generation {params.generation:q} "
        "--evaluation {params.evaluation:q} "
        "--checkpoint {input.checkpoint:q} "
        "--training {input.training:q} "
        "--splits {input.splits:q} "
        "--latents {input.latents:q} "
        "--base {input.base:q} "
        "--output {output.samples:q} "
        "--held-out {output.held_out:q} "
        "--pictures {output.pictures:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule export_adapters:
    input:
        checkpoint="results/{experiment}/checkpoints/{network}.safetensors",
        sidecar="results/{experiment}/checkpoints/{network}.json",
        base=description,
    output:
        folder=directory("results/{experiment}/lora/{network}"),
        record=record_of("export_adapters/{experiment}/{network}"),
    log:
        log_of("export_adapters/{experiment}/{network}"),
    benchmark:
        benchmark_of("export_adapters/{experiment}/{network}")
    wildcard_constraints:
        experiment=TEXT_TO_IMAGE,
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=lambda wildcards: digest(
            "stages.text_to_image.export_adapters", f"systems.{experiment(wildcards).system}.networks"
        ),
    shell:
        "python -m workflow_scripts.stages.text_to_image.export_adapters "
        "--checkpoint {input.checkpoint:q} "
        "--base {input.base:q} "
        "--output {output.folder:q} "
        f"{RECORD}"


def measured(wildcards):
    """Return the records of an experiment's jobs that hold a part of the base model."""
    name, chosen = wildcards.experiment, experiment(wildcards)
    (network,) = chosen.networks
    jobs = [f"{stage}/{name}/{network}" for stage in ("train_network", "generate_pictures", "export_adapters")]
    for stage in ("encode_images", "encode_captions", "score_captions"):
        jobs += shards_of(f"{stage}/{name}/{{source}}/{{shard}}", chosen.used_sources)
    return [record_of(job) for job in jobs]


rule tabulate_memory:
    input:
        predicted="results/{experiment}/memory.predicted.json",
        jobs=measured,
    output:
        folder=directory("results/{experiment}/tables/memory"),
        digests="results/{experiment}/tables/memory.json",
        record=record_of("tabulate_memory/{experiment}"),
    log:
        log_of("tabulate_memory/{experiment}"),
    benchmark:
        benchmark_of("tabulate_memory/{experiment}")
    wildcard_constraints:
        experiment=TEXT_TO_IMAGE,
    localrule: True  # a second of work, for which a job of a cluster would wait in the queue
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.text_to_image.tabulate_memory"),
    shell:
        "python -m workflow_scripts.stages.text_to_image.tabulate_memory "
        "--predicted {input.predicted:q} "
        "--jobs {input.jobs:q} "
        "--output {output.folder:q} "
        "--digests {output.digests:q} "
        f"{RECORD}"
