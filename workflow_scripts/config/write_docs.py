"""Write the documents that are generated from the code (`make docs`).

`docs/config.schema.json` and `docs/config.md` come from the models of the configuration. The tables of
`docs/targets.md` come from the section OUTPUTS at the head of each rules file; the text around them is written by hand.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from workflow_scripts.config.load import Config, inline_yaml, type_name
from workflow_scripts.core.files import write_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TABLES = re.compile(r"(<!-- Written by `make docs`[^\n]*-->\n).*(<!-- End of what `make docs` writes. -->)", re.DOTALL)


class Output(NamedTuple):
    """A file or folder that a rule writes.

    Attributes:
        path: as the rules file lists it; a folder ends in `/`.
        meaning: what it is.
        rule: the name of the rule, None where no rule makes it.
    """

    path: str
    meaning: str
    rule: str | None


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


def targets(page: str) -> str:
    """Return the page of targets with its tables replaced by those of the rules files.

    Args:
        page: the page as it is, with the two comments between which the tables stand.
    """
    return TABLES.sub(lambda found: f"{found[1]}\n{output_tables()}\n{found[2]}", page)


def output_tables() -> str:
    """Return a heading and a table of outputs for each rules file, in the order of the Snakefile, in Markdown."""
    included = re.findall(
        r'^include: f"{HOME}/rules/(\w+)\.smk"', (ROOT / "Snakefile").read_text(encoding="utf-8"), re.M
    )
    files = {path.stem: path for path in sorted((ROOT / "rules").glob("*.smk"))}
    of_families = [name for name in files if name not in included]
    lines = []
    for name in [*included[:-1], *of_families, included[-1]]:
        title, outputs = read_outputs(name, files[name].read_text(encoding="utf-8"))
        if not outputs:
            continue
        lines += [f"### [`rules/{name}.smk`](../rules/{name}.smk): {title[0].lower()}{title[1:]}", ""]
        lines += ["| file | what it is | stage |", "|---|---|---|"]
        for path, meaning, rule in outputs:
            code = f"[`{rule}`](../workflow_scripts/stages/{name}/{rule}.py)" if rule else ""
            lines.append(f"| `{path}` | {meaning} | {code} |")
        lines.append("")
    return "\n".join(lines)


def read_outputs(name: str, rules: str) -> tuple[str, list[Output]]:
    """Return the first sentence of a rules file and the outputs that its head lists.

    Args:
        name: of the file, without its ending.
        rules: its text.

    Raises:
        ValueError: the head does not list every output of every rule.
    """
    head, body = re.match(r'"""(.*?)"""(.*)', rules, re.DOTALL).groups()
    title = re.match(r"[^.]*", head)[0].replace("\n", " ")
    makers = {}
    for rule, text in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", body, re.DOTALL | re.MULTILINE):
        output = re.search(r"^    output:\n(.*?)^    \w", text, re.DOTALL | re.MULTILINE)
        makers |= dict.fromkeys(re.findall(r'"(results/[^"]+)"', output[1] if output else ""), rule)
    listed = re.findall(r"^    (results/\S+) {2,}(\S.*)$", head.partition("\nOUTPUTS\n")[2], re.MULTILINE)
    outputs = [Output(path, meaning, makers.pop(path.rstrip("/"), None)) for path, meaning in listed]
    if makers:
        raise ValueError(f"rules/{name}.smk: the section OUTPUTS of its head lacks {', '.join(makers)}")
    return title, outputs


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
    write_text(DOCS / "targets.md", targets((DOCS / "targets.md").read_text(encoding="utf-8")))
