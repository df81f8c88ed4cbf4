"""Check the whole configuration at the start. If a key is wrong, say what to write instead, and run nothing."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Union, get_args

import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from workflow_scripts.config.base import NAME, Model
from workflow_scripts.config.experiments import experiment_type, system_names
from workflow_scripts.config.sources import NEEDS, PairsSource, Source, WeightDigests, Weights
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import sha256_of
from workflow_scripts.provenance.runs import input_problem

# Folders of results/ that belong to no source and no experiment, so that none can have their names.
RESERVED = ("logs", "benchmarks", "records", "weights", "report")
SLOWEST = 5  # frames a second of which flow can be found
Name = Annotated[str, Field(pattern=NAME)]
Experiment = Annotated[Union[tuple(map(experiment_type, system_names()))], Field(discriminator="system")]  # noqa: UP007 (the types are found at run time)


class Config(Model):
    """The root of `config.yaml`."""

    seed: int = Field(1, ge=0, description="every random choice derives from it and the item's name")
    shard_size: int = Field(2000, ge=1, le=20_000, description="largest mean number of files a job works on")
    sources: dict[Name, Source] = Field(min_length=1, description="inputs, by the name of their folder in `results/`")
    experiments: dict[Name, Experiment] = Field(
        {}, description="trained systems, by the name of their folder in `results/`; none: tables and crops alone"
    )
    weights: Weights = Weights()
    weights_sha256: WeightDigests = WeightDigests()

    @model_validator(mode="after")
    def _names_fit_together(self):
        for name in (*self.sources, *self.experiments):
            if name in RESERVED or (name in self.sources and name in self.experiments):
                raise ValueError(f"the name {name!r} is taken; rename it, for example `{name}_1:`")
        for key, path in self.weights:
            if path is not None and (problem := input_problem(path)):
                raise ValueError(f"weights.{key}: {path}: {problem}")
        for name, source in self.sources.items():
            self._check_place(name, source)
            self._check_needs(name, source)
            self._check_faces(f"sources.{name}.faces", source)
        for name, experiment in self.experiments.items():
            self._check_experiment(name, experiment)
        return self

    def _check_place(self, name: str, source) -> None:
        results = Path("results").resolve()
        for key in ("path", "clean", "occluded"):
            if path := getattr(source, key, None):
                place = Path(path).resolve()
                is_around = results.is_relative_to(place) and source.type in ("folder", "video", "pairs")
                if place.is_relative_to(results) or is_around:
                    raise ValueError(
                        f"sources.{name}.{key}: {path} and results/ lie one in the other, so each run would find new "
                        "files; put the source elsewhere"
                    )

    def _check_needs(self, name: str, source) -> None:
        needs = self.needs_of(name)
        for need, has, types in (
            ("objects", source.has_objects, "type coco has"),
            ("captions", source.has_captions, "types coco and folder has"),
        ):
            if need in needs and not has:
                raise ValueError(
                    f"sources.{name}: only a source of {types} {need}; leave it out of `needs:`, or use another source "
                    "in the experiment that needs it"
                )
        if "motion" in self.needs_of(name):
            self._check_motion(f"sources.{name}", source)

    def _check_motion(self, here: str, source) -> None:
        if not hasattr(source, "motion"):
            raise ValueError(
                f"{here}: only videos and sources of type davis have motion; leave it out of `needs:`, or use another "
                "source in the experiment that needs it"
            )
        if getattr(source, "per_second", None) is not None and source.per_second < SLOWEST:
            raise ValueError(
                f"{here}.per_second: motion is seen between frames that follow each other closely; write `every: 1`, "
                f"or at least `per_second: {SLOWEST}`"
            )
        if source.subset < 1:
            raise ValueError(f"{here}.subset: motion needs all frames; leave `subset:` out")

    def _check_faces(self, here: str, source) -> None:
        detector, prior = source.faces.detector, source.faces.prior
        for key, path in self.weights.of_detector(detector).items():
            if path is None:
                raise ValueError(
                    f"{here}.detector: {detector} needs its weights, which are not downloaded; "
                    f"write `weights: {{{key}: path/of/the/file}}`"
                )
            if not Path(path).is_file():
                raise ValueError(f"weights.{key}: no file {path}; write the path of the file that you have")
            self._check_digest(key, path)
        if prior != "none" and source.type != "celeba" and source.given_faces is None:
            raise ValueError(
                f"{here}.prior: only a source of type celeba has {prior} of its own; write `prior: none`, or name a "
                "file that has them by `given_faces: …`"
            )
        if source.given_faces is not None:
            key = f"{here.removesuffix('.faces')}.given_faces"
            if prior == "none":
                raise ValueError(f"{here}.prior: given_faces is not used; write `faces: {{prior: boxes}}` or `points`")
            if not Path(source.given_faces).is_file():
                raise ValueError(f"{key}: no file {source.given_faces}; write the path of your file")
            if problem := input_problem(source.given_faces):
                raise ValueError(f"{key}: {source.given_faces}: {problem}")

    def _check_digest(self, key: str, path: str) -> None:
        wanted = getattr(self.weights_sha256, key)
        if wanted is None:
            return
        try:
            found = sha256_of(path)
        except OSError as error:
            raise ValueError(f"weights.{key}: {path} cannot be read ({error.strerror}); change its mode") from None
        if found != wanted:
            raise ValueError(
                f"weights.{key}: {path} has the SHA-256 {found}; use the file that you mean, or correct "
                f"`weights_sha256: {{{key}: …}}`"
            )

    def _check_experiment(self, name: str, experiment) -> None:
        here = f"experiments.{name}"
        for key in ("train", "test"):
            if not getattr(experiment, key):
                raise ValueError(
                    f"{here}.{key}: needs a source; write for example `{key}: [{next(iter(self.sources))}]`"
                )
        for key in ("train", "test", "apply"):
            for source in getattr(experiment, key):
                if source not in self.sources:
                    raise ValueError(f"{here}.{key}: no source {source!r}; write one of: {', '.join(self.sources)}")
        for source in experiment.train:
            if isinstance(self.sources[source], PairsSource):
                raise ValueError(
                    f"{here}.train: {source!r} holds given pairs, which only test; write `test: [{source}]`"
                )
        both = set(experiment.apply) & {*experiment.train, *experiment.test}
        if both:
            raise ValueError(
                f"{here}.apply: {min(both)!r} is trained or tested on too; give it a second source with the same path"
            )
        used = {*experiment.train, *experiment.test, *experiment.apply}
        sizes = {source: self.sources[source].crop.size for source in sorted(used)}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f"{here}: its sources have crops of different sizes {sizes}; write the same `crop: {{size: …}}` in each"
            )
        for network in experiment.networks:
            key = f"{here}.{experiment.key_of(network)}"
            experiment.settings_of(network).check_size(key, next(iter(sizes.values())))
            self._check_weights(f"{here}.{network}", experiment.weights_of(network))
        self._check_weights(f"{here}.evaluation", experiment.score_weights)
        experiment.check(here, self.sources)

    def _check_weights(self, where: str, names: Iterable[str]) -> None:
        for name in names:
            if name in Weights.model_fields and getattr(self.weights, name) is None:
                file = Weights.model_fields[name].description.partition(";")[0]
                raise ValueError(
                    f"{where}: {name} needs its weights, which are not downloaded; add `weights: {{{name}: PATH}}` "
                    f"({file}), or choose what needs no such file"
                )

    def needs_of(self, source: str) -> tuple[str, ...]:
        """Return what is made of a source beside its index, in the order of `NEEDS`."""
        users = [experiment for experiment in self.experiments.values() if source in experiment.used_sources]
        chosen = self.sources[source]
        own = chosen.needs if chosen.needs is not None else () if users else chosen.made_alone
        wanted = {*own, *(need for experiment in users for need in experiment.needs_of(chosen))}
        return tuple(need for need in NEEDS if need in wanted)

    def losing_stages(self, source: str) -> list[str]:
        """Return the stages that a source's items go through and that may quarantine them, in their order."""
        return [
            "index_source",
            *(stage for need in self.needs_of(source) for stage in self.sources[source].stages_of(need)),
        ]

    def sources_slice(self, experiment: str) -> str:
        """Return where the sources of an experiment lie, as canonical JSON: name -> source."""
        slices = (f'"{name}":{self.sources[name].slice()}' for name in self.experiments[experiment].used_sources)
        return "{" + ",".join(slices) + "}"


def load_config(values: dict[str, Any]) -> Config:
    """Check the values of a configuration.

    Raises:
        UserError: what is wrong; a line for each key, each with the remedy.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [_explain(fault) for fault in error.errors()]
        raise UserError("the configuration is not valid, nothing was run:", *dict.fromkeys(lines)) from None


def _explain(fault: dict) -> str:
    """Turn one of pydantic's faults into: the key, what is wrong, the line to write instead."""
    path, model = _follow(fault["loc"])
    where = ".".join(path) or "config"
    key = path[-1] if path else ""
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, model.model_fields, 1) if model else []
        known = ", ".join(model.model_fields) if model else ""
        return f"{where}: unknown key; " + (f"did you mean `{close[0]}:`?" if close else f"known keys here: {known}")
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}" if where != "config" else str(fault["ctx"]["error"])
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        tag = fault["ctx"]["discriminator"].strip("'")
        known = [name for name, model in _members().items() if tag in model.model_fields]
        return f"{where}: needs a known `{tag}:`; write one of: {', '.join(f'`{tag}: {name}`' for name in known)}"
    if fault["type"] == "string_pattern_mismatch" and fault["loc"][-1] == "[key]":
        fit = re.sub(r"\W+", "_", key.lower(), flags=re.ASCII).strip("_")
        fit = fit if re.match("[a-z]", fit) else f"my_{fit}".strip("_")
        return f"{where}: a name has small letters, digits and `_`, a letter first; write for example `{fit}:`"
    message = f"{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
    if fault["type"] in ("dict_type", "model_type", "model_attributes_type"):
        dash = ", without `- ` before them" if isinstance(fault["input"], list) else ""
        message = f"{where}: needs keys below it, each with a colon and a value{dash}"
    field = model.model_fields.get(key) if model else None
    if field is None:
        return message
    if fault["type"] in ("list_type", "tuple_type") and isinstance(fault["input"], str):
        return f"{where}: is a list; write `{key}: [{fault['input']}]`"
    if field.is_required():
        return f"{message}; write `{key}: …` ({field.description or type_name(field.annotation)})"
    return f"{message}; write for example `{key}: {inline_yaml(field.get_default(call_default_factory=True))}`"


def _follow(location: tuple) -> tuple[list[str], type[BaseModel] | None]:
    """Return the keys of a fault as the user wrote them, and the model in which the last one stands."""
    path = [str(part) for part in location if part != "[key]"]
    model: type[BaseModel] = Config
    if len(path) > 2 and path[0] in ("sources", "experiments"):  # pydantic has added the chosen type or system
        model = _members()[path.pop(2)]
        below = path[2:]
    else:
        below = path
    for key in below[:-1]:
        inner = model.model_fields[key].annotation if key in model.model_fields else None
        member = next((m for m in (inner, *get_args(inner)) if isinstance(m, type) and issubclass(m, BaseModel)), None)
        if member is None:
            return path, None
        model = member
    return path, model


def _members() -> dict[str, type[BaseModel]]:
    """Return the models of sources by their type and of experiments by their system."""
    sources = get_args(get_args(Source)[0])
    systems = map(experiment_type, system_names())
    tagged = [("type", model) for model in sources] + [("system", model) for model in systems]
    return {get_args(model.model_fields[key].annotation)[0]: model for key, model in tagged}


def type_name(annotation: Any) -> str:
    """Return the type of a key as the reference page shows it."""
    schema = TypeAdapter(annotation).json_schema()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return "list"
    if schema.get("type") == "object":
        return "mapping"
    return schema.get("type") or " or ".join(
        part.get("type", "one of the models below") for part in schema.get("anyOf", [{}])
    )


def inline_yaml(value: Any) -> str:
    """Return a value as it is written on one line of YAML."""
    plain = (
        value.model_dump(mode="json")
        if isinstance(value, BaseModel)
        else list(value)
        if isinstance(value, tuple)
        else value
    )
    if isinstance(plain, str):
        return plain
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("\n...\n").strip()
