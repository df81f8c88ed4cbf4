"""Stage: write masks of moving objects as indexed PNG files, as DAVIS has them.

`export_motion/{clip}/{frame}.png` has the palette of DAVIS: 0 is the background, black, and 1 the object, red. Clips
and frames are named by the items as file names (`core/names.py`). A whole run does not make this folder; ask for it by
`snakemake --cores 2 results/{source}/export_motion`.
"""

import sys

import numpy as np
from PIL import Image
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder
from workflow_scripts.core.names import file_names
from workflow_scripts.core.tables import read_table
from workflow_scripts.motion.masks import decode_mask
from workflow_scripts.provenance.stage import Inputs, OutputFolder, stage_command


def export_motion(motion: Inputs, foreground: int, output: OutputFolder) -> None:
    """Write the folder; what was there is replaced.

    Args:
        motion: the `motion` tables of all shards of a source.
        foreground: from which value of a mask, of 100, a pixel is foreground.
        output: the folder.
    """
    items = [item for path in motion for item in read_table(path, ["item"])["item"]]
    places = {item: _clip_and_frame(item) for item in items}
    clips = file_names({clip: clip for clip, _ in places.values()})
    palette = davis_palette()
    with atomic_folder(output) as folder:
        for clip in clips.values():
            (folder / clip).mkdir(parents=True)
        for path in tqdm(motion, "export_motion", mininterval=2, unit=" shards", file=sys.stderr):
            for row in read_table(path, ["item", "mask"]).itertuples():
                clip, frame = places[row.item]
                picture = Image.fromarray((decode_mask(row.mask) >= foreground).astype(np.uint8), "P")
                picture.putpalette(palette)
                picture.save(folder / clips[clip] / f"{frame}.png", optimize=True)


def davis_palette() -> bytes:
    """Return the 256 colours of DAVIS and PASCAL VOC, RGB: the bits of the index, three by three from the lowest.

    The first of each three is a bit of red, the others of green and blue, and the lower bits are the stronger.
    """
    index, colours = np.arange(256), np.zeros((256, 3), np.uint8)
    for strength in range(8):
        for channel in range(3):
            colours[:, channel] |= ((index >> (3 * strength + channel) & 1) << (7 - strength)).astype(np.uint8)
    return colours.tobytes()


def _clip_and_frame(item: str) -> tuple[str, str]:
    """Return the two parts of `clip.mp4#000123` or `bear/00000.jpg`, the second without its ending."""
    clip, mark, frame = item.rpartition("#")
    if mark:
        return clip, frame
    clip, _, frame = item.rpartition("/")
    return clip, frame.rpartition(".")[0]


main = stage_command(export_motion)


if __name__ == "__main__":
    cli.run(main)
