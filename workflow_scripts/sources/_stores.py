"""Where the bytes of a source's files come from."""

import os
from pathlib import Path
from typing import Protocol

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import open_regular
from workflow_scripts.sources._pictures import BadPicture

BYTES_BESIDE_PIXELS = 16_000_000  # bytes of a file that are not pixels: thumbnails, profiles, comments


class Store(Protocol):
    """Reads the files of one source."""

    def read(self, file: str, max_bytes: int) -> bytes:
        """Return the bytes of a file.

        Raises:
            BadPicture: the file cannot be read, or has more than `max_bytes` bytes.
        """

    def close(self) -> None:
        """Close the files that are open."""


class FolderStore:
    """Reads the files below a folder.

    Raises:
        UserError: the folder is missing.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(
                f"{root} is not there any more; bring the folder back (is its disk mounted?) and start again"
            )

    def read(self, file: str, max_bytes: int) -> bytes:
        """See `Store.read`."""
        try:
            with open_regular(self.root / file) as opened:
                size = os.fstat(opened.fileno()).st_size
                check_bytes(size, max_bytes)
                return opened.read(size)
        except OSError as error:
            raise BadPicture("cannot be read", f"{error.strerror}; mend the file or remove it") from error

    def close(self) -> None:
        """See `Store.close`."""


def check_bytes(size: int, max_bytes: int) -> None:
    """Raise `BadPicture` for a file that is too large to be a picture within the limit of pixels."""
    if size > max_bytes:
        raise BadPicture(
            "file too large",
            f"{size:,} bytes are more than a picture of max_pixels can have; raise max_pixels or remove it",
        )
