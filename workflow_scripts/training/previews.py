"""Preview pictures: a grid, one item a row."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from workflow_scripts.core.files import atomic_path
from workflow_scripts.core.marking import save_png

GAP = 2  # white pixels between pictures


def save_grid(path: Path, columns: list[Tensor]) -> None:
    """Write pictures (N, 3, S, S) in -1..1 as a marked PNG: N rows, a column for each of `columns`."""
    cells = torch.stack([column.float() for column in columns], dim=1).permute(0, 1, 3, 4, 2)  # N, columns, S, S, 3
    pixels = ((cells + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
    pixels = np.pad(pixels, ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    rows, count, height, width, _ = pixels.shape
    grid = pixels.transpose(0, 2, 1, 3, 4).reshape(rows * height, count * width, 3)[:-GAP, :-GAP]
    with atomic_path(path) as temporary:
        save_png(Image.fromarray(grid), temporary)
