"""Cards as Hugging Face's hub reads them: a README.md whose YAML head is read by programs and whose text by people."""

from collections.abc import Iterable, Mapping, Sequence

import yaml


def card(head: Mapping[str, object], title: str, parts: Iterable[str]) -> str:
    """Return the text of a card.

    Args:
        head: its metadata, in this order.
        title: in plain text.
        parts: paragraphs, tables and lists in Markdown; empty ones are left out.
    """
    metadata = yaml.safe_dump(dict(head), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{metadata}---\n" + "\n".join(f"\n{part}" for part in [f"# {title}", *parts] if part) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown, nothing where it has no rows."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *lines]) if lines else ""


def terms_table(licences: Mapping[str, str], consents: Mapping[str, str]) -> str:
    """Return what is said of the licence of everything that was used, and of the consent of who is shown."""
    return table(
        ("of", "licence", "consent"), ((name, text, consents.get(name, "")) for name, text in licences.items())
    )


def licence_tag(licences: Mapping[str, str], unknown: str) -> str:
    """Return the hub's word for licences that are in the text: `other`, or `unknown` where one is not stated."""
    return "unknown" if unknown in licences.values() else "other"


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
