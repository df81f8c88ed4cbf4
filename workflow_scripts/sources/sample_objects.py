"""Source `sample_objects`: scenes with objects and their masks, drawn of scikit-image's photographs, in COCO's format.

The stage `draw_sample_objects` draws them; `_object_scenes` says how. Held-out scenes show the same few objects as
those that are trained on, turned, mirrored and lit otherwise, before other grounds.
"""

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.config.sources import SampleObjectsSource
from workflow_scripts.sources._listing import File, Listing

FOLDER = Path("results/sample/raw_objects")
PICTURES = FOLDER / SampleObjectsSource.set
ANNOTATIONS = FOLDER / "objects.json"
SCENES = 160
NAMES = tuple(f"{number:03d}.png" for number in range(1, SCENES + 1))


def list_files(source: SampleObjectsSource) -> Listing:
    """List the scenes, also before they are drawn."""
    return Listing([File(name, 0, 0, name) for name in NAMES])


def annotation_files(source: SampleObjectsSource) -> list[Path]:
    """Return the one file of objects."""
    return [ANNOTATIONS]


def describe(source: SampleObjectsSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each scene."""
    return [{"item": file.path, "file": file.path} for file in files]


def open_store(source: SampleObjectsSource):
    """Return the store that reads the scenes."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(PICTURES)
