"""The family's part of the page and of the report."""

CAPTIONS = {"first_look": "Grey tiles, and the truth.", "gallery": "Tiles, grey and in colour."}


def view(_experiment, _folders) -> dict:
    """Return nothing beside what every template is given."""
    return {}
