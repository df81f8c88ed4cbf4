"""The family's part of the page and of the report."""

CAPTIONS = {"first_look": "Grey tiles, and the truth.", "gallery": "Tiles, grey and in colour."}
FEW, FEW_SHOW = 1000, "So few show that grey can be told from colour."


def view(_experiment, _folders) -> dict:
    """Return nothing beside what every template is given."""
    return {}
