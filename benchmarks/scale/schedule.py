"""How long jobs take on so many slots, each started as soon as what it waits for is there and a slot is free."""

import heapq
from collections.abc import Sequence

from benchmarks.scale.plans import Job


def makespan(jobs: Sequence[Job], seconds: Sequence[float], slots: int, gpus: int | None = None) -> float:
    """Return the seconds until all jobs have ended.

    Of the jobs that could start, the one with the longest way to the end does (list scheduling).

    Args:
        jobs: as `plan` returns them.
        seconds: of each job.
        slots: jobs that run at a time.
        gpus: of these, jobs that use a GPU; None: they run without one.
    """
    waiting = [len(job.needs) for job in jobs]
    followers: list[list[int]] = [[] for _ in jobs]
    for number, job in enumerate(jobs):
        for need in job.needs:
            followers[need].append(number)
    urgency = _ways_to_the_end(followers, waiting, seconds)
    ready: dict[bool, list[tuple[float, int]]] = {False: [], True: []}

    def put(number: int) -> None:
        heapq.heappush(ready[jobs[number].uses_gpu and gpus is not None], (-urgency[number], number))

    for number, count in enumerate(waiting):
        if not count:
            put(number)
    now, running, free, free_gpus = 0.0, [], slots, gpus or 0
    while running or ready[False] or ready[True]:
        while free and (ready[False] or (ready[True] and free_gpus)):
            on_gpu = bool(ready[True] and free_gpus and (not ready[False] or ready[True][0] < ready[False][0]))
            _, number = heapq.heappop(ready[on_gpu])
            free, free_gpus = free - 1, free_gpus - on_gpu
            heapq.heappush(running, (now + seconds[number], number, on_gpu))
        now, number, on_gpu = heapq.heappop(running)
        free, free_gpus = free + 1, free_gpus + on_gpu
        for follower in followers[number]:
            waiting[follower] -= 1
            if not waiting[follower]:
                put(follower)
    return now


def _ways_to_the_end(followers: list[list[int]], needs: list[int], seconds: Sequence[float]) -> list[float]:
    """Return for each job the seconds of the longest chain of jobs that begins with it."""
    left, order = list(needs), [number for number, count in enumerate(needs) if not count]
    for number in order:
        for follower in followers[number]:
            left[follower] -= 1
            if not left[follower]:
                order.append(follower)
    ways = [0.0] * len(needs)
    for number in reversed(order):
        ways[number] = seconds[number] + max((ways[follower] for follower in followers[number]), default=0.0)
    return ways
