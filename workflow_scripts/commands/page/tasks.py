"""What can be done on the page: each trained experiment, and drawing masks, which needs no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.commands import apply, occlude
from workflow_scripts.commands._controls import Control, Shown, describe, labelled, words_of
from workflow_scripts.commands._inputs import TABLE_SUFFIX
from workflow_scripts.commands._trained import find_trained
from workflow_scripts.core.cli import UserError
from workflow_scripts.occluders._config import OWN_PICTURES
from workflow_scripts.sources._listing import PICTURE_SUFFIXES, VIDEO_SUFFIXES

NUMBER = Control("--face", "Only this face (0 is the largest)", "number", (0, 999, 1))
SMALLEST = Control("--min-face", "Smallest face, pixels", "number", (8, 10000, 1))
FORMAT = Control("--format", "File format", "one")
SEED = Control("--seed", "Seed", "number", (0, 2**31, 1))
CHOICES = (
    NUMBER,
    Control("--like", "Only the person in this picture", "file"),
    FORMAT,
    SMALLEST,
    Control("--search-side", "Search side, pixels", "number", (640, 4096, 1)),
    Control("--frame", "How faces are cut out", "one"),
    Control("--whole", "A picture without a face is a tight crop of one", "switch"),
    SEED,
)
DRAWN = (
    Control("--kind", "Kind", "several"),
    Control("--color", "Colour", "color"),
    Control("--style", "Style", "one"),
)
OCCLUDE = "occlude"
NEEDS_FOLDER = {*OWN_PICTURES}


class Task(NamedTuple):
    """Something that can be done.

    Attributes:
        name: by which the form chooses it.
        title: what people read.
        about: a sentence.
        command: `apply` or `occlude`.
        first: words of its command line before the input.
        last: words behind it.
        suffixes: of the files that it takes.
        own: the controls of the task.
        more: controls that most people leave as they are.
    """

    name: str
    title: str
    about: str
    command: str
    first: Sequence[str]
    last: Sequence[str]
    suffixes: Sequence[str]
    own: Sequence[Shown]
    more: Sequence[Shown]

    @property
    def drives(self) -> bool:
        """Whether it makes a video of a driver."""
        return TABLE_SUFFIX in self.suffixes

    def words(self, values, files) -> list[str]:
        """Return the words of its options, see `words_of`."""
        return words_of([*self.own, *self.more], values, files)

    def labelled(self, text: str) -> str:
        """Return a message with the labels of the page in place of options."""
        return labelled(text, [*self.own, *self.more])


def find_tasks(results: Path, gpus: int = 0) -> tuple[list[Task], list[str]]:
    """Return what can be done with the checkpoints of `results`, and why some of them cannot be used, a line each."""
    tasks, unusable = [], []
    for folder in sorted(results.glob("*/checkpoints")):
        if any(folder.glob("*.safetensors")):
            try:
                tasks += _trained_tasks(folder, gpus)
            except UserError as error:
                unusable.append(str(error).replace(f"{results}/", ""))
    return [*tasks, _drawing_task()], unusable


def _trained_tasks(folder: Path, gpus: int) -> list[Task]:
    trained = find_trained(folder)
    family = apply.family_module(trained)
    page, parser, name = family.PAGE, apply.build_parser(trained), folder.parent.name
    drives = hasattr(family, "drive")
    suffixes = [*VIDEO_SUFFIXES, TABLE_SUFFIX] if drives else [*PICTURE_SUFFIXES, *VIDEO_SUFFIXES]
    own, more = describe(page.controls, parser), [] if drives else describe(CHOICES, parser)
    last = [f"--gpus={gpus}", *([] if drives else ["--maps"])]
    title = name if name == trained.system else f"{name} ({trained.system})"
    networks = page.networks(trained)
    if not networks:
        return [Task(name, title, page.about, "apply", [str(folder)], last, suffixes, own, more)]
    return [
        Task(
            f"{name}/{network}",
            title if network == networks[0] else f"{title}, by {network}",
            *(page.about, "apply", [str(trained.path(network))], last, suffixes, own, more),
        )
        for network in networks
    ]


def _drawing_task() -> Task:
    parser = occlude.build_parser()
    own = [
        shown._replace(choices=[choice for choice in shown.choices if choice not in NEEDS_FOLDER])
        for shown in describe(DRAWN, parser)
    ]
    about = "Draws a mask or a moustache on every face, in the picture's own resolution; no network has a part in it."
    more = describe((NUMBER, FORMAT, SMALLEST, SEED), parser)
    return Task(OCCLUDE, "Put on a mask or a moustache", about, "occlude", [], [], PICTURE_SUFFIXES, own, more)
