"""What is wrong with a configuration as YAML: `python -m workflow_scripts.config.well_formed mine.yaml`.

Snakemake says that a file is no YAML, but not where, and of a key that stands twice it takes the last without a word.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from workflow_scripts.core.names import readable


def yaml_problem(path: str | Path) -> str | None:
    """Return one line that says where a configuration is no YAML or has a key twice, and the remedy; else None."""
    if Path(path).suffix == ".json":  # which may be indented by tabs, and is written by programs
        return None
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return (
            f"{readable(str(path))} is no YAML: {place}{error.problem}; indent by blanks, the keys of one group alike, "
            "and write a blank after each colon"
        )
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"{readable(str(path))} is no YAML: {' '.join(str(error).split())}; save it as UTF-8"
    twice = next(_twice(root, ()), None)
    return None if twice is None else f"{readable(str(path))}: {twice}"


def _twice(node: yaml.Node | None, place: tuple[str, ...]) -> Iterator[str]:
    """Yield a line for each key that stands twice in one mapping."""
    for number, inner in enumerate(node.value if isinstance(node, yaml.SequenceNode) else ()):
        yield from _twice(inner, (*place, str(number)))
    first: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        here, line = (*place, str(key.value)), key.start_mark.line + 1
        if here[-1] in first and here[-1] != "<<":
            yield (
                f"`{readable('.'.join(here))}` stands in line {first[here[-1]]} and again in line {line}; rename or "
                "delete one"
            )
        first[here[-1]] = line
        yield from _twice(value, here)


if __name__ == "__main__" and (problem := yaml_problem(sys.argv[1])):
    sys.exit(f"error: {problem}")
