"""What zips and tars have in common: which members are refused because of their names, and the reasons."""

from pathlib import PurePosixPath

from workflow_scripts.sources._listing import Problem


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
