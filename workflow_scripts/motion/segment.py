"""The frames of a shot to votes for what moves in them: flow, saliency, superpixels, consensus."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from workflow_scripts.config.motion import Motion
from workflow_scripts.motion.blobs import weak_blobs
from workflow_scripts.motion.camera import camera_class, residual_flow
from workflow_scripts.motion.flow import Flows
from workflow_scripts.motion.refine import refine
from workflow_scripts.motion.saliency import appearance_saliency, class_saliency, inner, residual_saliency
from workflow_scripts.motion.superpixels import average, describe, find_superpixels, mean_colours
from workflow_scripts.motion.voting import find_neighbours, vote

# In each frame, the largest vote becomes 1 if it is at least this share of the usual largest vote in the shot, and at
# least this. Where nothing moves, and no other frame has the like of what is there, all votes stay small.
USUAL, LEAST = 0.3, 0.2
BLOB, WEAK, DAMPED = 0.3, 0.6, 0.5  # share of a frame's largest vote; of the strongest blob; what a weak one is left


def segment(frames: np.ndarray, motion: Motion) -> Iterator[tuple[np.ndarray, str]]:
    """Yield, of each frame, the votes for the foreground and the class of the camera's motion.

    Args:
        frames: of one shot, RGB uint8 (n, H, W, 3), at least two.
        motion: the keys of the method.

    Yields:
        Square roots of votes, float32 (H, W) of 0..1, so that half of the largest vote is 0.7; and `static`,
        `translating` or `other`.
    """
    labels = [find_superpixels(frame, motion.superpixels) for frame in frames]
    graph = find_neighbours([describe(*pair) for pair in zip(frames, labels, strict=True)])
    saliency, cameras = _salient(frames, labels, motion.saliency)
    ends = np.cumsum([own.max() + 1 for own in labels])[:-1]
    votes = vote(graph, saliency, motion.rounds, motion.kept, lambda votes: _damped(np.split(votes, ends), labels))
    for pixels, camera in zip(refine(frames, labels, _normalised(np.split(votes, ends))), cameras, strict=True):
        yield np.sqrt(pixels), camera


def _salient(frames: np.ndarray, labels: Sequence[np.ndarray], kind: str) -> tuple[np.ndarray, list[str]]:
    """Return the saliency of all superpixels, float32 (N,), and the class of the camera's motion in each frame."""
    finder, cameras, maps, spreads = Flows(frames), [], [], []
    for number in range(len(frames)):
        flows = finder.of(number)
        cameras.append(camera_class(flows[0])[0])
        if kind == "classes":
            maps.append(class_saliency(flows))
        else:
            residual, spread, model = residual_flow(flows)
            maps.append(residual * finder.unexplained(number, model))
            spreads.append(spread)
    if kind == "residual":
        maps = residual_saliency(maps, spreads)
    size = frames.shape[2:0:-1]
    values = [
        appearance_saliency(*mean_colours(frame, own))
        if salient is None
        else average(cv2.resize(inner(salient), size, interpolation=cv2.INTER_LINEAR), own)
        for salient, frame, own in zip(maps, frames, labels, strict=True)
    ]
    if kind == "classes":  # speeds, angles and contrasts do not compare
        values = [value / max(value.max(), 1e-9) for value in values]
    return np.concatenate(values).astype(np.float32), cameras


def _damped(votes: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the votes of all superpixels (N,) of those of each frame; in weak blobs they are damped."""
    damped = []
    for part, own in zip(votes, labels, strict=True):
        weak = weak_blobs(part[own], BLOB * part.max(), WEAK)
        damped.append(np.where(average(weak, own) > 0.5, DAMPED * part, part))
    return np.concatenate(damped)


def _normalised(votes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the votes of each frame, of which the largest is 1 where anything is salient."""
    least = max(USUAL * float(np.median([part.max() for part in votes])), LEAST)
    return [part / max(part.max(), least) for part in votes]
