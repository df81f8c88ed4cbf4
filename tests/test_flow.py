"""Flow matching: the formulas, a flow whose end is known, the network's shapes, and that it learns and can be moved."""

import numpy as np
import pytest
import torch

from workflow_scripts.models.flow_matching import draw_times, follow_flow, input_scale, loss_weight
from workflow_scripts.models.flow_unet import FlowUNet
from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.systems.diverse.config import Experiment, FlowNetwork
from workflow_scripts.systems.diverse.flow_training import FlowTraining
from workflow_scripts.systems.diverse.networks import build_network

torch.set_num_threads(1)  # small networks; more threads only wait for each other
BLOCKS = {"blocks": 5, "channels": 8, "norm": "group"}
SMALL = {"mean": BLOCKS, "detail": BLOCKS, "cell": 2, "unet": {"channels": [8, 16], "blocks": 1}, "perceptual": "none"}


def test_places_get_unit_variance_and_losses_their_weight():
    rng = torch.Generator().manual_seed(0)
    values, noise = torch.randn(200_000, generator=rng), torch.randn(200_000, generator=rng)
    for time in (0.05, 0.5, 0.7):
        place = time * values + (1 - time) * noise
        assert (input_scale(torch.tensor(time)) * place).std() == pytest.approx(1, abs=0.01)
        guess = (values @ place) / (place @ place) * place
        left = (values - guess).square().mean()
        assert loss_weight(torch.tensor(time)) == pytest.approx(1 / left.item(), rel=0.02)
    assert loss_weight(torch.tensor(0.5)) == 2 and loss_weight(torch.tensor(0.999)) == 8


def test_times_lie_within_their_limits():
    times = draw_times(10_000, torch.device("cpu"))
    assert times.min() > 0 and times.max() < 1 and 0.35 < times.median() < 0.55


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_flow_ends_at_what_is_predicted(steps):
    goal, noise = torch.full((2, 3, 4, 4), 0.7), torch.randn(2, 3, 4, 4)
    assert torch.allclose(follow_flow(lambda place, time: goal, noise, steps), goal, atol=1e-5)


def test_flow_of_a_gaussian_has_its_spread():
    """Values of N(2, 0.25): the expected value at each place is known, and the flow must give that distribution."""
    mean, sigma = 2.0, 0.5

    def predict(place, time):
        variance = (time * sigma) ** 2 + (1 - time) ** 2
        return mean + time * sigma**2 / variance * (place - time * mean)

    noise = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    values = follow_flow(predict, noise, 64)
    assert values.mean() == pytest.approx(mean, abs=0.02) and values.std() == pytest.approx(sigma, abs=0.03)


def test_unet_starts_at_zero_and_sees_its_numbers():
    torch.manual_seed(0)
    network = FlowUNet(7, 3, [8, 16, 16], numbers=2)
    x = torch.randn(2, 7, 32, 32)
    first, second = torch.tensor([0.1, 0.1]), torch.tensor([0.9, 0.9])
    assert network(x, first, second).shape == (2, 3, 32, 32) and not network(x, first, second).any()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    assert not torch.allclose(network(x, first, second), network(x, second, second))
    assert not torch.allclose(network(x, first, second), network(x, first, first))


def test_default_size():
    network = build_network("flow", Experiment(system="diverse"))
    assert sum(x.numel() for x in network.parameters()) == 7_037_765


def pictures(count: int = 8) -> dict[str, torch.Tensor]:
    """Grey pictures whose centre is a hole, which was nearly black or white."""
    batch = {"target": torch.zeros(count, 3, 32, 32), "hole": torch.zeros(count, 1, 32, 32)}
    batch["hole"][:, :, 8:24, 8:24] = 1
    colours = torch.tensor([[0.1, 0.0, -0.1], [-0.1, 0.1, 0.0], [0.0, -0.1, 0.1], [-0.1, 0.0, 0.1]])
    centres = torch.tensor([-0.5, 0.5]).repeat(count // 2)[:, None] + colours.repeat(count // 4, 1)
    batch["target"][:, :, 8:24, 8:24] = centres[:, :, None, None]
    batch["holed"] = batch["target"] * (1 - batch["hole"])
    batch["guide"], batch["uncertainty"] = torch.full((count, 3, 32, 32), -1.0), torch.zeros(count, 1, 1, 1)
    batch["seed"] = torch.arange(count)[:, None, None, None]
    return batch


@pytest.fixture(scope="module")
def learned() -> tuple[FlowTraining, torch.nn.Module]:
    """A network that has seen black and white centres."""
    torch.manual_seed(0)
    config = FlowNetwork(**SMALL, steps=8)
    network = build_network("flow", Experiment(system="diverse", flow=config))
    training = FlowTraining(config, network, None)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(250):
        (update,) = training.training_step(pictures(), None)
        optimizer.zero_grad()
        update.loss.backward()
        optimizer.step()
    return training, network.eval()


@torch.inference_mode()
def test_both_completions_are_found(learned):
    _, network = learned
    batch = pictures(16)
    latent = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    painted = network.complete(batch["holed"], batch["hole"], batch["guide"], batch["uncertainty"], latent)
    centres = painted[:, :, 10:22, 10:22].mean(dim=(1, 2, 3))
    assert (centres < -0.2).any() and (centres > 0.2).any()
    assert (centres.abs() > 0.2).float().mean() > 0.8  # and little between them
    nothing = network.complete(*(batch[name] for name in ("holed", "hole", "guide", "uncertainty")), 0 * latent)
    assert nothing[:, :, 10:22, 10:22].mean(dim=(1, 2, 3)).std() < 1e-5  # the knob at 0 gives one completion


@torch.inference_mode()
def test_watched_loss_is_the_same_each_time(learned):
    training, network = learned
    first, second = (training.validate(network, pictures())["flow"] for _ in range(2))
    assert torch.equal(first, second) and first.shape == (8,) and first.mean() < 1.5


def test_guidance_of_one_equals_the_guided_network():
    torch.manual_seed(0)
    networks = [
        build_network("flow", Experiment(system="diverse", flow=FlowNetwork(**SMALL, guidance=guidance)))
        for guidance in (1, 1.0 + 1e-9, 0, 3)
    ]
    weights = {name: torch.randn_like(x) * 0.1 for name, x in networks[0].state_dict().items()}
    batch = pictures()
    batch["guide"] = torch.rand_like(batch["guide"])
    outputs = []
    for network in networks:
        network.load_state_dict(weights)
        seen = (batch[name] for name in ("holed", "hole", "guide", "uncertainty"))
        outputs.append(network.complete(*seen, torch.ones(8, 3, 16, 16)))
    assert torch.allclose(outputs[0], outputs[1], atol=1e-5)
    assert not torch.allclose(outputs[0], outputs[2], atol=1e-3) and not torch.allclose(
        outputs[0], outputs[3], atol=1e-3
    )


def test_colours_continue_into_a_hole():
    picture = torch.zeros(1, 1, 16, 16)
    picture[..., 8:] = 1
    known = torch.ones(1, 1, 16, 16)
    known[..., 4:12, 4:12] = 0
    filled = continue_colours(picture * known, known)
    assert torch.equal(filled * known, picture * known)
    row = filled[0, 0, 8].numpy()
    assert (np.diff(row) >= -1e-5).all() and row[4] < 0.4 < 0.6 < row[11]
