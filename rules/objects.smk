"""From annotation files in COCO's format to objects and captions, for sources of type `coco`.

INPUTS
    the annotation files of the source, results/{source}/index/{shard}.parquet
OUTPUTS
    results/{source}/annotations/                               the entries of the annotation files, divided by shard
    results/{source}/objects/{shard}.parquet                    objects: category, box, mask, keypoints
    results/{source}/captions/{shard}.parquet                   captions
    results/{source}/quarantine/read_objects/{shard}.parquet    entries of this shard that cannot be used
    results/{source}/rejected_annotations.parquet               all entries that cannot be used, with their reasons
    results/{source}/objects.json                               the objects in COCO's format, only when asked for
    results/{source}/annotation_counts.json                     how many objects and captions there are, and rejected entries
"""

from workflow_scripts.sources import _coco_names as coco_names
from workflow_scripts.sources import adapter

COCO = "|".join(name for name, chosen in CONFIG.sources.items() if chosen.has_objects) or "(?!)"


def picture_folders(wildcards):
    """Return a digest of the folders with pictures and their spelling, by which annotation files' names are understood."""
    parts = shard_listings(source(wildcards), len(SHARDS[wildcards.source]))
    folders = coco_names.picture_folders(file for part in parts for file in part.files)
    spelled = sorted((folder, sorted(spelling)) for folder, spelling in folders.items())
    return hashlib.sha256(str(spelled).encode()).hexdigest()[:16]


rule split_annotations:
    input:
        lambda wildcards: [local(str(path)) for path in adapter(source(wildcards)).annotation_files(source(wildcards))],
    output:
        folder=directory("results/{source}/annotations"),
        record=record_of("split_annotations/{source}"),
    log:
        log_of("split_annotations/{source}"),
    benchmark:
        benchmark_of("split_annotations/{source}")
    wildcard_constraints:
        source=COCO,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=lambda wildcards: digest("stages.objects.split_annotations", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("annotations"),
        folders=picture_folders,
        shards=lambda wildcards: len(SHARDS[wildcards.source]),
    shell:
        "python -m workflow_scripts.stages.objects.split_annotations "
        "--source {params.source:q} "
        "--annotations {input:q} "
        "--shards {params.shards} "
        "--folders {params.folders:q} "
        "--output {output.folder:q} "
        f"{RECORD}"


rule read_objects:
    input:
        annotations="results/{source}/annotations",
        index="results/{source}/index/{shard}.parquet",
        rejected="results/{source}/quarantine/index_source/{shard}.parquet",
    output:
        objects="results/{source}/objects/{shard}.parquet",
        captions="results/{source}/captions/{shard}.parquet",
        quarantine="results/{source}/quarantine/read_objects/{shard}.parquet",
        record=record_of("read_objects/{source}/{shard}"),
    log:
        log_of("read_objects/{source}/{shard}"),
    benchmark:
        benchmark_of("read_objects/{source}/{shard}")
    wildcard_constraints:
        source=COCO,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=digest("stages.objects.read_objects"),
        source=lambda wildcards: source(wildcards).slice("subset"),
    shell:
        "python -m workflow_scripts.stages.objects.read_objects "
        "--source {params.source:q} "
        "--annotations {input.annotations:q} "
        "--shard {wildcards.shard} "
        "--index {input.index:q} "
        "--rejected-pictures {input.rejected:q} "
        "--output {output.objects:q} "
        "--captions {output.captions:q} "
        "--quarantine {output.quarantine:q} "
        f"{RECORD}"


rule export_objects:
    input:
        index="results/{source}/index.parquet",
        objects=of_source("results/{source}/objects/{shard}.parquet"),
    output:
        file="results/{source}/objects.json",
        record=record_of("export_objects/{source}"),
    log:
        log_of("export_objects/{source}"),
    benchmark:
        benchmark_of("export_objects/{source}")
    wildcard_constraints:
        source=COCO,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=digest("stages.objects.export_objects"),
    shell:
        "python -m workflow_scripts.stages.objects.export_objects "
        "--index {input.index:q} "
        "--objects {input.objects:q} "
        "--output {output.file:q} "
        f"{RECORD}"


rule collect_rejected_annotations:
    input:
        annotations="results/{source}/annotations",
        objects=of_source("results/{source}/objects/{shard}.parquet"),
        captions=of_source("results/{source}/captions/{shard}.parquet"),
        rejected=of_source("results/{source}/quarantine/read_objects/{shard}.parquet"),
    output:
        rejected="results/{source}/rejected_annotations.parquet",
        counts="results/{source}/annotation_counts.json",
        record=record_of("collect_rejected_annotations/{source}"),
    log:
        log_of("collect_rejected_annotations/{source}"),
    benchmark:
        benchmark_of("collect_rejected_annotations/{source}")
    wildcard_constraints:
        source=COCO,
    localrule: True  # a second of work, for which a job of a cluster would wait in the queue
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.objects.collect_rejected_annotations"),
    shell:
        "python -m workflow_scripts.stages.objects.collect_rejected_annotations "
        "--annotations {input.annotations:q} "
        "--objects {input.objects:q} "
        "--captions {input.captions:q} "
        "--rejected {input.rejected:q} "
        "--output {output.rejected:q} "
        "--counts {output.counts:q} "
        f"{RECORD}"
