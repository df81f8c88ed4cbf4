"""`paintings` from captioned pictures to adapters that diffusers loads, on a model that the workflow makes itself."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from projects import ROOT, Project

pytest.importorskip("diffusers", reason="adapters on a text-to-picture model are tested after `make paintings`")
pytest.importorskip("peft", reason="adapters on a text-to-picture model are tested after `make paintings`")

import torch

from workflow_scripts.commands.paint import main as paint
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.marking import SOURCE_TYPE
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.neighbours import shrunk
from workflow_scripts.systems._text_to_image.base_model import latents_of, load_vae, picture_of, read_base
from workflow_scripts.systems._text_to_image.config import BaseModelFolder
from workflow_scripts.systems._text_to_image.sampling import Wish, start_noise
from workflow_scripts.systems.paintings.config import Experiment


def configuration() -> dict:
    """Return the preset, with what else there is to see."""
    config = yaml.safe_load((ROOT / "presets/paintings-tiny.yaml").read_text())
    config["experiments"]["paintings"]["evaluation"] = {"features": []}
    config["experiments"]["paintings"]["memory"] = {"ram_gb": 8}
    return config


@pytest.fixture(scope="module")
def made(made_once, astronaut) -> Project:
    """A project run to the page."""

    def fill(folder: Path) -> None:
        project = Project.create(folder, astronaut, photos=False)
        project.configure(configuration())
        project.said()

    return Project(made_once("paintings", fill))


@pytest.fixture(scope="module")
def results(made) -> Path:
    return made.root / "results"


@pytest.fixture
def here(made, monkeypatch) -> None:
    """Be in the project, where the paths of the tiny base model hold."""
    monkeypatch.chdir(made.root)


def described(results: Path):
    return read_base(next((results / "weights").glob("base_*.safetensors")))


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
    paint([str(checkpoint), *words, "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    assert path.name == "001_a_red_brick_texture_1.png" and str(path) in capsys.readouterr().out
    samples = Shard(results / "paintings/samples/adapters/00000.arrow")
    assert (np.asarray(Image.open(path)) == samples.tensor("image", 1)).all()
    with pytest.raises(UserError, match=r"nowhere lacks unet/config.json"):
        paint([str(checkpoint), *words, "--output", str(tmp_path), "--base", "nowhere"])


def test_each_stage_takes_the_memory_that_was_predicted(results):
    table = {row["stage"]: row for row in json.loads((results / "paintings/tables/memory/memory.json").read_text())}
    assert {"encode_images", "encode_captions", "train_network", "generate_pictures", "score_captions"} <= set(table)
    for name in ("train_network", "score_captions"):
        assert table[name]["ram"] == pytest.approx(table[name]["predicted_ram"], rel=0.1), name
    page = (results / "overview.html").read_text()
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
