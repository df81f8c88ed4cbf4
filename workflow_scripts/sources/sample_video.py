"""Source `sample_video`: the frames of one clip of the embedded sample, as items of a source of their own.

The file is also part of the source `sample`, with which it is fetched. Here its frames are divided by time, as those of
any video.
"""

from collections.abc import Iterator, Sequence

from workflow_scripts.config.sources import SampleVideoSource
from workflow_scripts.sources._listing import File, Listing, Problem
from workflow_scripts.sources.sample import FOLDER
from workflow_scripts.sources.video import describe_clip


def list_files(source: SampleVideoSource) -> Listing:
    """List the one clip, also before it is fetched."""
    return Listing([File(source.clip, 0, 0, source.clip)])


def describe(source: SampleVideoSource, files: Sequence[File]) -> Iterator[dict | Problem]:
    """Yield a row for each chosen frame."""
    for file in files:
        yield from describe_clip(source, FOLDER, file.path)


def open_store(source: SampleVideoSource):
    """Return the store that reads the fetched files."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(FOLDER)
