"""From what lies on disk to tables of items.

INPUTS
    the files of each source (config: `sources`); for the sample and for pretrained networks, the package registry
OUTPUTS
    results/sample/raw/manifest.json                                    digests of the sample's files, beside it
    results/sample/raw_objects/pictures/                                drawn scenes of the source `sample_objects`
    results/sample/raw_objects/objects.json                             their objects, in COCO's format
    results/sample/raw_captions/pictures/                               pictures of the source `sample_captions`
    results/sample/raw_captions/metadata.jsonl                          their captions
    results/weights/{name}.safetensors                                  a pretrained network, checked and converted
    results/{source}/index/{shard}.parquet                              items: file, size, split, person
    results/{source}/index.parquet                                      the items of all shards
    results/{source}/captions/{shard}.parquet                           captions that lie beside the pictures
    results/{source}/quarantine/read_captions/{shard}.parquet           pictures without one, and captions of no picture
    results/{source}/fingerprints/{shard}.arrow                         how each picture looks, where no face is needed
    results/{source}/quarantine/index_source/{shard}.parquet            files that cannot be items
    results/{source}/quarantine/fingerprint_pictures/{shard}.parquet    pictures that cannot be decoded
    results/{source}/quarantine.parquet                                 every input that cannot be used, with its reason
"""

from workflow_scripts.sources import adapter
from workflow_scripts.sources._captions import captions_digest

CAPTIONED = (
    "|".join(name for name, chosen in CONFIG.sources.items() if chosen.has_captions and not chosen.has_objects)
    or "(?!)"
)


rule fetch_sample:
    output:
        manifest=local("results/sample/raw/manifest.json"),
        record=record_of("fetch_sample"),
    log:
        log_of("fetch_sample"),
    benchmark:
        benchmark_of("fetch_sample")
    localrule: True  # the nodes of a cluster often cannot reach a network
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.sources.fetch_sample"),
        folder=lambda wildcards, output: str(Path(output.manifest).parent),
    shell:
        "python -m workflow_scripts.stages.sources.fetch_sample "
        "--folder {params.folder:q} "
        "--manifest {output.manifest:q} "
        f"{RECORD}"


rule draw_sample_objects:
    output:
        pictures=local(directory("results/sample/raw_objects/pictures")),
        annotations=local("results/sample/raw_objects/objects.json"),
        record=record_of("draw_sample_objects"),
    log:
        log_of("draw_sample_objects"),
    benchmark:
        benchmark_of("draw_sample_objects")
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.sources.draw_sample_objects"),
    shell:
        "python -m workflow_scripts.stages.sources.draw_sample_objects "
        "--pictures {output.pictures:q} "
        "--annotations {output.annotations:q} "
        f"{RECORD}"


rule draw_sample_captions:
    output:
        pictures=local(directory("results/sample/raw_captions/pictures")),
        captions=local("results/sample/raw_captions/metadata.jsonl"),
        record=record_of("draw_sample_captions"),
    log:
        log_of("draw_sample_captions"),
    benchmark:
        benchmark_of("draw_sample_captions")
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.sources.draw_sample_captions"),
    shell:
        "python -m workflow_scripts.stages.sources.draw_sample_captions "
        "--pictures {output.pictures:q} "
        "--captions {output.captions:q} "
        f"{RECORD}"


rule fetch_weights:
    output:
        weights="results/weights/{name}.safetensors",
        record=record_of("fetch_weights/{name}"),
    log:
        log_of("fetch_weights/{name}"),
    benchmark:
        benchmark_of("fetch_weights/{name}")
    localrule: True  # the nodes of a cluster often cannot reach a network
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=digest("stages.sources.fetch_weights"),
        path=lambda wildcards: getattr(CONFIG.weights, wildcards.name, None) or [],
    shell:
        "python -m workflow_scripts.stages.sources.fetch_weights "
        "--name {wildcards.name} "
        "--path {params.path:q} "
        "--output {output.weights:q} "
        f"{RECORD}"


def listing(wildcards):
    """Return the digest of a shard's files, which newer times of the same contents do not change."""
    shards = SHARDS[wildcards.source]
    if wildcards.shard not in shards:
        known = f"shards {shards[0]} to {shards[-1]}" if len(shards) > 1 else f"the shard {shards[0]} alone"
        # Any other exception would be shown with a traceback.
        sys.exit(f"error: {wildcards.source} has {known}, and no {wildcards.shard}; ask for one that it has")
    part = shard_listings(source(wildcards), len(shards))[int(wildcards.shard)]
    return listing_digest(part, RECORDS / f"contents/{wildcards.source}/{wildcards.shard}.json")


def indexed_keys(wildcards):
    """Return the keys of a source that its index depends on."""
    keys = ["subset", "split", "identity", "max_pixels", "every", "per_second", "split_by", "block", "annotations"]
    return [*keys, "given_faces", "faces"] if source(wildcards).given_faces else keys


rule index_source:
    input:
        raw=raw_sample,
        given=lambda wildcards: local(source(wildcards).given_faces) if source(wildcards).given_faces else [],
    output:
        index="results/{source}/index/{shard}.parquet",
        quarantine="results/{source}/quarantine/index_source/{shard}.parquet",
        contents=f"{RECORDS}/contents/{{source}}/{{shard}}.json",
        record=record_of("index_source/{source}/{shard}"),
    log:
        log_of("index_source/{source}/{shard}"),
    benchmark:
        benchmark_of("index_source/{source}/{shard}")
    group:
        faces_of_shard
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        code=lambda wildcards: digest("stages.sources.index_source", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice(*indexed_keys(wildcards)),
        listing=listing,
        seed=CONFIG.seed,
        shards=lambda wildcards: len(SHARDS[wildcards.source]),
    shell:
        "python -m workflow_scripts.stages.sources.index_source "
        "--source {params.source:q} "
        "--seed {params.seed} "
        "--shard {wildcards.shard} "
        "--shards {params.shards} "
        "--listing {params.listing} "
        "--contents {output.contents:q} "
        "--output {output.index:q} "
        "--quarantine {output.quarantine:q} "
        "--depends {input.raw:q} {input.given:q} "
        f"{RECORD}"


rule merge_index:
    input:
        of_source("results/{source}/index/{shard}.parquet"),
    output:
        index="results/{source}/index.parquet",
        record=record_of("merge_index/{source}"),
    log:
        log_of("merge_index/{source}"),
    benchmark:
        benchmark_of("merge_index/{source}")
    localrule: True  # a second of work, for which a job of a cluster would wait in the queue
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.sources.merge_index"),
    shell:
        "python -m workflow_scripts.stages.sources.merge_index "
        "--index {input:q} "
        "--output {output.index:q} "
        f"{RECORD}"


rule fingerprint_pictures:
    input:
        raw=raw_sample,
        index="results/{source}/index/{shard}.parquet",
    output:
        fingerprints="results/{source}/fingerprints/{shard}.arrow",
        quarantine="results/{source}/quarantine/fingerprint_pictures/{shard}.parquet",
        record=record_of("fingerprint_pictures/{source}/{shard}"),
    log:
        log_of("fingerprint_pictures/{source}/{shard}"),
    benchmark:
        benchmark_of("fingerprint_pictures/{source}/{shard}")
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        code=lambda wildcards: digest("stages.sources.fingerprint_pictures", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("max_pixels"),
    shell:
        "python -m workflow_scripts.stages.sources.fingerprint_pictures "
        "--source {params.source:q} "
        "--index {input.index:q} "
        "--output {output.fingerprints:q} "
        "--quarantine {output.quarantine:q} "
        "--depends {input.raw:q} "
        f"{RECORD}"


def files_of_captions(wildcards):
    """Return a digest of the files of captions that lie beside the pictures."""
    if source(wildcards).type in SAMPLES:  # they follow from `raw`
        return "drawn"
    try:
        return captions_digest(adapter(source(wildcards)).captions_folder(source(wildcards)))
    except UserError as error:
        sys.exit(f"error: sources.{wildcards.source}.{error}")


rule read_captions:
    input:
        raw=raw_sample,
        index="results/{source}/index/{shard}.parquet",
        rejected="results/{source}/quarantine/index_source/{shard}.parquet",
    output:
        captions="results/{source}/captions/{shard}.parquet",
        quarantine="results/{source}/quarantine/read_captions/{shard}.parquet",
        record=record_of("read_captions/{source}/{shard}"),
    log:
        log_of("read_captions/{source}/{shard}"),
    benchmark:
        benchmark_of("read_captions/{source}/{shard}")
    wildcard_constraints:
        source=CAPTIONED,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=lambda wildcards: digest("stages.sources.read_captions", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("subset"),
        listing=files_of_captions,
        shards=lambda wildcards: len(SHARDS[wildcards.source]),
    shell:
        "python -m workflow_scripts.stages.sources.read_captions "
        "--source {params.source:q} "
        "--shard {wildcards.shard} "
        "--shards {params.shards} "
        "--listing {params.listing} "
        "--index {input.index:q} "
        "--rejected-pictures {input.rejected:q} "
        "--output {output.captions:q} "
        "--quarantine {output.quarantine:q} "
        "--depends {input.raw:q} "
        f"{RECORD}"


rule collect_quarantine:
    input:
        lambda wildcards: [
            path
            for stage in CONFIG.losing_stages(wildcards.source)
            for path in shards_of(f"results/{{source}}/quarantine/{stage}/{{shard}}.parquet", [wildcards.source])
        ],
    output:
        quarantine="results/{source}/quarantine.parquet",
        record=record_of("collect_quarantine/{source}"),
    log:
        log_of("collect_quarantine/{source}"),
    benchmark:
        benchmark_of("collect_quarantine/{source}")
    localrule: True  # a second of work, for which a job of a cluster would wait in the queue
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.sources.collect_quarantine"),
    shell:
        "python -m workflow_scripts.stages.sources.collect_quarantine "
        "--quarantine {input:q} "
        "--output {output.quarantine:q} "
        f"{RECORD}"
