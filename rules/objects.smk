"""From annotation files in COCO's format to objects.

INPUTS
    the annotation files of each source of type coco, results/{source}/index/{shard}.parquet
OUTPUTS
    results/{source}/annotations/                    the entries of those files, by shard
    results/{source}/objects/{shard}.parquet         objects: category, box, mask, keypoints
    results/{source}/captions/{shard}.parquet        captions
    results/{source}/rejected_annotations.parquet    every entry that cannot be used, with its reason
"""

from workflow_scripts.sources import coco

COCO = [name for name, chosen in CONFIG.sources.items() if chosen.type == "coco"]
COCO_NAMES = "|".join(COCO) or "(?!)"  # no name at all, where there is no such source


rule split_annotations:
    input:
        lambda wildcards: [str(path) for path in coco.annotation_files(source(wildcards))],
    output:
        directory("results/{source}/annotations"),
    log:
        "results/logs/split_annotations/{source}.log",
    benchmark:
        "results/benchmarks/split_annotations/{source}.tsv"
    wildcard_constraints:
        source=COCO_NAMES,
    params:
        code=code_digest("stages.objects.split_annotations"),
        shards=lambda wildcards: len(SHARDS[wildcards.source]),
    shell:
        "python -m workflow_scripts.stages.objects.split_annotations --shards {params.shards} --output {output} {input:q} > {log} 2>&1"


rule read_objects:
    input:
        annotations="results/{source}/annotations",
        index="results/{source}/index/{shard}.parquet",
        rejected="results/{source}/quarantine/index_source/{shard}.parquet",
    output:
        objects="results/{source}/objects/{shard}.parquet",
        captions="results/{source}/captions/{shard}.parquet",
        quarantine="results/{source}/quarantine/read_objects/{shard}.parquet",
    log:
        "results/logs/read_objects/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/read_objects/{source}/{shard}.tsv"
    wildcard_constraints:
        source=COCO_NAMES,
    params:
        code=code_digest("stages.objects.read_objects"),
        config=lambda wildcards: source(wildcards).slice("subset"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.objects.read_objects --config {params.config:q} --annotations {input.annotations} --shard {wildcards.shard} "
        "--index {input.index} --rejected-pictures {input.rejected} --output {output.objects} --captions {output.captions} "
        "--quarantine {output.quarantine} > {log} 2>&1"


rule collect_rejected_annotations:
    input:
        lambda wildcards: shards_of("results/{source}/quarantine/read_objects/{shard}.parquet", [wildcards.source]),
    output:
        "results/{source}/rejected_annotations.parquet",
    log:
        "results/logs/collect_rejected_annotations/{source}.log",
    benchmark:
        "results/benchmarks/collect_rejected_annotations/{source}.tsv"
    wildcard_constraints:
        source=COCO_NAMES,
    params:
        code=code_digest("core.merge_tables"),
    shell:
        "python -m workflow_scripts.core.merge_tables --output {output} {input} > {log} 2>&1"
