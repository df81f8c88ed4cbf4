"""Keys of `occluders`: what is drawn on faces, and when it counts as well placed."""

import pkgutil
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from workflow_scripts.config.base import Model, Share, UserPath

OWN_PICTURES = ("moustache_picture", "mask_picture")  # kinds that are drawn from the user's own pictures


class Fit(Model):
    """When a drawn occluder counts as badly placed and its item goes to quarantine."""

    min_area: Share = Field(
        None, description="smallest fraction of the crop that it covers; null: the kind's own limit"
    )
    max_area: Share = Field(None, description="largest fraction of the crop that it covers; null: the kind's own")
    min_mouth: Share = Field(None, description="smallest fraction of the mouth that it covers; null: the kind's own")
    max_mouth: Share = Field(None, description="largest fraction of the mouth that it covers; null: the kind's own")
    max_eyes: Share = Field(None, description="largest fraction of the eyes that it covers; null: the kind's own")
    max_nostrils: Share = Field(
        None, description="largest fraction of the nose's underside that it covers; null: the kind's own"
    )
    min_face: float = Field(0.2, ge=0, le=1, description="smallest width of the face, as a fraction of the crop's")
    max_outside: float = Field(
        0.2, ge=0, le=1, description="largest fraction of the lower face's landmarks that lie outside the crop"
    )
    max_turn: float = Field(
        0.8,
        ge=0,
        le=1,
        description="largest difference between the widths of the face's sides, as a fraction of their sum",
    )


class Occluders(Model):
    """What is put on the faces."""

    mix: dict[str, float] = Field(
        {"surgical": 0.5, "cloth": 0.25, "kn95": 0.25},
        description="share of each kind; a kind is a file of `workflow_scripts/occluders/`",
    )
    front: dict[str, float] = Field(
        {},
        description="kinds that lie in front of the occluder, with the share of the items that each does, for example "
        "`{fingers: 0.05, strands: 0.05, scarf: 0.05}`; they belong to the bare face too, and stay",
    )
    variants: int = Field(1, ge=1, description="different occluders drawn for each training item; a test item has one")
    unless: list[str] = Field(
        [],
        description="CelebA attributes of faces on which nothing is drawn, for example `[Mustache, Goatee]`; a face "
        "whose attributes are unknown is drawn on",
    )
    pictures: UserPath | None = Field(
        None,
        description="folder of your own pictures with transparency, for the kind `moustache_picture`, and for "
        "`mask_picture`, which draws those with corner points beside them: "
        "[methods.md](methods.md#pairs-with-an-occluder-unmask-moustache)",
    )
    style: Literal["plain", "varied"] = Field(
        "varied",
        description="`plain`: few colours and shapes, flat light, as the published tool; `varied`: all "
        "colours, fabrics, folds, wear and light",
    )
    fit: Fit = Fit()

    @property
    def kinds(self) -> list[str]:
        """Return all kinds that are drawn."""
        return sorted({*self.mix, *self.front})

    @model_validator(mode="after")
    def _pictures_where_they_are_drawn(self):
        if bool({*OWN_PICTURES} & {*self.mix}) != (self.pictures is not None):
            raise ValueError(
                "`pictures:` and the kinds `moustache_picture` and `mask_picture` belong together; "
                "write for example `mix: {moustache_picture: 1.0}` and `pictures: data/moustaches`"
            )
        return self

    @field_validator("mix", "front")
    @classmethod
    def _known_kinds(cls, shares: dict[str, float]) -> dict[str, float]:
        known = occluder_kinds()
        for kind in shares:
            if kind not in known:
                raise ValueError(f"unknown kind {kind!r}; known: {', '.join(known)}")
        return shares

    @field_validator("front")
    @classmethod
    def _front_leaves_some(cls, front: dict[str, float]) -> dict[str, float]:
        if {*OWN_PICTURES} & {*front}:
            raise ValueError("your own pictures are drawn as occluders only, by `mix:`; leave them out")
        if min(front.values(), default=0) < 0 or sum(front.values()) > 1:
            raise ValueError("shares must not be negative, nor add up to more than 1; write for example `{scarf: 0.1}`")
        return front

    @field_validator("mix")
    @classmethod
    def _whole_mix(cls, mix: dict[str, float]) -> dict[str, float]:
        if not mix or min(mix.values()) < 0 or abs(sum(mix.values()) - 1) > 1e-6:
            raise ValueError(
                "shares must not be negative and must add up to 1; "
                "write for example `mix: {surgical: 0.5, cloth: 0.25, kn95: 0.25}`"
            )
        return mix


def occluder_kinds() -> list[str]:
    """Return the kinds of occluder: the files of `occluders/` (a name with `_` in front is shared code)."""
    return sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_"))
