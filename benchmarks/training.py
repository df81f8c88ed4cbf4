"""Speed of a training step: pix2pix by this workflow's engine against its authors' PyTorch code, on a CPU or a GPU.

Both sides get the same random pictures, which lie on the device already, and take the steps that they take in a
training: the discriminator's update, then the generator's. The peer is a checkout of
junyanz/pytorch-CycleGAN-and-pix2pix, used as it is, with its defaults (fp32; batch normalisation). It needs
torchvision, which this workflow does not.

    python -m benchmarks.training --peer CHECKOUT [--device cuda] [--rounds 5]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.utils.flop_counter import FlopCounterMode

from workflow_scripts.systems.reenact.config import Experiment
from workflow_scripts.systems.reenact.training import build_system
from workflow_scripts.training.compiling import as_written
from workflow_scripts.training.device import tune, use_bf16
from workflow_scripts.training.learners import Learners
from workflow_scripts.training.steps import Steps

SECONDS = 3.0  # of a round of one side, about
# Side and batch of what is timed, and how many times the peer's speed is wanted.
ON_CPU = {(256, 8): 2.5, (128, 8): 1.7, (256, 1): 1.4}
ON_GPU = {(256, 1): 3.0, (256, 16): 2.0}


class Ours:
    """pix2pix as the preset `reenact-paper` has it: U-Net of 54.4 M parameters at 256 pixels, PatchGAN of 2.8 M.

    On a GPU networks are compiled.
    """

    def __init__(self, side: int, batch: int, device: torch.device, bf16: bool):
        render = {
            **{"variant": "original", "halvings": side.bit_length() - 1, "channels": 64, "max_channels": 512},
            **{"discriminator_channels": 64, "up": "transposed_conv", "dropout": 0.5, "perceptual": "none"},
            **{"l1": 100, "adversarial": 1, "training": {"ema": 0, "batch_size": batch, "compile": True}},
        }
        experiment = Experiment.model_validate({"system": "reenact", "train": ["a"], "test": ["a"], "render": render})
        system = build_system("render", experiment, {})
        system.to(device, torch.channels_last)
        learners = Learners(system, experiment.render.training, device)
        self.parameters = {name: count_parameters(network) for name, network in system.networks.items()}
        self.batch = {
            name: x.contiguous(memory_format=torch.channels_last)
            for name, x in zip(("input", "target"), random_pictures(side, batch, device), strict=True)
        }
        self.steps = Steps(system, learners, device, bf16, 1)

    def step(self) -> None:
        """Take one step."""
        self.steps.carry_out(self.batch, None)


class Peer:
    """The authors' `Pix2PixModel`, made by their own options."""

    def __init__(self, checkout: Path, side: int, batch: int, device: torch.device):
        sys.path.insert(0, str(checkout))
        from models.pix2pix_model import Pix2PixModel
        from options.train_options import TrainOptions

        with TemporaryDirectory() as folder:
            gpu = "0" if device.type == "cuda" else "-1"
            shape = ["--netG", f"unet_{side}", "--batch_size", str(batch), "--crop_size", str(side)]
            command = ["--model", "pix2pix", "--dataroot", folder, "--checkpoints_dir", folder, "--gpu_ids", gpu]
            kept, sys.argv = sys.argv, ["train.py", *command, *shape]
            try:
                options = TrainOptions().parse()
            finally:
                sys.argv = kept
            self.model = Pix2PixModel(options)
            self.model.setup(options)
        self.parameters = {"G": count_parameters(self.model.netG), "D": count_parameters(self.model.netD)}
        first, second = random_pictures(side, batch, device)
        self.batch = {"A": first, "B": second, "A_paths": [], "B_paths": []}

    def step(self) -> None:
        """Take one step."""
        self.model.set_input(self.batch)
        self.model.optimize_parameters()


def random_pictures(side: int, batch: int, device: torch.device) -> list[torch.Tensor]:
    """Return drawings and faces (batch, 3, side, side) in -1..1."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(batch, 3, side, side, generator=generator) * 2 - 1).to(device) for _ in range(2)]


def count_parameters(network: torch.nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def seconds_per_step(step: Callable[[], None], device: torch.device, seconds: float) -> float:
    """Return the mean time of a step, over steps that take about `seconds` together."""
    count, taken = 1, 0.0
    while True:
        start = time.perf_counter()
        for _ in range(count):
            step()
        wait_for(device)
        taken = time.perf_counter() - start
        if taken > 0.5 * seconds:
            return taken / count
        count = max(count + 1, min(10 * count, round(count * seconds / max(taken, 1e-6))))


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def operations_of(step: Callable[[], None]) -> int:
    """Return the floating-point operations of the matrix products and convolutions of a step that is launched."""
    with as_written(True), FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def bf16_rate(device: torch.device, side: int = 8192) -> float:
    """Return operations a second of a large bf16 matrix product, the most that this device can be expected to do."""
    first, second = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_per_step(lambda: torch.mm(first, second), device, 0.5)


def compare(peer: Path, device: torch.device, rounds: int, seconds: float = SECONDS) -> list[dict]:
    """Time all sizes of the device; print and return a row for each."""
    rate = bf16_rate(device) if device.type == "cuda" else None
    rows = []
    print("| pixels | batch | ours | peer | times the peer (range) | wanted | GFLOP | of the bf16 rate |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for (side, batch), wanted in (ON_GPU if device.type == "cuda" else ON_CPU).items():
        bf16 = use_bf16("auto", device)
        ours, theirs = Ours(side, batch, device, bf16), Peer(peer, side, batch, device)
        operations = operations_of(ours.step)
        stream = torch.cuda.Stream() if device.type == "cuda" else None
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for number in range(rounds + 1):
            with torch.cuda.stream(stream):
                own = seconds_per_step(ours.step, device, seconds if number else seconds / 4)
            other = seconds_per_step(theirs.step, device, seconds if number else seconds / 4)
            if number:  # the first round warms up
                times["ours"].append(own)
                times["peer"].append(other)
        ratios = [other / own for own, other in zip(times["ours"], times["peer"], strict=True)]
        middle = statistics.median(times["ours"])
        rows.append(
            {
                "side": side,
                "batch": batch,
                "precision": "bf16" if bf16 else "fp32",
                "ours_ms": 1000 * middle,
                "peer_ms": 1000 * statistics.median(times["peer"]),
                "times_peer": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "wanted": wanted,
                "gflop": operations / 1e9,
                "share_of_bf16_rate": operations / middle / rate if rate else None,
                "parameters": [*ours.parameters.values(), *theirs.parameters.values()],
            }
        )
        print_row(rows[-1])
        del ours, theirs
    return rows


def print_row(row: dict) -> None:
    """Print a row of `compare`."""
    share = "-" if row["share_of_bf16_rate"] is None else f"{row['share_of_bf16_rate']:.1%}"
    print(
        f"| {row['side']} | {row['batch']} | {row['ours_ms']:.2f} ms, {row['precision']} | {row['peer_ms']:.2f} ms "
        f"| {row['times_peer']:.2f} ({row['lowest']:.2f}-{row['highest']:.2f}) | {row['wanted']} "
        f"| {row['gflop']:.0f} | {share} |",
        flush=True,
    )


def main() -> None:
    """Time what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="checkout of junyanz/pytorch-CycleGAN-and-pix2pix")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for both sides")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device(chosen.device)
    tune(device, deterministic=False)
    compare(chosen.peer, device, chosen.rounds)


if __name__ == "__main__":
    main()
