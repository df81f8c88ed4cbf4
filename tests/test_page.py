"""The local page as a program: who may ask, what it takes, one job after another, and nothing left of any."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import pytest
from film_files import assert_marked
from own_things import save_unmask
from PIL import Image
from projects import ROOT

from workflow_scripts.commands import app as program
from workflow_scripts.commands import apply, occlude
from workflow_scripts.commands._controls import describe, labelled, words_of
from workflow_scripts.commands.families import completion
from workflow_scripts.core.cli import UserError

pytest.importorskip("flask", reason="the page's packages are not installed")
pytest.importorskip("waitress", reason="the page's packages are not installed")

PATIENCE = 300  # seconds


class App:
    """The page's program, run on its own; all its temporary files lie in a folder of its own."""

    def __init__(self, folder: Path, results: Path, *words: str):
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        command = [sys.executable, "-m", "workflow_scripts.commands.app", "--port=0", "--no-browser", *words]
        self.process = subprocess.Popen(
            [*command, f"--results={results}"],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self.process.stdout.readline().split()[1]

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(by)
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def files(self) -> list[Path]:
        return [path for path in self.temporary.rglob("*") if path.is_file()]

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, dict]:
        request = Request(self.address + path, data, {name.replace("_", "-"): text for name, text in headers.items()})
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except HTTPError as error:
            return error.code, json.loads(error.read())

    def send(self, name: str, content: bytes, task: str, **fields: str) -> tuple[int, dict]:
        """Send the form of the page."""
        mark = uuid.uuid4().hex
        parts = [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{text}' for key, text in fields.items()]
        parts += [f'Content-Disposition: form-data; name="task"\r\n\r\n{task}']
        text = "".join(f"--{mark}\r\n{part}\r\n" for part in parts)
        text += f'--{mark}\r\nContent-Disposition: form-data; name="input"; filename="{name}"\r\n\r\n'
        body = text.encode() + content + f"\r\n--{mark}--\r\n".encode()
        return self.ask("jobs", body, Content_Type=f"multipart/form-data; boundary={mark}")

    def wait(self, job: str) -> dict:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self.ask(f"jobs/{job}")[1]
            if answer["state"] in ("done", "failed"):
                return answer
            time.sleep(0.2)
        raise AssertionError(answer)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """An experiment, one of an earlier version, and one that is damaged, in a folder whose name has blanks."""
    results = tmp_path_factory.mktemp("my results")
    for name in ("bare", "old", "broken"):
        (results / name / "checkpoints").mkdir(parents=True)
        save_unmask(results / name / "checkpoints")
    for network in ("map", "edit"):
        sidecar = results / f"old/checkpoints/{network}.json"
        sidecar.write_text(sidecar.read_text().replace('"crops"', '"was"'))
    (results / "broken/checkpoints/map.json").write_text("{")
    return results


@pytest.fixture(scope="module")
def app(tmp_path_factory, results) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("a page"), results, "--most-megabytes=1")
    yield app
    app.end()
    assert not [*app.temporary.iterdir()]


@pytest.fixture(scope="module")
def photo(tmp_path_factory, astronaut) -> Path:
    path = tmp_path_factory.mktemp("photo") / "her.png"
    Image.fromarray(astronaut[:300, 70:370]).save(path)
    return path


def test_the_page_offers_what_can_be_used_and_names_the_rest(app):
    with urlopen(app.address) as answer:
        page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    for task in ("bare", "old", "occlude"):
        assert f'<option value="{task}">' in page
    assert '<option value="broken">' not in page and "broken/checkpoints/map.json: is damaged" in page
    assert "default-src 'none'" in policy and "http" not in page.replace("http-equiv", "")


def test_without_an_experiment_it_says_what_to_run(tmp_path):
    from workflow_scripts.commands.page.server import make_server

    page = make_server(tmp_path, jobs=None, most_bytes=1).test_client().get("/").text  # the page asks for no job
    assert "<code>make run</code>" in page and '<option value="occlude">' in page


def test_fields_become_the_words_of_the_command():
    parser = argparse.ArgumentParser()
    completion.add_options(parser)
    shown = describe(completion.PAGE.controls, parser)
    sent = {
        "parts": ["mouth", "nose"],
        "count": ["3"],
        "diversity": [""],
        "move-smile": ["0.5"],
        "move-turn_left": ["0"],
    }
    assert words_of(shown, sent, {}) == ["--parts", "mouth", "nose", "--count=3", "--move", "smile=0.5"]
    words = words_of(shown, sent, {"hole": Path("hole.png")})
    assert words == ["--hole=hole.png", "--count=3", "--move", "smile=0.5"]
    assert vars(parser.parse_args(words))["hole"] == Path("hole.png")
    for field, text in (
        ("diversity", "nan"),
        ("count", "2.5"),
        ("count", "1000"),
        ("move-smile", "1e9"),
        ("parts", "ear"),
    ):
        with pytest.raises(UserError, match=re.escape(text)):
            words_of(shown, sent | {field: [text]}, {})
    assert labelled("write --count, not --counts", shown) == "write “Completions”, not --counts"


def test_only_this_computer_and_the_page_itself_may_ask(app):
    code, answer = app.ask("", Host="rebound.example")
    assert code == 400 and "none of this computer's" in answer["error"]
    code, answer = app.ask("jobs", b"", Origin="http://elsewhere.example")
    assert code == 403 and "another page" in answer["error"]
    assert app.ask("jobs/guessed")[0] == 404


def test_what_is_made_is_what_the_command_makes_and_goes_when_it_is_given_back(app, results, photo, tmp_path):
    job = app.send("her.png", photo.read_bytes(), "bare", face="0")[1]["job"]
    done = app.wait(job)
    assert done["state"] == "done" and [one["what"] for one in done["files"]] == ["output", "map"]
    with urlopen(app.address + done["files"][0]["url"][1:]) as answer:
        made = answer.read()
    apply.main([str(results / "bare/checkpoints"), str(photo), "--output", str(tmp_path), "--face", "0"])
    assert made == (tmp_path / "her.png").read_bytes()
    assert {path.name for path in app.files()} == {"her.png", "her_map.png"}  # what was sent is gone already
    app.ask(f"jobs/{job}/discard", b"")
    assert not app.files() and app.ask(f"jobs/{job}")[0] == 404


def test_jobs_wait_for_each_other_and_one_can_be_stopped(app, photo, tmp_path):
    first, second = (app.send("her.png", photo.read_bytes(), "bare")[1]["job"] for _ in range(2))
    states = {"waiting"}
    while states == {"waiting"}:  # the later one is looked at first: when it runs, the other one must have ended
        states = {app.ask(f"jobs/{job}")[1]["state"] for job in (second, first)}
    assert states != {"running"}
    app.ask(f"jobs/{first}/discard", b"")
    assert app.wait(second)["state"] == "done"
    app.ask(f"jobs/{second}/discard", b"")
    assert not app.files()


def test_masks_are_put_on_as_by_the_command(app, photo, tmp_path):
    job = app.send("her.png", photo.read_bytes(), "occlude", kind="cloth", color="#1f5f99", seed="4")[1]["job"]
    done = app.wait(job)
    with urlopen(app.address + done["files"][0]["url"][1:]) as answer:
        (tmp_path / "page.png").write_bytes(answer.read())
    words = ["--kind", "cloth", "--color", "#1f5f99", "--seed", "4", "--output", str(tmp_path / "out")]
    occlude.main([str(photo), *words])
    assert (tmp_path / "page.png").read_bytes() == (tmp_path / "out/her.png").read_bytes()
    app.ask(f"jobs/{job}/discard", b"")


def test_what_cannot_be_used_is_one_line_and_leaves_nothing(app, photo):
    def refusal(name: str, content: bytes, task: str = "bare", **fields: str) -> str:
        code, answer = app.send(name, content, task, **fields)
        if code == 200:
            done = app.wait(answer["job"])
            assert done["state"] == "failed"
            answer = {"error": "\n".join(done["said"])}
        assert "\n" not in answer["error"] and str(app.temporary) not in answer["error"] and not app.files()
        return answer["error"]

    good = photo.read_bytes()
    assert "not a picture" in refusal("broken.jpg", b"nothing of the kind")
    assert "not a video; it is in no known video format" in refusal("broken.mp4", b"nothing of the kind")
    assert "notes.txt is not a picture" in refusal("notes.txt", b"text")
    assert "is not a picture" in refusal("../../..", good)
    assert "no longer there" in refusal("her.png", good, "unknown")
    assert "is a number from 0 to 999" in refusal("her.png", good, face="nobody")
    assert "“File format” cannot be 'bmp'" in refusal("her.png", good, format="bmp")
    assert refusal("her.png", good, "old").startswith("old/checkpoints/map.json does not tell how faces were cut out")


def test_what_is_too_large_is_refused_before_it_is_read(app):
    address = urlsplit(app.address)
    connection = HTTPConnection(address.netloc, timeout=PATIENCE)
    connection.putrequest("POST", f"{address.path}jobs")
    connection.putheader("Content-Length", str(2 << 20))
    connection.endheaders()  # and nothing of what it announces
    assert connection.getresponse().status == 413
    connection.close()


def test_the_mark_is_in_what_is_downloaded(app, photo, tmp_path):
    done = app.wait(job := app.send("her.png", photo.read_bytes(), "old", frame="celeba", format="jpeg")[1]["job"])
    with urlopen(f"{app.address}{done['files'][0]['url'][1:]}?download") as answer:
        assert answer.headers["Content-Disposition"] == "attachment; filename=her.jpg"
        (tmp_path / "her.jpg").write_bytes(answer.read())
    assert_marked(tmp_path / "her.jpg")
    assert np.asarray(Image.open(tmp_path / "her.jpg")).shape == (300, 300, 3)
    app.ask(f"jobs/{job}/discard", b"")


def test_nothing_is_left_when_the_program_is_killed(tmp_path, results, photo):
    app = App(tmp_path, results)
    app.wait(app.send("her.png", photo.read_bytes(), "bare")[1]["job"])
    assert app.files()
    app.end(signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while [*app.temporary.iterdir()] and time.monotonic() < end:
        time.sleep(0.2)
    assert not [*app.temporary.iterdir()]


def test_an_address_that_cannot_be_had_ends_in_one_line(results, capsys):
    with pytest.raises(UserError, match=r"^999\.1\.1\.1, port 0: .*; write another --port[^\n]*--host$"):
        program.main(["--results", str(results), "--port", "0", "--host", "999.1.1.1", "--no-browser"])
    with pytest.raises(SystemExit):
        program.main(["--port", "99999"])
    assert "'99999' is no whole number from 0 to 65535" in capsys.readouterr().err
