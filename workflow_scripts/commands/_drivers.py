"""Tables of drivers (`faces/drivers.py`), made of a searched video, and turned into what drawings are made of."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import INDEX, read_table, write_table
from workflow_scripts.faces.drawings import find_gaze
from workflow_scripts.faces.drivers import DRIVER, POINTS, PUPILS, draw_eyes, find_pupils


def pack_driver(index: Path, crops: Path, output: Path) -> int:
    """Write the table of a driver.

    Args:
        index: of all frames of one video.
        crops: shard of the frames that show a face, in the frame `head`.
        output: the table.

    Returns:
        How many frames show a face.
    """
    frames = read_table(index)[["item", "frame", "shot", "time"]].sort_values("frame")
    shard = Shard(crops)
    rows = []
    for row, item in enumerate(shard.items):
        image, landmarks = shard.tensor("image", row), shard.tensor("landmarks", row)
        pupils = find_pupils(find_gaze(image, landmarks), landmarks)
        shares = (np.concatenate([landmarks.T.ravel(), pupils.ravel()]) + 0.5) / len(image)
        rows.append({"item": item, **dict(zip([*POINTS, *PUPILS], shares.tolist(), strict=True))})
    table = frames.merge(pd.DataFrame(rows, columns=["item", *POINTS, *PUPILS]), on="item", how="left")
    write_table(output, table[DRIVER.names], DRIVER)
    return len(rows)


def unpack_driver(path: Path, size: int, index: Path, crops: Path) -> None:
    """Write an index and a shard of crops of a driver's table; the crops show nothing but the eyes.

    Args:
        path: the table.
        size: pixels of the crops.
        index: the index to write.
        crops: the shard to write.

    Raises:
        UserError: it is no table of a driver.
    """
    table = _read(path)
    frames = table[["frame", "time", "shot"]].assign(file=path.name)
    frames["item"] = [f"{path.name}#{frame:06d}" for frame in frames["frame"]]
    write_table(index, frames.to_dict("records"), INDEX)
    is_seen = table[POINTS].notna().all(axis=1)
    seen, items = table[is_seen], frames["item"][is_seen]

    def rows() -> Iterator[dict]:
        points = seen[POINTS].to_numpy(np.float64).reshape(-1, 2, 68).transpose(0, 2, 1) * size - 0.5
        pupils = seen[PUPILS].to_numpy(np.float64).reshape(-1, 2, 2) * size - 0.5
        for item, landmarks, eyes in zip(items, points, pupils, strict=True):
            yield {
                "item": item,
                "image": draw_eyes(landmarks, eyes, size),
                "landmarks": landmarks.astype(np.float32),
            }

    columns = {"item": pa.string(), "image": (np.uint8, (size, size, 3)), "landmarks": (np.float32, (68, 2))}
    write_shard(crops, rows(), columns)


def _read(path: Path) -> pd.DataFrame:
    remedy = "write one with `python -m workflow_scripts.commands.export_driver`"
    try:
        table = read_table(path, DRIVER.names).astype(dict.fromkeys(["time", *POINTS, *PUPILS], np.float64))
        table = table.astype({"frame": int, "shot": int})
    except (UserError, ValueError, TypeError) as error:
        raise UserError(f"{path}: is no driver's table; {remedy}") from error
    times, values = table["time"].to_numpy(), table[[*POINTS, *PUPILS]].to_numpy()
    ordered = np.isfinite(times).all() and (np.diff(times) >= 0).all() and table["frame"].is_unique
    if table.empty or not ordered:
        raise UserError(f"{path}: has no frames, or frames that are not in the order of time; {remedy}")
    if table[POINTS].isna().any(axis=1).all():
        raise UserError(f"{path}: shows no face in any frame; {remedy}")
    if (np.abs(values[np.isfinite(values)]) > 3).any() or np.isinf(values).any():
        raise UserError(f"{path}: has landmarks far outside the head's square, of which they are fractions; {remedy}")
    return table
