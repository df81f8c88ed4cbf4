"""From what the workflow has made to what other programs read; only the cards are made without being asked for.

INPUTS
    results/{experiment}/checkpoints/{network}.safetensors and .json, metrics.json, training.parquet, splits.parquet,
    results/{experiment}/{kind}/{source}/{shard}.arrow of its items; results/{source}/index.parquet, quarantine.parquet,
    landmarks/{shard}.parquet, crops/{shard}.arrow
OUTPUTS
    results/{experiment}/checkpoints/README.md     the card of the networks, beside their checkpoints
    results/{experiment}/exports/{network}.onnx    a network with all that lies between bytes of pictures and it
    results/{experiment}/exports/{network}.json    what it takes and gives, what made it, how far it is from torch
    results/{experiment}/exports/coco/             its pictures, masks and faces in COCO's layout
    results/{source}/exports/faces.json            the faces of a source in COCO's format
    results/{owner}/exports/parquet/               pictures, masks and landmarks of a source or experiment, for `datasets`
    results/{owner}/exports/webdataset/            the same as tars, for `webdataset`
"""

# Families whose networks can be written as ONNX.
PORTABLE = [
    name
    for name, chosen in CONFIG.experiments.items()
    if Path(HOME, f"workflow_scripts/systems/_{chosen.family}/exported.py").is_file()
]


def terms_of(names):
    """Return what is said of some sources, as JSON: name -> its keys `terms`."""
    return json.dumps({name: CONFIG.sources[name].all_terms.model_dump(mode="json") for name in names})


def exported_networks(wildcards):
    """Return a network and those that it is applied with; say which there are, where there is none of that name."""
    chosen, name = experiment(wildcards), wildcards.network
    if name not in chosen.networks:
        raise WorkflowError(
            f"{wildcards.experiment} has no network {name!r}; write results/{wildcards.experiment}/exports/NETWORK.onnx "
            f"with one of: {', '.join(chosen.networks)}"
        )
    return [name, *chosen.beside(name)]


def checkpoints_of(ending):
    """Return an input function: the files of a network that is exported, and of those that it is applied with."""
    return lambda wildcards: [
        f"results/{wildcards.experiment}/checkpoints/{name}{ending}" for name in exported_networks(wildcards)
    ]


WITH_FACES = sources_with("crops")


def items_of(wildcards):
    """Return the table that tells the splits of a source or an experiment, and the shards of its items."""
    name = wildcards.owner
    if name in CONFIG.experiments:
        chosen = CONFIG.experiments[name]
        shards = experiment_shards([chosen.item_kind], chosen.used_sources, name)
        return {"table": f"results/{name}/splits.parquet", "shards": shards}
    shards = shards_of("results/{source}/crops/{shard}.arrow", [name])
    return {"table": f"results/{name}/index.parquet", "shards": shards}


def owned_terms(wildcards):
    """Return what is said of a source, or of those of an experiment."""
    name = wildcards.owner
    return terms_of(CONFIG.experiments[name].used_sources if name in CONFIG.experiments else [name])


rule write_model_card:
    input:
        checkpoints=lambda wildcards: expand(
            "results/{experiment}/checkpoints/{network}.safetensors",
            experiment=wildcards.experiment,
            network=experiment(wildcards).networks,
        ),
        sidecars=lambda wildcards: expand(
            "results/{experiment}/checkpoints/{network}.json",
            experiment=wildcards.experiment,
            network=experiment(wildcards).networks,
        ),
        metrics="results/{experiment}/metrics.json",
        training="results/{experiment}/training.parquet",
        quarantine=lambda wildcards: expand(
            "results/{owner}/quarantine.parquet", owner=[*experiment(wildcards).train, wildcards.experiment]
        ),
    output:
        card="results/{experiment}/checkpoints/README.md",
        record=record_of("write_model_card/{experiment}"),
    log:
        log_of("write_model_card/{experiment}"),
    benchmark:
        benchmark_of("write_model_card/{experiment}")
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=lambda wildcards: digest("stages.exports.write_model_card", f"systems.{experiment(wildcards).system}"),
        terms=lambda wildcards: terms_of(experiment(wildcards).train),
    shell:
        "python -m workflow_scripts.stages.exports.write_model_card "
        "--name {wildcards.experiment} "
        "--checkpoints {input.checkpoints:q} "
        "--metrics {input.metrics:q} "
        "--training {input.training:q} "
        "--quarantine {input.quarantine:q} "
        "--terms {params.terms:q} "
        "--output {output.card:q} "
        "--depends {input.sidecars:q} "
        f"{RECORD}"


rule export_network:
    input:
        checkpoints=checkpoints_of(".safetensors"),
        sidecars=checkpoints_of(".json"),
    output:
        file="results/{experiment}/exports/{network}.onnx",
        check="results/{experiment}/exports/{network}.json",
        record=record_of("export_network/{experiment}/{network}"),
    log:
        log_of("export_network/{experiment}/{network}"),
    benchmark:
        benchmark_of("export_network/{experiment}/{network}")
    wildcard_constraints:
        experiment="|".join(PORTABLE) or "(?!)",
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=lambda wildcards: digest(
            "stages.exports.export_network",
            f"systems._{experiment(wildcards).family}.exported",
            f"systems.{experiment(wildcards).system}.networks",
            files=["envs/exports.lock"],
        ),
        terms=lambda wildcards: terms_of(experiment(wildcards).train),
    shell:
        "python -m workflow_scripts.stages.exports.export_network "
        "--checkpoint {input.checkpoints[0]:q} "
        "--experiment {wildcards.experiment} "
        "--terms {params.terms:q} "
        "--output {output.file:q} "
        "--check {output.check:q} "
        "--depends {input.checkpoints:q} {input.sidecars:q} "
        f"{RECORD}"


rule export_faces:
    input:
        index="results/{source}/index.parquet",
        landmarks=of_source("results/{source}/landmarks/{shard}.parquet"),
    output:
        file="results/{source}/exports/faces.json",
        record=record_of("export_faces/{source}"),
    log:
        log_of("export_faces/{source}"),
    benchmark:
        benchmark_of("export_faces/{source}")
    wildcard_constraints:
        source="|".join(WITH_FACES) or "(?!)",
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        code=digest("stages.exports.export_faces"),
    shell:
        "python -m workflow_scripts.stages.exports.export_faces "
        "--index {input.index:q} "
        "--landmarks {input.landmarks:q} "
        "--output {output.file:q} "
        f"{RECORD}"


rule export_coco:
    input:
        table="results/{experiment}/splits.parquet",
        shards=lambda wildcards: experiment_shards(
            [experiment(wildcards).item_kind], experiment(wildcards).used_sources, wildcards.experiment
        ),
        crops=lambda wildcards: shards_of(
            "results/{source}/crops/{shard}.arrow",
            [name for name in experiment(wildcards).used_sources if name in WITH_FACES],
        ),
    output:
        folder=directory("results/{experiment}/exports/coco"),
        record=record_of("export_coco/{experiment}"),
    log:
        log_of("export_coco/{experiment}"),
    benchmark:
        benchmark_of("export_coco/{experiment}")
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        code=digest("stages.exports.export_coco"),
    shell:
        "python -m workflow_scripts.stages.exports.export_coco "
        "--items {input.table:q} "
        "--shards {input.shards:q} "
        "--crops {input.crops:q} "
        "--output {output.folder:q} "
        f"{RECORD}"


rule export_parquet:
    input:
        unpack(items_of),
    output:
        folder=directory("results/{owner}/exports/parquet"),
        record=record_of("export_parquet/{owner}"),
    log:
        log_of("export_parquet/{owner}"),
    benchmark:
        benchmark_of("export_parquet/{owner}")
    wildcard_constraints:
        owner="|".join([*WITH_FACES, *CONFIG.experiments]) or "(?!)",
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        code=digest("stages.exports.export_parquet"),
        terms=owned_terms,
    shell:
        "python -m workflow_scripts.stages.exports.export_parquet "
        "--name {wildcards.owner} "
        "--items {input.table:q} "
        "--shards {input.shards:q} "
        "--terms {params.terms:q} "
        "--output {output.folder:q} "
        f"{RECORD}"


rule export_webdataset:
    input:
        unpack(items_of),
    output:
        folder=directory("results/{owner}/exports/webdataset"),
        record=record_of("export_webdataset/{owner}"),
    log:
        log_of("export_webdataset/{owner}"),
    benchmark:
        benchmark_of("export_webdataset/{owner}")
    wildcard_constraints:
        owner="|".join([*WITH_FACES, *CONFIG.experiments]) or "(?!)",
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        code=digest("stages.exports.export_webdataset"),
    shell:
        "python -m workflow_scripts.stages.exports.export_webdataset "
        "--items {input.table:q} "
        "--shards {input.shards:q} "
        "--output {output.folder:q} "
        f"{RECORD}"
