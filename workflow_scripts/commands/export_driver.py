"""Write how the face of a video moves, without the face: `clip.mp4 --output driver.parquet`.

The table (`faces/drivers.py`) drives a learned face as the video does: `python -m workflow_scripts.commands.apply
results/reenact/checkpoints driver.parquet --output driven`. It holds landmarks and where the pupils are, no picture and
no sound, so a driver can be passed on without the likeness of who drives.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import argparse
import sys
from pathlib import Path

from workflow_scripts.commands._clips import searched_clip
from workflow_scripts.commands._drivers import pack_driver
from workflow_scripts.commands._inputs import TABLE_SUFFIX
from workflow_scripts.config.sources import Crop, FaceSearch
from workflow_scripts.core import cli
from workflow_scripts.core.names import readable
from workflow_scripts.core.shards import Shard
from workflow_scripts.stages.faces.crop_faces import crop_faces

CROP = Crop(size=512, frame="head")  # large enough for the pupils


def export_driver(video: Path, output: Path) -> int:
    """Write the table of a driver, and return how many of the video's frames show a face.

    Args:
        video: the file; of several people, the largest one at the start of each shot drives.
        output: the table.

    Raises:
        UserError: the video cannot be used, or no frame shows a face.
    """
    if not video.is_file():
        raise cli.UserError(f"{video}: no file is there; write the path of one video")
    if output.suffix != TABLE_SUFFIX:
        raise cli.UserError(
            f"--output {output}: is a Parquet table; write `--output {output.with_suffix(TABLE_SUFFIX)}`"
        )
    try:
        with searched_clip(video, CROP, FaceSearch()) as clip:
            crops = clip.folder / "crops.arrow"
            crop_faces(clip.source, clip.index, clip.landmarks, crops, clip.folder / "rejected.parquet")
            if not len(Shard(crops)):
                raise cli.BadItem("no face", "no frame shows a face; give one that shows it clearly")
            for line in clip.remarks:
                print(readable(f"{video}: {line}"), file=sys.stderr)
            return pack_driver(clip.index, crops, output)
    except cli.BadItem as bad:
        raise cli.UserError(f"{video}: {bad.reason}; {bad.detail}") from bad


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts.commands.export_driver", description=__doc__.splitlines()[0]
    )
    parser.add_argument("video", type=Path, help="whose face drives")
    parser.add_argument("--output", type=Path, required=True, help="the .parquet to write")
    args = parser.parse_args(argv)
    count = export_driver(args.video, args.output)
    print(f"{count} frames show a face", file=sys.stderr)
    print(readable(str(args.output)))


if __name__ == "__main__":
    cli.run(main)
