"""Networks as ONNX files, and whether such a file computes what torch does.

The exporter is torch's older one, which traces. The newer one (torch 2.13 with onnxscript 0.7) could not write four of
ten of our networks for batches of any size, and took ten times as long for the others.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.training.exported import Exported, Given

OPSET = 20  # the first with all operators that the networks need
TRACED, COMPARED = 2, (1, 3)  # items of a batch
TOLERANCE = {"uint8": 1, "float32": 0.01}  # grey levels; pixels of a landmark
MOST = 1e-3  # share of the values that may differ more: of a map, a pixel that is as likely as not


class Difference(NamedTuple):
    """How far an output of the file is from torch's.

    Attributes:
        largest: absolute difference, in grey levels, or in pixels of landmarks.
        beyond: share of the values that differ by more than `TOLERANCE`.
    """

    largest: float
    beyond: float


def write_onnx(exported: Exported, path: Path, facts: Mapping[str, object]) -> list[str]:
    """Write a network, which takes batches of any size, and return the names of the inputs that it looks at.

    Args:
        exported: in evaluation mode, on the CPU.
        path: the file.
        facts: metadata; what is no text is written as JSON.

    Raises:
        UserError: a package is missing.
    """
    onnx, _ = packages()
    names = [*exported.inputs, *exported.outputs]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's, of sizes that it takes for constants, and its age
        torch.onnx.export(
            exported,
            tuple(draw_inputs(exported.inputs, TRACED).values()),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(exported.inputs),
            output_names=list(exported.outputs),
            dynamic_axes={name: {0: "batch"} for name in names},
        )
    model = onnx.load(path)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    onnx.helper.set_model_props(model, texts | exported.notes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return [one.name for one in model.graph.input]


def compare(exported: Exported, path: Path) -> dict[str, Difference]:
    """Return for each output how far the file's, by onnxruntime, is from torch's, for batches of several sizes.

    Raises:
        UserError: a package is missing.
    """
    _, runtime = packages()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # as a job has
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    looked_at = [one.name for one in session.get_inputs()]
    found: dict[str, list[tuple[np.ndarray, str]]] = {name: [] for name in exported.outputs}
    for count in COMPARED:
        given = draw_inputs(exported.inputs, count)
        with torch.inference_mode():
            wanted = [one.numpy() for one in exported(*given.values())]
        got = session.run(list(exported.outputs), {name: given[name].numpy() for name in looked_at})
        for name, ours, theirs in zip(exported.outputs, wanted, got, strict=True):
            found[name].append((np.abs(theirs.astype(np.float64) - ours).ravel(), str(ours.dtype)))
    return {name: _difference(parts) for name, parts in found.items()}


def _difference(parts: list[tuple[np.ndarray, str]]) -> Difference:
    values, kind = np.concatenate([values for values, _ in parts]), parts[0][1]
    return Difference(float(values.max()), float((values > TOLERANCE[kind]).mean()))


def draw_inputs(inputs: Mapping[str, Given], count: int) -> dict[str, Tensor]:
    """Return inputs of so many items, drawn by their names and numbers alone."""
    return {
        name: torch.from_numpy(np.stack([_drawn(name, given, number) for number in range(count)]))
        for name, given in inputs.items()
    }


def _drawn(name: str, given: Given, number: int) -> np.ndarray:
    rng = item_rng(0, f"{name} {number}", "export")
    if given.kind == "picture":  # smooth colours
        coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
        return cv2.resize(coarse, given.shape[:2], interpolation=cv2.INTER_CUBIC)
    if given.kind == "plane":  # a rectangle
        plane, size = np.zeros(given.shape, np.uint8), given.shape[0]
        top, left = rng.integers(0, size // 2, 2)
        height, width = rng.integers(size // 4, size // 2, 2)
        plane[top : top + height, left : left + width] = 255
        return plane
    if given.kind == "number":
        return np.asarray(rng.integers(0, given.below), np.int64)
    if given.kind == "points":
        return rng.uniform(0, given.below, given.shape).astype(np.float32)
    return np.asarray(rng.standard_normal(given.shape) if given.kind == "noise" else 0.1 * rng.random(), np.float32)


def packages():
    """Return the modules `onnx` and `onnxruntime`.

    Raises:
        UserError: one is missing.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"networks are exported with onnx and onnxruntime, and {error.name} is not installed; write `make exports`"
        ) from error
    return onnx, onnxruntime
