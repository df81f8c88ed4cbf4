"""A stage's parameters are its command line, and its record says what was made of what."""

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from projects import ROOT

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.provenance.records import processor_seconds, read_records
from workflow_scripts.provenance.stage import (
    Input,
    Inputs,
    OptionalInput,
    Output,
    OutputFolder,
    Unrecorded,
    _argument_texts,
    _parameters,
    stage_command,
)

STAGES = sorted(p for p in (ROOT / "workflow_scripts/stages").glob("*/*.py") if p.stem != "__init__")
SOURCE = '{"path":"photos","type":"folder"}'


def join_words(
    words: Inputs,
    output: Output,
    folder: OutputFolder,
    source: BaseSource,
    role: Literal["plain", "loud"],
    notes: Path,
    listing: Unrecorded = "",
    times: int = 1,
    last: OptionalInput = None,
) -> None:
    """Write words to a file and a folder.

    Args:
        words: files with a word each; a second line
            of the same text.
        output: the file.
        folder: the folder.
        source: a source.
        role: how.
        notes: a place for notes.
        listing: not recorded.
        times: how often.
        last: one more word, 100 % sure.
    """
    text = " ".join(path.read_text() for path in [*words, *([last] if last else [])]) * times
    output.write_text(text.upper() if role == "loud" else text)
    folder.mkdir()
    (folder / "a.txt").write_text(source.type)
    notes.write_text("noted")


main = stage_command(join_words)


@pytest.fixture
def results(tmp_path) -> Path:
    results = tmp_path / "results"
    (results / "home").mkdir(parents=True)
    for name in ("one", "two", "three"):
        (results / "home" / f"{name}.txt").write_text(name)
    return results


def command(results: Path, *more: str) -> list[str]:
    home = results / "home"
    return [
        *("--words", str(home / "one.txt"), str(home / "two.txt"), "--output", str(home / "out.txt")),
        *("--folder", str(home / "folder"), "--source", SOURCE, "--role", "loud", "--notes", str(home / "notes.txt")),
        *("--listing", "never", "--code", "code:12,lock:34", *more),
    ]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_record_names_settings_inputs_and_outputs(results):
    record = results / "records/jobs/join_words/home/00000.json"
    main(command(results, "--last", str(results / "home/three.txt"), "--times", "2", "--record", str(record)))
    (found,) = read_records(results)
    assert found.name == "join_words home/00000" and found.digests == {"code": "12", "lock": "34"}
    assert found.settings == {"source": json.loads(SOURCE), "role": "loud", "times": 2}
    assert found.inputs == {f"home/{name}.txt": digest(name) for name in ("one", "two", "three")}
    text = "ONE TWO THREEONE TWO THREE"
    assert found.outputs == {"home/out.txt": (digest(text), len(text)), "home/folder/a.txt": (digest("folder"), 6)}
    assert found.libraries["torch"] and found.made[0] <= found.made[1]
    assert 0 < found.processor <= processor_seconds()


@pytest.mark.parametrize(
    "old, new", [("{", "["), ('"outputs": {', '"outputs": {"x": 5, '), ('"made": [', '"made": ["a", ')]
)
def test_a_damaged_record_is_passed_over(results, old, new):
    record = results / "records/jobs/join_words/home/00000.json"
    main(command(results, "--record", str(record)))
    assert len(read_records(results)) == 1
    assert old in record.read_text()
    record.write_text(record.read_text().replace(old, new, 1))
    assert read_records(results) == []


def test_an_optional_input_may_be_absent_or_left_without_a_value(results):
    main(command(results, "--last"))
    assert (results / "home/out.txt").read_text() == "ONE TWO"


def test_a_json_text_that_holds_something_else_is_refused_with_its_option(results):
    arguments = command(results)
    arguments[arguments.index(SOURCE)] = '{"type": "fold"}'
    with pytest.raises(UserError, match=r"^--source: "):
        main(arguments)


def test_what_is_read_is_not_written(results):
    arguments = command(results)
    arguments[arguments.index("--output") + 1] = str(results / "home/../home/two.txt")
    with pytest.raises(UserError, match=r"two\.txt would be read and written"):
        main(arguments)
    assert (results / "home/two.txt").read_text() == "two"


def test_a_failed_stage_leaves_no_record(results):
    (results / "home/two.txt").unlink()
    record = results / "records/jobs/join_words.json"
    with pytest.raises(FileNotFoundError):
        main(command(results, "--record", str(record)))
    assert not record.exists()


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_every_stage_explains_every_option(path):
    module = importlib.import_module(f"workflow_scripts.stages.{path.parent.name}.{path.stem}")
    function = getattr(module, path.stem)
    names = [parameter.name for parameter in _parameters(function)]
    assert set(names) == set(_argument_texts(function.__doc__))
    assert all(parameter.text for parameter in _parameters(function))


@pytest.mark.parametrize("function", [join_words])
def test_help_shows_what_the_docstring_says(function, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0 and "files with a word each; a second line of the same text." in shown
    assert "100 % sure" in shown


def read_one(word: Input, output: Output) -> None:
    """Copy a word.

    Args:
        word: the file.
        output: the copy.
    """
    output.write_text(word.read_text())


def test_an_input_that_is_not_there_is_named(results):
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        stage_command(read_one)(["--word", str(results / "none.txt"), "--output", str(results / "out.txt")])


WHEN_COLLECTED = """
import gc, sys
sys.argv[0] = "-m"
import workflow_scripts.stages
assert not gc.isenabled()
from workflow_scripts.core import cli
cli.run(lambda: sys.exit(not gc.isenabled()))
"""


def test_garbage_is_looked_for_from_the_work_of_a_command_on():
    assert subprocess.run([sys.executable, "-c", WHEN_COLLECTED], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("does", "said"), [("print('line\\n' * 100_000)", ""), ("print('line')", ""), ("1 / 0", "Traceback")]
)
def test_a_command_of_which_only_the_head_is_read_ends_quietly(does, said):
    command = [sys.executable, "-c", f"from workflow_scripts.core import cli\ncli.run(lambda: {does})"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read()[: len("Traceback")] == said
