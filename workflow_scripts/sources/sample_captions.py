"""Source `sample_captions`: parts of scikit-image's photographs, and its textures in colours, with captions.

The stage `draw_sample_captions` makes the pictures; `_captioned_scenes` says which, and what is said of each.
"""

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.config.sources import SampleCaptionsSource
from workflow_scripts.sources._captioned_scenes import SCENES
from workflow_scripts.sources._listing import File, Listing

FOLDER = Path("results/sample/raw_captions")
PICTURES = FOLDER / "pictures"


def list_files(source: SampleCaptionsSource) -> Listing:
    """List the pictures, also before they are drawn."""
    return Listing([File(scene.file, 0, 0, scene.file) for scene in SCENES])


def describe(source: SampleCaptionsSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each picture; parts of one photograph are of one group, which is never divided."""
    groups = {scene.file: scene.group for scene in SCENES}
    return [{"item": file.path, "file": file.path, "group": groups[file.path]} for file in files]


def captions_folder(source: SampleCaptionsSource) -> Path:
    """Return the folder of the table of captions."""
    return FOLDER


def open_store(source: SampleCaptionsSource):
    """Return the store that reads the pictures."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(PICTURES)
