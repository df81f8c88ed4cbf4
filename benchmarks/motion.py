"""Frames a second and memory of finding moving objects, by the size of the frames, without decoding."""

import argparse
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, cycle, islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.timing import ENVIRONMENT

SIZES = ((320, 240), (480, 360), (640, 480))


class Taken(NamedTuple):
    """What one shot took: frames, seconds by the clock and of the processor, peak memory in MB."""

    frames: int
    clock: float
    processor: float
    peak: float


def segment_clip(video: Path, size: tuple[int, int], frames: int) -> Taken:
    """Segment the first frames of a video, resized; a shorter video is run to and fro."""
    import av
    import cv2
    import numpy as np

    from workflow_scripts.config.motion import Motion
    from workflow_scripts.motion.segment import segment

    cv2.setNumThreads(1)
    with av.open(str(video)) as container:
        decoded = islice(container.decode(video=0), frames)
        pictures = [cv2.resize(frame.to_ndarray(format="rgb24"), size) for frame in decoded]
    there_and_back = cycle(chain(pictures, pictures[-2:0:-1]))
    shot = np.stack(list(islice(there_and_back, frames)))
    clock, processor = time.perf_counter(), time.process_time()
    for _ in segment(shot, Motion()):
        pass
    took = time.perf_counter() - clock, time.process_time() - processor
    return Taken(len(shot), *took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, run each size in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True, help="a clip in which something moves")
    parser.add_argument("--frames", type=int, default=110, help="of the shot")
    args = parser.parse_args(argv)
    os.environ |= ENVIRONMENT
    print("| size | frames | frames/s | ms a frame, processor | peak, MB |\n|---|---|---|---|---|")
    spawn = multiprocessing.get_context("spawn")
    for size in SIZES:
        with ProcessPoolExecutor(1, spawn) as pool:
            taken = pool.submit(segment_clip, args.video, size, args.frames).result()
        speed, cost = taken.frames / taken.clock, 1000 * taken.processor / taken.frames
        print(f"| {size[0]}x{size[1]} | {taken.frames} | {speed:.1f} | {cost:.0f} | {taken.peak:.0f} |", flush=True)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
