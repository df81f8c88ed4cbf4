"""How much memory tensors take, known before there are any: a computation on tensors that have shapes and no values."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

CONTEXT = 500_000_000  # bytes of a GPU's memory that CUDA takes for itself


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, while they are alive.

    What an operation needs within itself is not seen, as the scratch space of a convolution.

    Attributes:
        live: bytes of the tensors that are alive.
        peak: the most that were.
    """

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Carry out an operation, and count what it has made."""
        made = function(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, torch.Tensor):
                self._count(one.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.live -= size


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Let attention be computed as on real devices; without values it would make a matrix of all pairs of places.

    The function itself is replaced: a mode of torch would not hold where activations are computed anew.
    """
    usual = F.scaled_dot_product_attention

    def attend(query, key, value, attn_mask=None, **options):
        if attn_mask is not None:
            return usual(query, key, value, attn_mask=attn_mask, **options)
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)[0]

    F.scaled_dot_product_attention = attend
    try:
        yield
    finally:
        F.scaled_dot_product_attention = usual


def peak_of(compute: Callable[[], object]) -> int:
    """Return the most bytes of tensors that are alive while something is computed, on tensors without values."""
    with torch.device("meta"), _fused_attention(), LiveMemory() as memory:
        compute()
        return memory.peak


def size_of(module: torch.nn.Module, learned: bool = False) -> int:
    """Return the bytes of a network's parameters; only of those that learn, if asked for."""
    return sum(x.nbytes for x in module.parameters() if x.requires_grad or not learned)
