"""Stage: predict how much memory each stage will need, and refuse settings that do not fit, before anything runs."""

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.files import write_json
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems import system_module
from workflow_scripts.systems._text_to_image.base_model import BaseModel, read_base
from workflow_scripts.systems._text_to_image.config import Limits
from workflow_scripts.systems._text_to_image.live_memory import CONTEXT

GB = 1e9


def predict_memory(experiment: BaseExperiment, base: Input, gpus: int, output: Output) -> None:
    """Write stage -> `ram` and `device`, the bytes that it will need at its peak.

    Args:
        experiment: all of its keys on which memory depends, and its limits, `memory`.
        base: the description of the base model.
        gpus: whether networks will run on a GPU.
        output: JSON.

    Raises:
        UserError: a stage will need more than there is; the line names settings that would fit.
    """
    described = read_base(base)
    found = _predict(experiment, described, gpus)
    over = _over(found, experiment.memory)
    if over:
        raise cli.UserError(f"memory: {over}; {_remedy(experiment, described, gpus)}")
    write_json(output, found)


def _predict(experiment: BaseExperiment, base: BaseModel, gpus: int) -> dict[str, dict[str, int]]:
    (network,) = experiment.networks
    settings = experiment.settings_of(network).training
    on_gpu = settings.device == "cuda" or (settings.device == "auto" and bool(gpus))
    return system_module(experiment.system, "memory").predict(experiment, base, on_gpu)


def _over(predicted: dict[str, dict[str, int]], limits: Limits) -> str:
    """Return what needs more than there is, in words; nothing if all fits."""
    lines = []
    for kind, limit, beside in (("ram", limits.ram_gb, 0), ("device", limits.device_gb, CONTEXT)):
        stage = max(predicted, key=lambda name: predicted[name][kind])
        need = (predicted[stage][kind] + beside) / GB if predicted[stage][kind] else 0
        if limit is not None and need > limit:
            lines.append(f"{stage} will need {need:.1f} GB ({kind}), and `{kind}_gb` is {limit:g}")
    return ", ".join(lines)


def _remedy(experiment: BaseExperiment, base: BaseModel, gpus: int) -> str:
    """Return the settings that would fit."""
    memory = system_module(experiment.system, "memory")
    for other in memory.alternatives(experiment):
        if not _over(_predict(other, base, gpus), experiment.memory):
            return f"these would fit: {_changes(experiment, other)}"
    return "nothing that can be set would fit; use a smaller base model, or a machine with more"


def _changes(old, new, prefix: str = "") -> str:
    """Return the changed keys and their values, as `--config set=` takes them."""
    found = []
    for key in type(new).model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if hasattr(after, "model_fields") and before is not None:
            found.append(_changes(before, after, f"{prefix}{key}."))
        elif before != after:
            found.append(f"{prefix}{key}={str(after).lower()}")
    return " ".join(filter(None, found))


main = stage_command(predict_memory)


if __name__ == "__main__":
    cli.run(main)
