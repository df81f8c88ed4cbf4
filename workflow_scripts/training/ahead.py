"""Batches that are made while a GPU works on the ones before."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import local

import torch

from workflow_scripts.training.data import Batch

AHEAD = 6  # batches that wait for the GPU
MAKERS = 2  # threads


def made_ahead(
    make: Callable[[Sequence[int]], Batch], batches: Sequence[Sequence[int]], device: torch.device
) -> Iterator[Batch]:
    """Yield what `make` returns for each batch's positions, in their order.

    On a GPU other threads make them ahead; on a CPU they would only take turns with the training. What `make` returns
    must not depend on when it is called.
    """
    if device.type != "cuda":
        yield from map(make, batches)
        return
    own, consumer, threads = local(), torch.cuda.current_stream(device), torch.get_num_threads()

    def start() -> None:
        torch.set_num_threads(threads)  # which is told to each thread by itself
        # What makes a batch is little, and must not wait until the step before it is done.
        own.stream = torch.cuda.Stream(device, priority=-1)

    def work(positions: Sequence[int]) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(own.stream):
            return make(positions), own.stream.record_event()

    with ThreadPoolExecutor(MAKERS, initializer=start) as pool:
        rest = iter(batches)
        waiting = deque(pool.submit(work, positions) for positions in islice(rest, AHEAD))
        while waiting:
            batch, event = waiting.popleft().result()
            waiting.extend(pool.submit(work, positions) for positions in islice(rest, 1))
            consumer.wait_event(event)
            for x in batch.values():
                x.record_stream(consumer)
            yield batch
