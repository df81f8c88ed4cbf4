"""What zips and tars have in common: errors of whole archives, and which members are refused because of their names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from workflow_scripts.core import guard
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._listing import Problem


@contextmanager
def whole_archive(path: str | Path, kind: str) -> Iterator[None]:
    """Guard this process against an archive, and turn what the standard library raises on a damaged one into one line.

    Args:
        path: the archive.
        kind: `zip` or `tar`.

    Raises:
        UserError: the archive is damaged, or reading its list of members takes too much time or memory.
        OSError: it cannot be read at all, or the disk is full.
    """
    try:
        with guard.reading_whole(path):
            yield
    except UserError:
        raise
    except MemoryError as error:  # where nothing is guarded, as at the start of the workflow
        raise UserError(f"{path} {': '.join(guard.TOO_LARGE)}") from error
    except Exception as error:  # tarfile, zipfile and the decompressors raise nearly anything on damaged data
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} is no whole {kind} archive ({what}); download it again and compare its size"
        ) from error


def leads_out(name: str) -> bool:
    """Tell whether a member's name is that of a place outside the folder that it would be unpacked to."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return name.startswith(("/", "\\")) or ".." in parts or ":" in name[:2]


def unsafe_name(name: str) -> Problem:
    """Return the problem of a member whose name leads out of its archive."""
    detail = f"{name}: leads out of the archive; it was not read, make the archive anew without it"
    return Problem(name, "unsafe name in archive", detail)


def linked(name: str) -> Problem:
    """Return the problem of a member that is a link."""
    detail = f"{name}: is a link, which is never followed; put the file itself into the archive"
    return Problem(name, "link in archive", detail)


def repeated(name: str) -> Problem:
    """Return the problem of a second member of the same name."""
    detail = f"{name}: the archive has two members of this name; the first is used"
    return Problem(f"{name} (again)", "name used twice", detail)
