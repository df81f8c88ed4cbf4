"""Stage: draw the landmarks of one shard of crops, a driver's with the target's proportions.

What is drawn of a driver is a face that the network has learned: where his expression would make no face of the
target's, it is made smaller, and where his head is turned farther than the target's was, it is turned less
(`faces/shape_transfer.py`). Both change smoothly over time. The log says in one line for each clip how often and why.

Landmarks that are found frame by frame tremble, and so would the face that is painted from them. They are averaged with
Gaussian weights over presentation time, within a shot, so lightly that no blink is lost. On four clips at 25 to 30
frames a second, the movement that a drawing's neighbours in time do not explain falls by 5 to 32 %, the points move by
0.1 to 0.35 of 256 pixels, and the narrowest eye opens by 0 to 0.4. Frames a tenth of a second apart stay as they are.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.names import readable
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import Quarantine, read_table
from workflow_scripts.faces.drawings import check_drawing, draw_face, find_gaze, move_gaze
from workflow_scripts.faces.heads import TURNS
from workflow_scripts.faces.shape_transfer import Target, Transfer, move_as_a_whole, neutral_face
from workflow_scripts.faces.smoothing import REACH, gaussian_mean, windows
from workflow_scripts.provenance.stage import Input, OptionalInput, Output, stage_command
from workflow_scripts.systems._reenactment.config import Drawing

STAGE = "draw_landmarks"
DEVIATION = 0.02  # seconds; standard deviation of the weights
EASING = 0.1  # seconds; standard deviation of the weights by which the amount of expression changes over time
TURNED = 0.5  # degrees that a head is turned less than the driver's, from which on it counts
MAX_PAUSE = 1.0  # seconds between a frame and the one before that it may follow


def draw_landmarks(
    drawing: Drawing,
    index: Input,
    crops: Input,
    shape: OptionalInput,
    limits: OptionalInput,
    output: Output,
    quarantine: Output,
) -> None:
    """Write one `drawings` shard.

    Args:
        drawing: how to draw. `normalize` and `turn_beyond` are applied where there is a `shape`.
        index: the source's index of the same shard, for clips, shots and times.
        crops: the crops of video frames.
        shape: the target's neutral face, for a driver; None for the target's own frames.
        limits: how the target's head was turned in the training frames; where there is a `shape`.
        output: the shard; columns as in docs/data.md.
        quarantine: items whose drawing would be incomplete.
    """
    cv2.setNumThreads(1)
    shard = Shard(crops)
    size = shard.tensor("image", 0).shape[0] if len(shard) else 1
    frames = read_table(index, ["item", "file", "time", "shot"]).set_index("item").loc[shard.items].reset_index()
    found = shard.tensors("landmarks", range(len(shard))) if len(shard) else np.empty((0, 68, 2), np.float32)
    rejected = Quarantine(STAGE)
    # Incomplete drawings are taken out first, so that wrong landmarks are not averaged into their neighbours.
    whole = _whole(frames, found, size, rejected)
    frames, found = frames.iloc[whole].assign(row=whole), found[whole]
    drawn = _smoothed(frames, found)
    frames = frames.assign(clamped=0.0, eased=0.0)
    if shape is not None:
        frames, drawn = normalised(frames, drawn, read_target(shape, limits), drawing)
    whole = _whole(frames, drawn, size, rejected)
    picture = (np.uint8, (size, size, 3))
    columns = {"item": pa.string(), "input": picture, "target": picture, "previous": picture, "follows": pa.bool_()}
    columns |= {"landmarks": (np.float32, (68, 2)), "clamped": pa.float32(), "eased": pa.float32()}
    write_shard(output, _drawings(shard, frames.iloc[whole], found[whole], drawn[whole], drawing.gaze), columns)
    rejected.write(quarantine)


def _whole(frames: pd.DataFrame, landmarks: np.ndarray, size: int, rejected: Quarantine) -> np.ndarray:
    """Return the numbers of the rows whose drawing is complete; the others go to quarantine."""
    whole = []
    for number, (item, points) in enumerate(zip(frames["item"], landmarks, strict=True)):
        try:
            check_drawing(item, points, size)
            whole.append(number)
        except cli.BadItem as bad:
            rejected.add(item, bad.reason, bad.detail)
    return np.array(whole, int)


def _smoothed(frames: pd.DataFrame, landmarks: np.ndarray) -> np.ndarray:
    """Return landmarks (n, 68, 2) averaged over time within each shot."""
    smoothed = landmarks.astype(np.float64)
    for members in frames.groupby(["file", "shot"], dropna=False).indices.values():
        smoothed[members] = gaussian_mean(landmarks[members], frames["time"].to_numpy()[members], DEVIATION)
    return smoothed


def read_target(shape: Path, limits: Path) -> Target:
    """Return the face that is driven from its tables `face_shape` and `face_limits`."""
    measures = read_table(limits).set_index("measure")
    turns = measures.loc[list(TURNS), ["least", "most"]].to_numpy(np.float64)
    return Target(read_table(shape)[list("xyz")].to_numpy(np.float64), turns)


def normalised(
    frames: pd.DataFrame, landmarks: np.ndarray, target: Target, drawing: Drawing
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return frames and landmarks (n, 68, 2) with the target's proportions; each clip has one driver.

    `clamped` of a frame is by how many degrees the head is turned less, `eased` the share of the expression that was
    taken off.
    """
    moved, clamped, eased = landmarks.copy(), np.zeros(len(frames)), np.zeros(len(frames))
    for file, members in frames.groupby("file").indices.items():
        driver = neutral_face(landmarks[members])
        if drawing.normalize == "similarity":
            moved[members] = move_as_a_whole(landmarks[members], driver, target.shape)
            continue
        transfer = Transfer(landmarks[members], driver, target, drawing.turn_beyond)
        amounts = _calmed(frames.iloc[members], transfer.amounts())
        moved[members], eased[members] = transfer.draw(amounts), 1 - amounts
        clamped[members] = np.where(transfer.clamped >= TURNED, transfer.clamped, 0)
        _tell(file, clamped[members], eased[members])
    return frames.assign(clamped=clamped, eased=eased), moved


def _calmed(frames: pd.DataFrame, amounts: np.ndarray) -> np.ndarray:
    """Return amounts (n,) that change smoothly within each shot, none larger than before."""
    calmed = amounts.copy()
    for members in frames.groupby("shot", dropna=False).indices.values():
        times = frames["time"].to_numpy()[members]
        least = [amounts[members][near].min() for near in windows(times, REACH * EASING)]
        calmed[members] = gaussian_mean(np.array(least), times, EASING)
    return np.minimum(calmed.round(3), amounts)


def _tell(file: str, clamped: np.ndarray, eased: np.ndarray) -> None:
    less = []
    if clamped.any():
        less.append(f"in {(clamped > 0).sum()} the head is turned less, as no training frame of the target's shows it")
    if eased.any():
        less.append(f"in {(eased > 0).sum()} the expression is made smaller, as all of it would make no face")
    if less:
        print(f"{readable(file)}: of {len(eased)} frames, {', '.join(less)}", file=sys.stderr)


def _drawings(
    shard: Shard, frames: pd.DataFrame, found: np.ndarray, drawn: np.ndarray, gaze: bool
) -> Iterator[dict[str, object]]:
    before, last = None, None
    progress = tqdm(frames.itertuples(), STAGE, len(frames), mininterval=2, file=sys.stderr)
    for frame, points, moved in zip(progress, found, drawn, strict=True):
        target = shard.tensor("image", frame.row)
        size = target.shape[0]
        follows = (
            before is not None
            and (frame.file, frame.shot) == (before.file, before.shot)
            and frame.time - before.time <= MAX_PAUSE + 1e-6
        )
        cue = move_gaze(find_gaze(target, points), points, moved) if gaze else None
        yield {
            "item": frame.item,
            "input": draw_face(moved, size, cue),
            "target": target,
            "previous": last if follows else np.zeros_like(target),
            "follows": follows,
            "landmarks": moved.astype(np.float32),
            "clamped": frame.clamped,
            "eased": frame.eased,
        }
        before, last = frame, target


main = stage_command(draw_landmarks)


if __name__ == "__main__":
    cli.run(main)
