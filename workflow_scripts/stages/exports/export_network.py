"""Stage: write a trained network as ONNX, with all that lies between it and bytes of pictures, compared with torch.

The file takes and gives RGB uint8 pictures, of the size that it was trained on; `systems/_{family}/exported.py` says
what else. Its metadata tell system, network, experiment, SHA-256 of the checkpoints, how faces were cut out, licences
and consent. The JSON beside it has them too, and

- `inputs`, `outputs`: name -> `type` and `shape` of one item; a batch has one more dimension in front
- `difference`: output -> `largest`, the absolute difference from torch, in grey levels or pixels of landmarks, and
  `beyond`, the share of values that differ by more than one level or a hundredth of a pixel
- `libraries`: versions
"""

from importlib import metadata

import torch
from torch import Tensor, nn

from workflow_scripts.config.experiments import experiment_type
from workflow_scripts.config.terms import NO_TERMS, Terms, consents, licences
from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path, read_json, sha256_of, write_json
from workflow_scripts.core.marking import SOURCE_TYPE
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems import family_module
from workflow_scripts.training.checkpoint import load_network, pretrained
from workflow_scripts.training.onnx_files import MOST, OPSET, compare, draw_inputs, packages, write_onnx


def export_network(
    checkpoint: Input, output: Output, check: Output, experiment: str = "", terms: dict[str, Terms] = NO_TERMS
) -> None:
    """Write a network as ONNX.

    Args:
        checkpoint: `{network}.safetensors`; its sidecar and the other networks of the experiment lie beside it.
        output: the ONNX file.
        check: JSON, as described above.
        experiment: its name, which the file tells.
        terms: source that was trained on -> what is said of it.

    Raises:
        UserError: a package is missing, `check` is the sidecar itself, the network is of a kind that is not exported,
            or the file does not compute what torch does.
    """
    packages()  # first, as the rest takes long
    described = checkpoint.with_suffix(".json")
    if check.resolve() == described.resolve():
        raise cli.UserError(f"--check {check} would overwrite the checkpoint's sidecar; name another file")
    torch.set_num_threads(1)
    loaded: dict[str, nn.Module] = {}

    def load(name: str) -> nn.Module:
        path = checkpoint.with_name(f"{name}.safetensors")
        if not path.is_file():
            raise cli.UserError(f"no file {path}; write a checkpoint of results/{{experiment}}/checkpoints")
        if name not in loaded:
            loaded[name] = load_network(path, torch.device("cpu")).to(memory_format=torch.contiguous_format)
        return loaded[name]

    load(checkpoint.stem)  # which also tells whether the sidecar can be used
    sidecar = read_json(described)
    keys = experiment_type(sidecar["system"])(**sidecar["config"])
    try:
        family = family_module(keys.family, "exported")
    except ModuleNotFoundError:
        raise cli.UserError(f"{checkpoint}: networks of the system {sidecar['system']!r} are not exported") from None
    exported = family.build_exported(sidecar["network"], load, keys, sidecar["shapes"]).eval().requires_grad_(False)
    facts = {
        "experiment": experiment,
        "system": sidecar["system"],
        "network": sidecar["network"],
        "sha256": {name: sha256_of(checkpoint.with_name(f"{name}.safetensors")) for name in sorted(loaded)},
        "crops": sidecar.get("crops", {}),
        "licences": licences(terms, pretrained(sidecar)),
        "consent": consents(terms),
        "digital_source_type": SOURCE_TYPE,
    }
    with atomic_path(output) as temporary:
        used = write_onnx(exported, temporary, facts)
        differences = compare(exported, temporary)
        wrong = {name: one for name, one in differences.items() if one.beyond > MOST}
        if wrong:
            raise cli.UserError(
                f"{output}: not written, as it does not compute what torch does: {wrong}; export it with the versions "
                "of envs/exports.lock"
            )
    given = draw_inputs(exported.inputs, 1)
    with torch.inference_mode():
        made = dict(zip(exported.outputs, exported(*given.values()), strict=True))
    write_json(
        check,
        facts
        | exported.notes
        | {
            "opset": OPSET,
            "inputs": {name: _form(given[name]) for name in used},
            "outputs": {name: _form(value) for name, value in made.items()},
            "difference": {name: one._asdict() for name, one in differences.items()},
            "libraries": {name: metadata.version(name) for name in ("torch", "onnx", "onnxruntime")},
        },
    )
    print(f"largest differences from torch: { {name: one.largest for name, one in differences.items()} }")


def _form(batch: Tensor) -> dict:
    return {"type": str(batch.dtype).removeprefix("torch."), "shape": list(batch.shape[1:])}


main = stage_command(export_network)


if __name__ == "__main__":
    cli.run(main)
