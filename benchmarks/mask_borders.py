"""How editing networks do where what they paint meets the picture: scores of pairs, and bright lines on photographs.

python -m benchmarks.mask_borders --results FOLDER --experiment NAME --map FILE --checkpoints FOLDER [FOLDER ...]
    [--given given] [--occluded real_masks] [--bare bare_faces] [--sheets FOLDER]

All networks get the maps of one network and are applied with their own border. Rims and straps of an occluder that the
map does not reach stay beside it as bright lines: the line is the mean of the top-hat (5x5, grey levels) within six
pixels beyond the map, on photographs of occluded faces. For pairs PSNR and SSIM of the whole composite are told,
of the hole the PSNR, and the line too, which bare faces also have. Of given pairs those of the test set count.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.mask_maps import BATCH, Items, choose_items, parser_of, predict
from workflow_scripts.metrics.pictures import compare_pictures
from workflow_scripts.systems._removal.inference import paint_bare_faces
from workflow_scripts.systems._removal.maps import border_weights, mix
from workflow_scripts.training.checkpoint import load_network

NEAR = 6  # pixels beyond the contour
HAT = 5  # pixels; what is wider is no line
ACROSS = 3  # photographs beside each other on a sheet
ON_SHEET = 36  # photographs
SCORES = ("psnr_whole", "ssim_whole", "psnr_hole")


def line_of(picture: np.ndarray, found: np.ndarray) -> float:
    """Return the mean top-hat, in grey levels, just outside of a map, uint8 (H, W); NaN for an empty map."""
    ring = cv2.dilate(found, np.ones((2 * NEAR + 1,) * 2, np.uint8)) > found
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    hat = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((HAT, HAT), np.uint8))
    return float(hat[ring].mean()) if found.any() else float("nan")


def paint(network: torch.nn.Module, pictures: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the composites of pictures, with the network's border."""
    composites = []
    for start in range(0, len(pictures), BATCH):
        images, holes = (np.stack(one[start : start + BATCH]) for one in (pictures, maps))
        for image, hole, painted in zip(images, holes, paint_bare_faces(network, images, holes)[0], strict=True):
            composites.append(mix(image, painted, border_weights(hole, network.border)))
    return composites


def score(composites: Sequence[np.ndarray], items: Items) -> list[float]:
    """Return the means of `SCORES` over pairs; the hole is that of the true map."""
    likeness = [
        compare_pictures(picture, target, truth > 0)
        for picture, target, truth in zip(composites, items.targets, items.maps, strict=True)
    ]
    return [float(np.nanmean([getattr(one, name) or np.nan for one in likeness])) for name in SCORES]


def mean_line(pictures: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> float:
    """Return the mean of `line_of` over the pictures in which something was found."""
    return float(np.nanmean([line_of(*pair) for pair in zip(pictures, maps, strict=True)]))


def draw_sheets(columns: Sequence[Sequence[np.ndarray]], folder: Path) -> None:
    """Write sheets on which each photograph stands beside what became of it."""
    folder.mkdir(parents=True, exist_ok=True)
    tiles = [np.hstack(pictures) for pictures in zip(*columns, strict=True)]
    for start in range(0, len(tiles), ON_SHEET):
        shown = tiles[start : start + ON_SHEET]
        shown += [np.zeros_like(tiles[0])] * (-len(shown) % ACROSS)
        rows = [np.hstack(shown[row : row + ACROSS]) for row in range(0, len(shown), ACROSS)]
        cv2.imwrite(str(folder / f"{start:03d}.png"), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def main() -> None:
    """Print a table with a row for each folder of checkpoints, and draw sheets if they are wanted."""
    parser = parser_of(__doc__.splitlines()[0])
    parser.add_argument("--map", type=Path, required=True, help="the checkpoint whose maps all get")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="folders with edit.safetensors")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of all photographs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = choose_items(args)
    finder = load_network(args.map, torch.device("cpu"))
    maps = {
        kind: [255 * one.astype(np.uint8) for one in predict(finder, chosen[kind].pictures, args.opening)]
        for kind in ("watched", "given", "occluded")
    }
    pairs = ("watched", "given")
    print("| | " + " | ".join(f"{kind}: PSNR / SSIM | hole | line" for kind in pairs) + " | photographs: line |")
    print("|---" * 8 + "|")
    sheets = [chosen["occluded"].pictures]
    truth = {kind: chosen[kind].targets for kind in pairs} | {"occluded": chosen["occluded"].pictures}
    _print_row("bare faces; the photographs", truth, chosen, maps)
    for folder in args.checkpoints:
        network = load_network(folder / "edit.safetensors", torch.device("cpu"))
        composites = {kind: paint(network, chosen[kind].pictures, found) for kind, found in maps.items()}
        _print_row(str(folder), composites, chosen, maps)
        sheets.append(composites["occluded"])
    if args.sheets:
        draw_sheets(sheets, args.sheets)


def _print_row(name: str, pictures: Mapping[str, Sequence], chosen: Mapping[str, Items], maps: Mapping) -> None:
    cells = []
    for kind in ("watched", "given"):
        psnr, ssim, hole = score(pictures[kind], chosen[kind])
        cells += [f"{psnr:.2f} / {ssim:.4f}", f"{hole:.2f}", f"{mean_line(pictures[kind], maps[kind]):.2f}"]
    cells.append(f"{mean_line(pictures['occluded'], maps['occluded']):.2f}")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
