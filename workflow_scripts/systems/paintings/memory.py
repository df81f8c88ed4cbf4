"""How much memory each stage will need, by the sizes of the base model and the settings, and which settings would fit.

The tensors that are alive at once are counted in the computation itself, on tensors without values, so a model of any
size is asked in seconds. To them come the programs and libraries of a process, measured once.
"""

from collections.abc import Iterator

import torch

from workflow_scripts.systems._text_to_image.base_model import TYPES, BaseModel
from workflow_scripts.systems._text_to_image.diffusion import Diffusion
from workflow_scripts.systems._text_to_image.live_memory import peak_of, size_of
from workflow_scripts.systems.paintings.config import Experiment
from workflow_scripts.systems.paintings.networks import AdaptedUNet

# Bytes of RAM of a stage's process, with its libraries, beside the tensors: measured with the tiny model.
PROCESS = {
    "encode_images": 600_000_000,
    "encode_captions": 530_000_000,
    "train_network": 680_000_000,
    "score_captions": 580_000_000,
    "generate_pictures": 640_000_000,
}
SCORED = 4  # items that are scored at once
Predicted = dict[str, dict[str, int]]


def predict(experiment: Experiment, base: BaseModel, on_gpu: bool) -> Predicted:
    """Return stage -> `ram` and `device`, bytes at its peak; on a GPU those of tensors, without one 0.

    What is computed is counted in the type in which the base model is held.

    Args:
        experiment: its keys `pictures`, `generation` and `adapters` are used.
        base: the base model's description.
        on_gpu: whether networks run on a GPU.
    """
    stages = {
        "encode_images": lambda: _encoding(experiment, base),
        "encode_captions": lambda: _words(base),
        "train_network": lambda: _training(experiment, base),
        "score_captions": lambda: _denoising(experiment, base, SCORED),
        "generate_pictures": lambda: max(
            _words(base), _denoising(experiment, base, 2), _encoding(experiment, base, backwards=True)
        ),
    }
    return {name: _placed(PROCESS[name], count(), on_gpu) for name, count in stages.items()}


def alternatives(experiment: Experiment) -> Iterator[Experiment]:
    """Yield the experiment with settings that need less memory for its training, from the least change on."""
    size, training = experiment.pictures.size, experiment.adapters.training
    changes = [{"checkpointing": True}, {"training": training.model_copy(update={"accumulate": training.batch_size})}]
    changes += [{"frozen": "bf16"}]
    adapters = experiment.adapters
    for change in changes:
        if any(getattr(adapters, key) != value for key, value in change.items()):
            adapters = adapters.model_copy(update=change)
            yield experiment.model_copy(update={"adapters": adapters})
    while (size := size * 3 // 4 // 64 * 64) >= 128:
        pictures = experiment.pictures.model_copy(update={"size": size})
        yield experiment.model_copy(update={"adapters": adapters, "pictures": pictures})


def _placed(process: int, tensors: int, on_gpu: bool) -> dict[str, int]:
    """Return where the tensors of a stage lie; on their way to a GPU, networks are in RAM first."""
    return {"ram": process + tensors, "device": tensors if on_gpu else 0}


def _encoding(experiment: Experiment, base: BaseModel, backwards: bool = False) -> int:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    def encode() -> None:
        vae = AutoencoderKL.from_config(base.configs["vae"]).eval()
        with torch.no_grad():
            if backwards:
                vae.decode(torch.empty(1, *base.latent_shape(experiment.pictures.size)))
            else:
                vae.encode(torch.empty(1, 3, experiment.pictures.size, experiment.pictures.size))

    return peak_of(encode)


def _words(base: BaseModel) -> int:
    from transformers import CLIPTextConfig, CLIPTextModel

    def encode() -> None:
        network = CLIPTextModel(CLIPTextConfig(**base.configs["text_encoder"])).eval()
        with torch.no_grad():
            network(torch.zeros(1, len(base.empty), dtype=torch.int64))

    return peak_of(encode)


def _denoising(experiment: Experiment, base: BaseModel, items: int) -> int:
    def denoise() -> None:
        with torch.no_grad():
            _network(experiment, base).eval()(*_batch(experiment, base, items))

    return peak_of(denoise)


def _training(experiment: Experiment, base: BaseModel) -> int:
    settings, moments = experiment.adapters.training, [0]
    diffusion = Diffusion(base, experiment.adapters.predicts, experiment.adapters.min_snr)

    def step() -> None:
        network = _network(experiment, base)
        moments[0] = size_of(network, learned=True) * (2 + bool(settings.ema))
        latents, times, words = _batch(experiment, base, settings.batch_size // settings.accumulate)
        errors = diffusion.errors(network, latents, words, times, torch.randn_like(latents))
        (errors * diffusion.weights(times)).mean().backward()

    return peak_of(step) + moments[0]


def _network(experiment: Experiment, base: BaseModel) -> AdaptedUNet:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    usual = torch.get_default_dtype()
    torch.set_default_dtype(TYPES[experiment.adapters.frozen])  # so that it is never there in another type
    try:
        unet = UNet2DConditionModel.from_config(base.configs["unet"]).requires_grad_(False)
    finally:
        torch.set_default_dtype(usual)
    return AdaptedUNet(unet, experiment.adapters).train()


def _batch(experiment: Experiment, base: BaseModel, items: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    latents = torch.empty(items, *base.latent_shape(experiment.pictures.size))
    return latents, torch.zeros(items, dtype=torch.int64), torch.empty(items, *base.empty.shape)
