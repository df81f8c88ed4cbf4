"""Batches that are made while a GPU works on the ones before."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch

from workflow_scripts.training.data import Batch

AHEAD = 4  # batches that wait for the GPU


def made_ahead(
    make: Callable[[Sequence[int]], Batch], batches: Sequence[Sequence[int]], device: torch.device
) -> Iterator[Batch]:
    """Yield what `make` returns for each batch's positions, in their order.

    On a GPU another thread makes them ahead, on a stream of its own; on a CPU it would only take turns with the
    training. What `make` returns must not depend on when it is called.
    """
    if device.type != "cuda":
        yield from map(make, batches)
        return
    stream, consumer = torch.cuda.Stream(device), torch.cuda.current_stream(device)

    def work(positions: Sequence[int]) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            return make(positions), stream.record_event()

    # The number of threads that torch uses is told to each thread by itself.
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        rest = iter(batches)
        waiting = deque(pool.submit(work, positions) for positions in islice(rest, AHEAD))
        while waiting:
            batch, event = waiting.popleft().result()
            waiting.extend(pool.submit(work, positions) for positions in islice(rest, 1))
            consumer.wait_event(event)
            for x in batch.values():
                x.record_stream(consumer)
            yield batch
