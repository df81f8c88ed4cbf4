"""Write what is generated from the configuration's models: the JSON schema and the reference page (`make docs`)."""

import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from workflow_scripts.config.load import Config, inline_yaml, type_name
from workflow_scripts.core.files import write_text

DOCS = Path(__file__).parents[2] / "docs"


def schema() -> str:
    """Return the JSON schema of `config.yaml`."""
    return json.dumps(Config.model_json_schema(), indent=2, sort_keys=True) + "\n"


def reference() -> str:
    """Return the reference page of the configuration, in Markdown."""
    lines = [
        "# Configuration reference",
        "",
        "Written by `make docs` from `workflow_scripts/config/` and the `config.py` of each system; a test checks it.",
        "",
    ]
    for model in models():
        lines += [
            f"## {_title(model)}",
            "",
            *_summary(model),
            "| key | type | default | meaning |",
            "|---|---|---|---|",
        ]
        for key, field in model.model_fields.items():
            default = (
                "*required*"
                if field.is_required()
                else f"`{inline_yaml(field.get_default(call_default_factory=True))}`"
            )
            lines.append(
                f"| `{key}` | {type_name(field.annotation)} | {default} | {field.description or ''} |".replace(
                    "\n", " "
                )
            )
        lines.append("")
    return "\n".join(lines)


def models(root: type[BaseModel] = Config) -> list[type[BaseModel]]:
    """Return `root` and the models below it, each once, in the order in which a reader meets them."""
    found: list[type[BaseModel]] = []

    def visit(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in found:
                found.append(kind)
                for field in kind.model_fields.values():
                    visit(field.annotation)
        else:
            for argument in get_args(kind):
                visit(argument)

    visit(root)
    return found


def _title(model: type[BaseModel]) -> str:
    """Return a model's name; the experiments of all systems have the same, so theirs is followed by the system."""
    system = model.model_fields.get("system")
    return model.__name__ if system is None else f"{model.__name__}: {get_args(system.annotation)[0]}"


def _summary(model: type[BaseModel]) -> list[str]:
    text = (model.__doc__ or "").strip()
    return [text, ""] if text else []


if __name__ == "__main__":
    write_text(DOCS / "config.schema.json", schema())
    write_text(DOCS / "config.md", reference())
