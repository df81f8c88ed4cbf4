"""What all groups of configuration keys share: unknown keys are refused, defaults are completed, text is canonical.

This package imports only light modules, because the Snakefile loads it at every start.
"""

import json
import os
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, lt=1)]


Share = Annotated[float, Field(ge=0, le=1)] | None


UserPath = Annotated[str, AfterValidator(os.path.expanduser)]  # a path as users write it, with `~` for their home


NAME = r"^[a-z][a-z0-9_]{0,99}$"  # sources and experiments become parts of names of folders and files


class Model(BaseModel):
    """A group of keys: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _complete_groups(cls, given: object) -> object:
        """Complete a group that is given in part from this key's default, which can differ from that of its class."""
        if not isinstance(given, dict):
            return given
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return given | {
            name: _completed(defaults[name], value)
            for name, value in given.items()
            if isinstance(defaults.get(name), Model) and isinstance(value, dict)
        }

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the group of keys that a JSON text holds.

        Raises:
            ValueError: it holds something else.
        """
        return cls.model_validate_json(text)

    def canonical(self) -> str:
        """Return the values, defaults included, as one canonical JSON string: equal settings give equal text."""
        return canonical_json(self)


def _completed(default: Model, given: dict) -> dict:
    whole = {name: getattr(default, name) for name in type(default).model_fields}
    return whole | {
        name: _completed(whole[name], value)
        if isinstance(whole.get(name), Model) and isinstance(value, dict)
        else value
        for name, value in given.items()
    }


def canonical_json(model: Model, keys: set[str] | None = None) -> str:
    """Return all values of a model, or only those of `keys`, as one canonical JSON string.

    It has no `<`: Snakemake's report puts the parameters of rules into a script of the page as they are, which
    `</script>` in a path would end.
    """
    text = json.dumps(model.model_dump(mode="json", include=keys), sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c")
