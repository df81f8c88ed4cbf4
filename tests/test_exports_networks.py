"""Networks as ONNX: every kind of every family, run by onnxruntime alone and held against what the workflow does."""

import json
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from workflow_scripts.config.experiments import experiment_type
from workflow_scripts.core.cli import UserError
from workflow_scripts.stages.exports.export_network import export_network
from workflow_scripts.stages.exports.export_network import main as export_main
from workflow_scripts.systems._removal.exported import opened
from workflow_scripts.training.checkpoint import load_network, save_checkpoint

runtime = pytest.importorskip("onnxruntime", reason="networks are read back with onnxruntime: `make exports`")
onnx = pytest.importorskip("onnx", reason="networks are exported with onnx: `make exports`")

SIDE = 64
UNET = {"blocks": 5, "channels": 4, "max_channels": 8}
PIX2PIX = {"halvings": 3, "channels": 4, "max_channels": 8}
FLOW = {"mean": UNET, "unet": {"channels": [8, 16]}, "steps": 2}
GAN = {"latent": 8, "channels": 4}
COMPLETION = {
    "keypoints": {"unet": {"blocks": 3, "channels": 8, "max_channels": 8}},
    "regression": {"unet": UNET},
    "flow": FLOW | {"guidance": 2.0},
    "pii": {"side": SIDE, "channels": 4, "latent": 16},
    "de": {"side": SIDE, "channels": 4, "latent": 32, "style": 16},
}
SQUARES = {"size": 32, "categories": ["cat", "cup"]}
# name -> system, network, keys of the experiment, the inputs and outputs of the file
CASES = {
    "map": ("unmask", "map", {"map": {"unet": UNET}}, {"picture"}, ["probability", "map"]),
    "edit": (
        "unmask",
        "edit",
        {"map": {"unet": UNET}, "edit": {"unet": UNET, "fill": "around"}},
        {"picture"},
        ["composite", "map", "output"],
    ),
    "bordered": (
        "unmask",
        "edit",
        {"map": {"unet": UNET}, "edit": {"unet": UNET, "fill": "around", "border": {"margin": 1, "feather": 2.5}}},
        {"picture"},
        ["composite", "map", "output"],
    ),
    "sampled": (
        "unmask",
        "edit",
        {"map": {"unet": UNET}, "edit": {"unet": UNET, "sampling": FLOW}},
        {"picture", "noise"},
        ["composite", "map", "output"],
    ),
    "noise": (
        "moustache",
        "edit",
        {"map": {"unet": UNET, "mirror": True}, "edit": {"generator": PIX2PIX, "fill": "noise"}},
        {"picture", "noise"},
        ["composite", "map", "output"],
    ),
    "temporal": ("reenact", "render", {"render": PIX2PIX | {"temporal": True}}, {"drawing", "before"}, ["face"]),
    "references": ("reenact", "render", {"render": PIX2PIX | {"references": 2}}, {"drawing", "landmarks"}, ["face"]),
    "keypoints": ("diverse", "keypoints", COMPLETION, {"picture", "hole"}, ["points", "spread"]),
    "regression": ("diverse", "regression", COMPLETION, {"picture", "hole", "drawing"}, ["composite"]),
    "flow": ("diverse", "flow", COMPLETION, {"picture", "hole", "drawing", "uncertainty", "noise"}, ["composite"]),
    "pii": ("diverse", "pii", COMPLETION, {"picture", "hole", "drawing", "noise"}, ["composite"]),
    "de": ("diverse", "de", COMPLETION, {"picture", "hole", "drawing", "noise"}, ["composite"]),
    "rgb": (
        "objects",
        "rgb1",
        {"gan": GAN | {"labels": True}, "squares": SQUARES},
        {"noise", "class"},
        ["picture"],
    ),
    "masked": (
        "objects",
        "masked1",
        {"gan": GAN | {"architecture": "dcgan"}, "squares": SQUARES},
        {"noise", "class"},
        ["picture", "mask"],
    ),
    "segment": ("objects", "segment", {"segment": {"unet": UNET}, "squares": SQUARES}, {"picture"}, ["probability"]),
}


def write_checkpoints(folder: Path, system: str, network: str, keys: dict) -> Path:
    """Write an untrained network, and those that it is applied with, and return its checkpoint."""
    experiment = experiment_type(system)(system=system, **keys)
    build = import_module(f"workflow_scripts.systems.{system}.networks").build_network
    shapes = {"input": [SIDE, SIDE, 3], "target": [SIDE, SIDE, 3]}
    for name in (*experiment.beside(network), network):
        torch.manual_seed(0)
        built = build(name, experiment)
        if network == "flow":  # a new one paints nothing
            torch.nn.init.normal_(built.unet.head.weight, 0, 0.1)
        if getattr(built, "references", None):
            built.references.hold(torch.rand(2, 3, SIDE, SIDE) * 2 - 1, torch.rand(2, 68, 2) * SIDE)
        if name == "map":  # half of a picture is found to be an occluder
            with torch.no_grad():
                built.unet.head.bias -= built.eval()(torch.rand(2, 3, SIDE, SIDE) * 2 - 1).median()
        description = {"system": system, "network": name, "config": experiment.model_dump(mode="json"), "bases": {}}
        description |= {"shapes": shapes, "inputs": {}, "crops": {"faces": {"size": SIDE, "frame": "celeba"}}}
        save_checkpoint(folder / f"{name}.safetensors", folder / f"{name}.json", built, description)
    return folder / f"{network}.safetensors"


def export(folder: Path, case: str) -> tuple[Path, dict]:
    """Return the ONNX file of a case, and what the JSON beside it says."""
    checkpoint = write_checkpoints(folder, *CASES[case][:3])
    file, check = folder / "network.onnx", folder / "network.json"
    export_network(checkpoint, file, check, "own")
    return file, json.loads(check.read_text())


def run(file: Path, **given: np.ndarray) -> list[np.ndarray]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"]).run(None, given)


@pytest.mark.parametrize("case", CASES)
def test_every_network_is_written_and_computes_what_torch_does(tmp_path, case):
    system, network, _, inputs, outputs = CASES[case]
    file, check = export(tmp_path, case)
    model = onnx.load(file)
    assert {one.name for one in model.graph.input} == inputs == check["inputs"].keys()
    assert [one.name for one in model.graph.output] == outputs
    assert all(one.type.tensor_type.shape.dim[0].dim_param for one in model.graph.input)  # batches of any size
    told = {one.key: one.value for one in model.metadata_props}
    assert (told["system"], told["network"], told["experiment"]) == (system, network, "own")
    assert network in json.loads(told["sha256"]) and "trainedAlgorithmicMedia" in told["digital_source_type"]
    assert "excludes commercial use" in json.loads(told["licences"])["landmarks"]
    for name in outputs:
        assert check["difference"][name]["largest"] <= (1 if check["outputs"][name]["type"] == "uint8" else 0.01)


@pytest.mark.parametrize("case", ["edit", "bordered"])
def test_a_face_is_edited_as_the_workflow_does_it(tmp_path, face, case):
    from workflow_scripts.systems._removal.inference import find_occluders, paint_bare_faces
    from workflow_scripts.systems._removal.maps import border_weights, clean_map, mix

    file, _ = export(tmp_path, case)
    pictures = np.stack([cv2.resize(face[0], (SIDE, SIDE)), cv2.resize(face[0][:, ::-1], (SIDE, SIDE))])
    finder, painter = (load_network(tmp_path / f"{name}.safetensors", torch.device("cpu")) for name in ("map", "edit"))
    found = np.rint(find_occluders(finder, pictures) * 255).astype(np.uint8)
    maps = np.stack([clean_map(one) for one in found])
    assert 0 < (maps > 0).mean() < 1
    composite, our_maps, output = run(file, picture=pictures)
    assert (our_maps != maps).mean() < 1e-3
    (painted,) = paint_bare_faces(painter, pictures, maps)
    assert (np.abs(output.astype(int) - painted) > 1).mean() < 1e-2
    weights = np.stack([border_weights(one, painter.border) for one in our_maps])
    mixed = np.stack([mix(*one) for one in zip(pictures, output, weights, strict=True)])
    assert (np.abs(composite.astype(int) - mixed) > 1).mean() < 1e-3
    assert (composite[weights == 0] == pictures[weights == 0]).all() and (weights == 0).any()
    assert (composite[our_maps > 0] == output[our_maps > 0]).all()
    assert ((weights > 0) != (our_maps > 0)).any() == (case == "bordered")


def test_the_flow_completes_as_the_workflow_does_it(tmp_path, face):
    from workflow_scripts.faces.drawings import draw_face
    from workflow_scripts.systems._completion.guides import Guide
    from workflow_scripts.systems._completion.inference import complete_picture

    file, _ = export(tmp_path, "flow")
    picture, landmarks = cv2.resize(face[0], (SIDE, SIDE)), face[1] * SIDE / face[0].shape[0]
    hole = np.zeros((SIDE, SIDE), bool)
    hole[20:40, 10:50] = True
    network = load_network(tmp_path / "flow.safetensors", torch.device("cpu"))
    latents = np.random.default_rng(0).standard_normal((3, *network.latent_shape(SIDE))).astype(np.float32)
    ours = complete_picture(network, picture, hole, Guide(landmarks, 0.03), latents)
    (theirs,) = run(
        file,
        picture=np.stack([picture] * 3),
        hole=np.stack([hole.astype(np.uint8) * 255] * 3),
        drawing=np.stack([draw_face(landmarks, SIDE)] * 3),
        uncertainty=np.full(3, 0.03, np.float32),
        noise=latents,
    )
    assert np.abs(theirs.astype(int) - ours).max() <= 1
    assert (theirs[0] != theirs[1]).any() and (theirs[:, ~hole] == picture[~hole]).all()


@pytest.mark.parametrize("side", range(6))
def test_maps_are_opened_as_opencv_does(side):
    plane = (np.random.default_rng(side).random((3, 40, 40)) < 0.8).astype(np.uint8)
    expected = [cv2.morphologyEx(one, cv2.MORPH_OPEN, np.ones((max(side, 1),) * 2, np.uint8)) for one in plane]
    assert (opened(torch.from_numpy(plane).float()[:, None], side)[:, 0].numpy() == np.stack(expected)).all()


def test_what_cannot_be_exported_says_why(tmp_path, monkeypatch, capsys):
    checkpoint = write_checkpoints(tmp_path, *CASES["map"][:3])
    output = ["--output", str(tmp_path / "x.onnx"), "--check", str(tmp_path / "x.json")]
    with pytest.raises(UserError, match=r"no file .*other\.safetensors; write a checkpoint of"):
        export_main(["--checkpoint", str(tmp_path / "other.safetensors"), *output])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="onnxruntime is not installed; write `make exports`"):
        export_main(["--checkpoint", str(checkpoint), *output])
    assert not (tmp_path / "x.onnx").exists()


def test_a_file_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    from workflow_scripts.systems._removal import exported

    checkpoint = write_checkpoints(tmp_path, *CASES["map"][:3])

    def numbered(planes: torch.Tensor) -> torch.Tensor:  # a tracer takes the count for a constant
        return (planes[:, 0] * 255 * float(int(planes.shape[0]) == 2)).round().byte()

    monkeypatch.setattr(exported, "planes_to_bytes", numbered)
    with pytest.raises(UserError, match=r"does not compute what torch does: .*probability"):
        export_network(checkpoint, tmp_path / "x.onnx", tmp_path / "x.json")
    assert not (tmp_path / "x.onnx").exists() and not (tmp_path / "x.json").exists()


def test_the_sidecar_of_a_checkpoint_is_not_overwritten(tmp_path):
    checkpoint = write_checkpoints(tmp_path, *CASES["map"][:3])
    sidecar = checkpoint.with_suffix(".json")
    before = sidecar.read_bytes()
    with pytest.raises(UserError, match="would overwrite the checkpoint's sidecar"):
        export_network(checkpoint, tmp_path / "x.onnx", sidecar)
    assert sidecar.read_bytes() == before
