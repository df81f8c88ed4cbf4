"""Where and in which precision a network runs."""

import os
import sys

import torch

from workflow_scripts.core.cli import UserError
from workflow_scripts.training.claims import claim


def choose_device(wanted: str, gpus: int, threads: int) -> torch.device:
    """Return the device of a job, and say which on stderr; a GPU is the job's alone, see `claims.py`.

    Args:
        wanted: `auto` (CUDA when the job was given a GPU, else CPU), `cpu` or `cuda`.
        gpus: GPUs that the job was given.
        threads: CPU threads that torch may use from now on.

    Raises:
        UserError: CUDA is wanted and there is none.
    """
    torch.set_num_threads(threads)
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "`device: cuda`, but torch sees no CUDA device; install the CUDA build of torch or write `auto`"
        )
    if wanted == "cuda" or (wanted == "auto" and gpus > 0 and torch.cuda.is_available()):
        return _own_gpu()
    if wanted == "auto" and gpus > 0:
        print("device: CPU, SLOW: the job was given a GPU, but torch sees no CUDA device", file=sys.stderr)
    elif wanted == "auto" and torch.cuda.is_available():
        print("device: CPU, SLOW: there is a GPU, but the job was not given it (resources: gpu)", file=sys.stderr)
    else:
        print(f"device: CPU, {threads} threads", file=sys.stderr)
    return torch.device("cpu")


def _own_gpu() -> torch.device:
    names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    device = torch.device("cuda", claim(names))
    torch.cuda.set_device(device)
    print(f"device: GPU {device.index} ({torch.cuda.get_device_name(device)})", file=sys.stderr)
    return device


def warn_if_busy(threads: int) -> None:
    """Say in one line on stderr that several threads find too few idle cores: then they wait for each other.

    Measured on two cores: beside another program on one of them, two threads train at a quarter of their speed, while
    one thread keeps nine tenths of its own.
    """
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if threads > 1 and load + threads > cores + 0.5:
        print(
            f"this machine is busy (load {load:.1f} on {cores} cores), and {threads} threads that share cores with "
            "other programs are slow; `training: {threads: 1}` is faster here",
            file=sys.stderr,
        )


def tune(device: torch.device, deterministic: bool) -> None:
    """Let a GPU choose its fastest kernels, or only such as give the same bits each time."""
    if device.type != "cuda":
        return
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
        torch.use_deterministic_algorithms(True, warn_only=True)


def use_bf16(wanted: str, device: torch.device) -> bool:
    """Return whether to compute convolutions in bf16; `auto`: where the device does so natively.

    Measured on two cores with AVX512-BF16: a training step of the U-Net runs 1.5 times as fast as in fp32. Without such
    instructions bf16 is emulated and slower.
    """
    if wanted != "auto":
        return wanted == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
