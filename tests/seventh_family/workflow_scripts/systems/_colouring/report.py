"""The family's part of the page and of the report."""

CAPTIONS = {"gallery": "Tiles, grey and in colour."}


def view(_experiment, _folders) -> dict:
    """Return nothing beside what every template is given."""
    return {}
