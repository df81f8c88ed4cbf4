"""`paintings` from captioned pictures to adapters that diffusers loads, on a model that the workflow makes itself."""

import gzip
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from projects import ROOT, Project
from safetensors.torch import load_file
from test_coco import Coco

pytest.importorskip("diffusers", reason="adapters on a text-to-picture model are tested after `make paintings`")
pytest.importorskip("peft", reason="adapters on a text-to-picture model are tested after `make paintings`")

import torch
from transformers import CLIPConfig, CLIPModel

from workflow_scripts.commands.paint import main as paint
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.marking import SOURCE_TYPE
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.neighbours import shrunk
from workflow_scripts.stages.experiments.train_network import main as train_network
from workflow_scripts.systems._text_to_image.agreement import agreements
from workflow_scripts.systems._text_to_image.base_model import latents_of, load_unet, load_vae, picture_of, read_base
from workflow_scripts.systems._text_to_image.config import BaseModelFolder
from workflow_scripts.systems._text_to_image.diffusion import Diffusion
from workflow_scripts.systems._text_to_image.sampling import Wish, start_noise
from workflow_scripts.systems._text_to_image.tiny import write_tokenizer
from workflow_scripts.systems.paintings.config import Experiment

THIRDS = {"train": 0.4, "val": 0.3, "test": 0.3}


def configuration() -> dict:
    """Return the preset, and a shorter experiment on COCO's captions that learns the noise and has a CLIP."""
    config = yaml.safe_load((ROOT / "presets/paintings-tiny.yaml").read_text())
    paintings = config["experiments"]["paintings"]
    paintings["evaluation"] = {"features": []}
    paintings["memory"] = {"ram_gb": 8}
    config["sources"]["coco"] = {"type": "coco", "path": "coco", "set": "val2017", "split": THIRDS}
    config["experiments"]["words"] = paintings | {
        **{"train": ["coco"], "test": ["coco"], "pictures": {"size": 32, "captions": 2}, "base": {"path": "base"}},
        "adapters": {"predicts": "epsilon", "min_snr": 5, "training": {"epochs": 2, "precision": "fp32"}},
        "generation": {"prompts": ["a red square", "green"], "seeds": [0], "steps": 4},
        "evaluation": {"features": [], "clip": "clip"},
    }
    return config


def write_coco(root: Path) -> None:
    """Write coloured noise, of which each picture but the last has two captions."""
    made, rng = Coco(pictures=12), np.random.default_rng(0)
    colours = {"red": (200, 40, 40), "green": (40, 170, 50), "blue": (45, 60, 200)}
    said = [list(colours)[number % 3] for number in range(12)]
    made.annotations["captions"] = [
        {"id": 2 * number + second, "image_id": number + 1, "caption": f"{text} {colour}"}
        for number, colour in enumerate(said[:-1])
        for second, text in enumerate(("something", "a picture in"))
    ]
    made.write(root)
    for name, colour in zip(made.names, said, strict=True):
        noise = rng.integers(-30, 30, (40, 60, 1)) + np.array(colours[colour])
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(root / made.set / name)


def write_base(tiny: Path, folder: Path) -> None:
    """Write a base model of one's own, which predicts the noise and has none that leaves nothing of a picture."""
    shutil.copytree(tiny, folder)
    path = folder / "scheduler/scheduler_config.json"
    noise = json.loads(path.read_text()) | {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
    path.write_text(json.dumps(noise))


def write_clip(folder: Path) -> None:
    """Write a CLIP of random weights, whose tokenizer knows little but letters."""
    (folder / "vocabulary.gz").write_bytes(gzip.compress(b"#version\nr e"))
    write_tokenizer(folder / "vocabulary.gz", folder / "clip", 24)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = {"vocab_size": 600, "max_position_embeddings": 24, "bos_token_id": 513, "eos_token_id": 514}
    torch.manual_seed(0)
    pictures = {"image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=sizes | words, vision_config=sizes | pictures)).save_pretrained(folder / "clip")


@pytest.fixture(scope="module")
def made(made_once, astronaut, store) -> Project:
    """A project run to the page."""

    def fill(folder: Path) -> None:
        project = Project.create(folder, astronaut, photos=False)
        write_coco(folder / "coco")
        write_clip(folder)
        config = configuration()
        project.configure(config | {"experiments": {"paintings": config["experiments"]["paintings"]}})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACE_WORKFLOW_STORE", str(store))  # also for `test_every_key.py`
            project.said("results/weights/tiny_base")
        write_base(folder / "results/weights/tiny_base", folder / "base")
        project.configure(config)
        project.said()

    return Project(made_once("paintings", fill))


@pytest.fixture(scope="module")
def results(made) -> Path:
    return made.root / "results"


@pytest.fixture
def here(made, monkeypatch) -> None:
    """Be in the project, where the paths of the tiny base model hold."""
    monkeypatch.chdir(made.root)


def page_of(results: Path) -> str:
    return (results / "overview.html").read_text()


def described(results: Path):
    return read_base(results / f"weights/{BaseModelFolder().name}.safetensors")


def test_items_are_conserved_and_flips_are_items_of_their_own(results):
    index = set(read_table(results / "captioned/index.parquet")["item"])
    latents, captions = (Shard(results / f"paintings/{kind}/captioned/00000.arrow") for kind in ("latents", "captions"))
    lost = read_table(results / "paintings/quarantine.parquet")
    assert {*latents.items, *lost.loc[lost["stage"] == "encode_images", "item"]} == index == set(captions.items)
    assert sorted(latents.row_numbers()) == sorted((item, variant) for item in index for variant in (0, 1))
    plain, mirrored = (latents.tensor("image", latents.row_numbers()[latents.items[0], n]) for n in (0, 1))
    assert (plain == mirrored[:, ::-1]).all()


def test_it_learns_from_pictures_what_held_out_ones_with_their_captions_are(results):
    curves = read_table(results / "paintings/curves/adapters.parquet")
    loss = curves[(curves["split"] == "val") & (curves["name"] == "loss")]["value"]
    assert loss.iloc[-1] < loss.iloc[0]
    rows = read_table(results / "paintings/metrics.parquet")
    test = rows[rows["split"] == "test"]
    assert len(test) and test["loss"].mean() < test["loss_base"].mean()


def train_command(results: Path, out: Path) -> list[str]:
    loop = {"epochs": 2, "batch_size": 16, "accumulate": 2, "save_every": 2, "precision": "bf16", "preview_items": 2}
    experiment = {
        **{"system": "paintings", "train": ["captioned"], "test": ["captioned"]},
        "pictures": {"size": 32, "flips": True},
        "adapters": {"rank": 4, "frozen": "bf16", "caption_dropout": 0.3, "min_snr": 5, "training": loop},
    }
    shards = sorted(results.glob("paintings/latents/*/*.arrow")) + sorted(results.glob("paintings/captions/*/*.arrow"))
    options = {
        **{"experiment": json.dumps(experiment), "network": "adapters", "seed": 1, "code": "code:a,lock:b"},
        **{"splits": results / "paintings/training.parquet", "output": out / "adapters.safetensors"},
        **{"sidecar": out / "adapters.json", "curves": out / "curves.parquet", "previews": out / "previews"},
        **{"resume": out / "resume", "live": out / "live"},
        "weights": results / f"weights/{BaseModelFolder().name}.safetensors",
    }
    return [
        *(text for key, value in options.items() for text in (f"--{key}", str(value))),
        "--shards",
        *map(str, shards),
    ]


@pytest.mark.usefixtures("here")
def test_a_training_that_was_told_to_stop_goes_on_as_if_it_had_not(results, tmp_path, capfd):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    command = [sys.executable, "-m", "workflow_scripts.stages.experiments.train_network"]
    process = subprocess.Popen([*command, *train_command(results, stopped)], stderr=subprocess.PIPE, text=True)
    while not (stopped / "resume/state.safetensors").is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 1 and "error: stopped at step" in process.stderr.read()
    for out in (stopped, whole):
        train_network(train_command(results, out))
        assert ("adapters: going on from step" in capfd.readouterr().err) == (out == stopped)
    state, again = (load_file(out / "adapters.safetensors") for out in (whole, stopped))
    assert state.keys() == again.keys() and all(torch.equal(state[name], again[name]) for name in state)
    assert read_table(whole / "curves.parquet").equals(read_table(stopped / "curves.parquet"))


def test_latents_of_the_tiny_base_keep_colours(results):
    vae = load_vae(results / "weights/tiny_base", torch.device("cpu"))
    for colour in ((200, 40, 40), (40, 170, 50), (45, 60, 200)):
        square = torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(3, 32, 32) / 127.5 - 1
        painted = picture_of(vae, latents_of(vae, square)[0], scaling=1.0)
        assert painted.float().mean(dim=(0, 1)).numpy() == pytest.approx(colour, abs=40)


def test_colours_follow_the_words(results):
    samples = Shard(results / "paintings/samples/adapters/00000.arrow")
    names = ["red", "green", "blue"]
    shown = [names[samples.tensor("image", row).mean(axis=(0, 1)).argmax()] for row in range(12)]
    said = [prompt.split()[1] for prompt in samples.scalars("prompt")]
    assert said == [name for name in names for _ in range(4)]
    assert sum(one == other for one, other in zip(shown, said, strict=True)) >= 9


def test_held_out_pictures_are_compared_with_all_training_pictures_as_generated_ones_are(results):
    home = results / "paintings"
    held, latents = Shard(home / "held_out/adapters/00000.arrow"), Shard(home / "latents/captioned/00000.arrow")
    splits, training = read_table(home / "splits.parquet"), read_table(home / "training.parquet")
    assert set(held.items) == set(splits["item"][(splits["split"] == "test") & splits["scored"]]) and len(held) > 0
    trained = set(training["item"][training["split"] == "train"])
    known = [
        shrunk(latents.tensor("image", row)) for (item, _), row in latents.row_numbers().items() if item in trained
    ]
    for item, distance in zip(held.items, held.scalars("nearest_distance"), strict=True):
        own = shrunk(latents.tensor("image", latents.row_numbers()[item, 0]))
        assert distance == pytest.approx(min(np.sqrt(np.square(own - one).mean()) for one in known), abs=0.01)
    told = json.loads((home / "metrics.json").read_text())["generated"]["copies"]["test"]
    assert told == pytest.approx(np.median(held.scalars("nearest_distance")))


def test_captions_of_coco_teach_the_noise_and_a_clip_says_how_well_pictures_agree(results):
    captions = Shard(results / "words/captions/coco/00000.arrow")
    assert set(captions.scalars("captions")) == {2} and len(captions) == 11
    lost = read_table(results / "words/quarantine.parquet")
    assert lost[["stage", "reason"]].to_numpy().tolist() == [["encode_images", "no caption"]]
    sidecar = json.loads((results / "words/checkpoints/adapters.json").read_text())
    assert sidecar["config"]["adapters"]["predicts"] == "epsilon" and sidecar["config"]["adapters"]["min_snr"] == 5
    assert read_table(results / "words/metrics.parquet")[["loss", "loss_base"]].notna().all(axis=None)
    generated = json.loads((results / "words/metrics.json").read_text())["generated"]
    samples = Shard(results / "words/samples/adapters/00000.arrow")
    assert generated["agreement"] == pytest.approx(np.mean(samples.scalars("agreement")))
    assert -1 <= generated["base_agreement"] <= 1 and generated["base_agreement"] != generated["agreement"]
    assert f"cosine of CLIP's features: {generated['agreement']:.3f}".replace("-", "−") in page_of(results)


def test_generated_pictures_are_marked_and_those_of_the_shard(results):
    samples = Shard(results / "paintings/samples/adapters/00000.arrow")
    paths = sorted((results / "paintings/generated/adapters").glob("*.png"))
    assert len(paths) == len(samples) == 12
    for row, path in enumerate(paths):
        assert SOURCE_TYPE in Image.open(path).info["XML:com.adobe.xmp"]
        assert (np.asarray(Image.open(path)) == samples.tensor("image", row)).all()


@pytest.mark.usefixtures("here")
def test_diffusers_loads_the_adapters_and_paints_the_same_picture(results):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    base, folder = described(results), results / "paintings/lora/adapters"
    pipe = StableDiffusionPipeline.from_pretrained(base.folder, local_files_only=True)
    pipe.scheduler = DDIMScheduler.from_config(base.configs["scheduler"])
    pipe.load_lora_weights(folder)
    pipe.set_progress_bar_config(disable=True)
    samples = Shard(results / "paintings/samples/adapters/00000.arrow")
    wish = Wish(samples.scalars("prompt")[5], samples.scalars("seed")[5])
    with torch.inference_mode():
        shown = pipe(
            wish.prompt,
            latents=start_noise(wish, (4, 8, 8))[None],
            num_inference_steps=20,
            guidance_scale=3.0,
            output_type="np",
        ).images[0]
    # Ours is rounded to whole levels, which is at most half of one.
    assert np.abs(shown - samples.tensor("image", 5) / 255).max() <= 0.5 / 255 + 1e-4
    card = (folder / "README.md").read_text()
    assert base.sha256 in card and "rank, alpha | 16, 16" in card


@pytest.mark.usefixtures("here")
def test_a_prompt_of_ones_own_gives_the_picture_that_the_workflow_gives(results, tmp_path, capsys):
    checkpoint = results / "paintings/checkpoints/adapters.safetensors"
    words = ["a red brick texture", "--seeds", "1", "--steps", "20", "--guidance", "3", "--gpus", "0"]
    paint([str(checkpoint.parent), *words, "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    assert path.name == "001_a_red_brick_texture_1.png" and str(path) in capsys.readouterr().out
    samples = Shard(results / "paintings/samples/adapters/00000.arrow")
    assert (np.asarray(Image.open(path)) == samples.tensor("image", 1)).all()
    with pytest.raises(UserError, match=r"nowhere lacks unet/config.json"):
        paint([str(checkpoint), *words, "--output", str(tmp_path), "--base", "nowhere"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--steps", "2000"), "--steps 2000: input should be less than or equal to 1000"),
        (("--guidance", "nan"), "--guidance nan: input should be greater"),
        ((), "no checkpoint is there; write the folder"),
    ],
)
def test_wrong_words_for_painting_end_in_one_line(tmp_path, wrong, said):
    with pytest.raises(UserError, match=said):
        paint([str(tmp_path / "adapters.safetensors"), "a texture", "--output", str(tmp_path), *wrong])


def test_each_stage_takes_the_memory_that_was_predicted(results):
    table = {row["stage"]: row for row in json.loads((results / "paintings/tables/memory/memory.json").read_text())}
    assert {"encode_images", "encode_captions", "train_network", "generate_pictures", "score_captions"} <= set(table)
    for name in ("train_network", "score_captions"):
        assert table[name]["ram"] == pytest.approx(table[name]["predicted_ram"], rel=0.1), name
    page = page_of(results)
    assert "<h3>Memory</h3>" in page and 'id="paintings-pictures"' in page


def test_what_does_not_fit_is_refused_with_settings_that_would(made, tmp_path):
    project = made.copy(tmp_path / "small")
    config = project.config()
    experiment = config["experiments"]["paintings"]
    experiment["memory"] = {"ram_gb": 0.9}
    experiment["pictures"]["size"] = 128
    project.configure(config)
    done = project.run("results/paintings/captions/captioned/00000.arrow")
    said = done.stdout + done.stderr + (project.root / "results/logs/predict_memory/paintings.log").read_text()
    assert done.returncode and "Traceback" not in said
    assert re.search(
        r"error: memory: train_network will need \d\.\d GB \(ram\), and `ram_gb` is 0.9; these would fit", said
    )
    assert "adapters.checkpointing=true" in said


def test_a_base_model_that_is_not_whole_or_another_one_is_refused(made, tmp_path, results):
    whole = Experiment(system="paintings", base={"path": str(results / "weights/tiny_base")})
    whole.check_files()
    with pytest.raises(
        UserError, match=r"base.path: .* lacks unet/config.json, .*put a whole text-to-picture model there"
    ):
        Experiment(system="paintings", base={"path": str(tmp_path)}).check_files()
    from workflow_scripts.stages.text_to_image.describe_base import describe_base

    other = BaseModelFolder(path=str(results / "weights/tiny_base"), sha256="0" * 64)
    with pytest.raises(UserError, match=rf"has the SHA-256 {described(results).sha256}"):
        describe_base(other, tmp_path / "base.safetensors")


def test_keys_that_latents_cannot_have_are_refused():
    experiment = Experiment(system="paintings", generation={"prompts": ["a"]}, adapters={"training": {"jitter": 0.1}})
    with pytest.raises(ValueError, match="latents cannot be changed so"):
        experiment.check("experiments.mine", {})
    with pytest.raises(ValueError, match="needs a text"):
        Experiment(system="paintings").check("experiments.mine", {})


def test_a_clip_that_is_not_whole_or_damaged_is_refused(made, tmp_path):
    clip = tmp_path / "clip"
    shutil.copytree(made.root / "clip", clip)
    (clip / "merges.txt").write_text("#version\n\n")
    picture = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(UserError, match=r"evaluation.clip: .*clip cannot be used \(.*put a CLIP there"):
        agreements(str(clip), ["red"], [(picture, picture)], torch.device("cpu"))
    (clip / "vocab.json").unlink()
    with pytest.raises(UserError, match=r"clip lacks vocab.json; put a CLIP there"):
        Experiment(system="paintings", evaluation={"clip": str(clip)}).check_files()


@pytest.mark.usefixtures("here")
def test_noise_alone_is_not_asked_for_the_noise(results):
    with pytest.raises(UserError, match=r"adapters.predicts: .*write `predicts: v_prediction`"):
        Diffusion(described(results), "epsilon")


def test_a_base_model_of_other_weights_than_its_configuration_says_is_refused(made, tmp_path):
    shutil.copytree(made.root / "results/weights/tiny_base/unet", tmp_path / "unet")
    config = json.loads((tmp_path / "unet/config.json").read_text())
    (tmp_path / "unet/config.json").write_text(json.dumps(config | {"layers_per_block": 2}))
    with pytest.raises(UserError, match=r"unet/diffusion_pytorch_model.safetensors cannot be used \(.*Missing key"):
        load_unet(tmp_path)
