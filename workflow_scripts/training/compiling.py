"""Networks that torch compiles: kernels that do at once what lies between two convolutions."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from workflow_scripts.core.cli import UserError

MOST = 64  # forms of one class of networks, such as of a discriminator that learns, and of one that only judges


def compiles(wanted: bool, device: torch.device) -> bool:
    """Return whether to compile networks; measured on a CPU, a compiled step of pix2pix takes 1.4 times as long."""
    return wanted and device.type == "cuda"


def compile_network(network: nn.Module, threads: int) -> None:
    """Let torch compile a network when it is first called; what calls its other methods runs as it is written.

    Args:
        network: whose `forward` is compiled.
        threads: that the job has; torch would take all of the machine's.
    """
    import torch._dynamo.config
    import torch._inductor.config  # takes a second, which other trainings are spared

    torch._inductor.config.compile_threads = threads
    torch._dynamo.config.recompile_limit = MOST  # beyond it networks would silently run as they are written
    network.compile(dynamic=False)


def as_written(is_compiled: bool) -> AbstractContextManager:
    """Return the context in which compiled networks run as they are written, for what is too rare to be compiled."""
    return torch.compiler.set_stance("force_eager") if is_compiled else nullcontext()


@contextmanager
def refusals() -> Iterator[None]:
    """Raise `UserError` where torch cannot compile, which it finds when a network is first called."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        cause = getattr(error, "inner_exception", error)
        if isinstance(cause, torch.OutOfMemoryError):
            raise cause from error
        said = f"{type(cause).__name__}: {str(cause).strip()}".partition("\n")[0]
        raise UserError(
            f"`compile: true`, but torch cannot compile ({said}); it needs a C compiler and a GPU that Triton knows; "
            "mend that or leave the key out"
        ) from error
