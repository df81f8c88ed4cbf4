"""What the page shows of faces that are completed in many ways.

| file of `figures/` | what |
|---|---|
| `first_look.png` | two test faces with a hole, three completions of each, truth |
| `methods.png` | the same holes completed by every method |
| `samples_{method}.png` | the completions of each hole side by side |
| `tradeoff.svg` | quality against diversity along the knob, all methods |
| `moves_{method}.png` | keypoints that were moved, and the completion that should follow |
| `keypoints.png` | predicted keypoints with their certainty on faces with a hole, beside the truth |

Items are chosen by rank: at equal distances from the best to the worst of each kind of hole, by the best sample's PSNR
in the hole; moves by the landmark error against what was asked for; keypoints by their error in the hole.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from workflow_scripts.core.shards import ShardedTensors
from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.faces.landmark_groups import GROUPS
from workflow_scripts.metrics.perceptual import NAMES as DISTANCES
from workflow_scripts.reporting.galleries import Row, choose_by_rank, choose_of_each, draw_first_look, draw_gallery
from workflow_scripts.systems._completion.charts import draw_tradeoff
from workflow_scripts.systems._completion.columns import KEYPOINTS, NAMES, OURS, in_order
from workflow_scripts.systems._completion.config import CompletionExperiment
from workflow_scripts.systems._completion.curve import HOLE, plain_rows, summarize_curve
from workflow_scripts.systems._completion.guides import hidden_points

FIRST_LOOK_SAMPLES = 3
SHOWN_SAMPLES = 8  # of each hole at most
EMPTY = (206, 211, 217)  # what is shown in a hole
KEYPOINT_SIDE, KEYPOINT_ROWS = 384, 6  # pixels of a face with keypoints; faces shown
TRUE, PREDICTED = (64, 200, 96), (255, 140, 40)
CLOSED = ("right eye", "left eye", "outer lips", "inner lips")  # groups of points that are outlines
SURE = 1.0  # standard deviations; radius of a circle
FRACTION_BITS = 4  # of the coordinates given to OpenCV, which are fixed-point numbers


def draw(
    experiment: CompletionExperiment, rows: pd.DataFrame, pictures: ShardedTensors, index: Sequence[Path], folder: Path
) -> None:
    """Draw the figures of an experiment.

    Args:
        experiment: its keys `gallery` and `evaluation` are used.
        rows: the table of scores.
        pictures: of the kinds `experiment.drawn_kinds`.
        index: not used.
        folder: where the figures go.
    """
    rows = rows[rows["split"] == "test"]
    keypoints, rows = rows[rows["method"] == KEYPOINTS], rows[rows["method"] != KEYPOINTS]
    if len(keypoints):
        draw_keypoints(keypoints, pictures, folder / "keypoints.png")
    if not len(rows):
        return
    plain, methods = plain_rows(rows), in_order(rows["method"])
    draw_tradeoff(summarize_curve(rows), DISTANCES[experiment.evaluation.distance], folder / "tradeoff.svg")
    shown = OURS if OURS in methods else methods[-1]
    draw_first_look(_first_look(plain[plain["method"] == shown], pictures), folder / "first_look.png")
    chosen = choose_of_each(plain[plain["method"] == shown], "kind", "psnr_best_hole", experiment.gallery)
    draw_methods(plain, methods, chosen, pictures, folder / "methods.png")
    for method in methods:
        of_method = plain[plain["method"] == method]
        if of_method["samples"].max() > 1:
            holes = choose_of_each(of_method, "kind", "psnr_best_hole", experiment.gallery)
            draw_samples(holes, pictures, folder / f"samples_{method}.png")
        moved = rows[(rows["method"] == method) & (rows["moved_points"] > 0)]
        if len(moved):
            draw_moves(moved, experiment.gallery, pictures, folder / f"moves_{method}.png")


def _first_look(rows: pd.DataFrame, pictures: ShardedTensors) -> list[dict[str, np.ndarray]]:
    """Return two faces, between the best and the worst, with large face parts as holes where there are such."""
    parts = rows[rows["kind"] == "parts"]
    rows = parts if len(parts) else rows
    rows = rows[rows["area"] >= rows["area"].median()]
    labels = choose_by_rank(rows["psnr_best_hole"], 4)
    groups = []
    for row in rows.loc[labels[1:-1] or labels].itertuples():
        samples = _samples(row, pictures)[:FIRST_LOOK_SAMPLES]
        completions = {f"completion {number}": sample for number, sample in enumerate(samples, 1)}
        groups.append({"given": _given(row, pictures), **completions, "truth": _truth(row, pictures)})
    return groups


def draw_methods(
    rows: pd.DataFrame, methods: Sequence[str], holes: pd.DataFrame, pictures: ShardedTensors, path: Path
) -> None:
    """Draw the first sample that each method has of the same holes, of ours two."""
    known = {(row.method, *_place(row)): row for row in rows.itertuples()}
    shown = [(method, 0) for method in methods] + ([(OURS, 1)] if OURS in methods else [])
    lines = []
    for row in holes.itertuples():
        made = [(_samples(known[method, *_place(row)], pictures), number) for method, number in shown]
        label = [row.item, f"{row.kind}, {row.shape}", f"{row.area:.0%} of the picture"]
        panels = [samples[min(number, len(samples) - 1)] for samples, number in made]
        lines.append(Row([label], [_given(row, pictures), *panels, _truth(row, pictures)]))
    draw_gallery(["given", *(NAMES.get(method, method) for method, _ in shown), "truth"], lines, path)


def draw_samples(rows: pd.DataFrame, pictures: ShardedTensors, path: Path) -> None:
    """Draw the completions of each hole by one method side by side."""
    lines = []
    for row in rows.itertuples():
        samples = _samples(row, pictures)[:SHOWN_SAMPLES]
        lines.append(Row([_sample_label(row)], [_given(row, pictures), *samples, _truth(row, pictures)]))
    titles = [f"completion {number + 1}" for number in range(len(lines[0].pictures) - 2)]
    draw_gallery(["given", *titles, "truth"], lines, path)


def draw_moves(rows: pd.DataFrame, count: int, pictures: ShardedTensors, path: Path) -> None:
    """Draw keypoints and a completion before and after a move."""
    ranked = rows.assign(nearness=-rows["nme_asked"].fillna(np.inf))
    lines = []
    for moved in choose_of_each(ranked, "move", "nearness", count).itertuples():
        unmoved = moved._replace(move="")
        before, after = (_asked(one, pictures) for one in (unmoved, moved))
        panels = [_given(moved, pictures), before, _samples(unmoved, pictures)[0], after]
        lines.append(Row([_move_label(moved)], [*panels, *_samples(moved, pictures)[:2]]))
    draw_gallery(["given", "keypoints", "completion", "asked for", "completion", "another"], lines, path)


def draw_keypoints(rows: pd.DataFrame, pictures: ShardedTensors, path: Path) -> None:
    """Draw the true and the predicted keypoints on faces with a hole, and the predicted ones on the whole face."""
    chosen = rows.loc[choose_by_rank(-rows["nme_in"].dropna(), KEYPOINT_ROWS)]
    lines = []
    for row in chosen.itertuples():
        place = _place(row)
        truth = pictures.get("holes", "landmarks", *place)
        found, spread = (pictures.get("keypoints", column, *place) for column in ("landmarks", "spread"))
        hole = pictures.get("holes", "hole", *place) > 0
        shown = _given(row, pictures), _truth(row, pictures)
        panels = [_with_points(picture, hole, truth, found, spread) for picture in shown]
        lines.append(Row([_keypoint_label(row)], panels))
    if lines:
        draw_gallery(["given: predicted orange, true face green", "the same on the truth"], lines, path)


def _with_points(
    picture: np.ndarray, hole: np.ndarray, truth: np.ndarray, found: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Return an enlarged picture with the true face as lines, the predicted points, and how sure those in the hole are.

    Args:
        picture: RGB uint8 (S, S, 3).
        hole: bool (S, S).
        truth: (68, 2) in pixels of the picture.
        found: (68, 2), the predicted points.
        spread: (68,), their standard deviations in pixels.
    """
    scale = KEYPOINT_SIDE / picture.shape[0]
    canvas = cv2.resize(picture, (KEYPOINT_SIDE, KEYPOINT_SIDE), interpolation=cv2.INTER_CUBIC)
    places = np.rint(((np.stack([truth, found]) + 0.5) * scale - 0.5) * 2**FRACTION_BITS).astype(np.int32)
    for name, group in GROUPS.items():
        closed = name in CLOSED
        cv2.polylines(canvas, [places[0, group]], closed, TRUE, 1, cv2.LINE_AA, FRACTION_BITS)
    for point, deviation, hidden in zip(places[1].tolist(), spread, hidden_points(truth, hole), strict=True):
        if hidden:
            radius = round(SURE * float(deviation) * scale * 2**FRACTION_BITS)
            cv2.circle(canvas, point, radius, PREDICTED, 1, cv2.LINE_AA, FRACTION_BITS)
        cv2.circle(canvas, point, 2 * 2**FRACTION_BITS, PREDICTED, cv2.FILLED, cv2.LINE_AA, FRACTION_BITS)
    return canvas


def _place(row) -> tuple:
    return tuple(getattr(row, name) for name in HOLE)


def _given(row, pictures: ShardedTensors) -> np.ndarray:
    hole = pictures.get("holes", "hole", *_place(row)) > 0
    return np.where(hole[:, :, None], np.array(EMPTY, np.uint8), _truth(row, pictures))


def _truth(row, pictures: ShardedTensors) -> np.ndarray:
    return pictures.get("holes", "target", *_place(row))


def _samples(row, pictures: ShardedTensors) -> np.ndarray:
    return pictures.get(f"completed_{row.method}", "samples", *_place(row), row.knob, row.move)


def _asked(row, pictures: ShardedTensors) -> np.ndarray:
    asked = pictures.get(f"completed_{row.method}", "asked", *_place(row), row.knob, row.move)
    return draw_face(asked, _truth(row, pictures).shape[0])


def _sample_label(row) -> list[str]:
    likeness = [f"best {row.psnr_best_hole:.1f} dB there", f"mean {row.psnr_mean_hole:.1f} dB"]
    return [row.item, f"{row.kind}, {row.shape}", *likeness, f"diversity {row.diversity_hole:.3f}"]


def _move_label(row) -> list[str]:
    errors = [f"NME {_percent(row.nme_asked)}", f"not moved {_percent(row.nme_unmoved)}"]
    return [row.item, row.move.replace("_", " "), *errors, f"{row.kind}, {row.shape}"]


def _keypoint_label(row) -> list[str]:
    dlib = _percent(row.dlib_nme_in) if row.dlib_found else "no face"
    errors = [f"in the hole {_percent(row.nme_in)}", f"outside {_percent(row.nme_out)}", f"dlib there: {dlib}"]
    return [row.item, f"{row.kind}, {row.shape}", *errors]


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1%}"
