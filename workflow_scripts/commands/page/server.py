"""Requests of the page.

Only who works at this computer may ask: the server listens on loopback, and a name in the Host header that is not one
of this computer's is refused, or else a page elsewhere could reach it under a name of its own (DNS rebinding). Requests
that change something must come from the page itself, by their Origin header.
"""

import ipaddress
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from flask import Flask, Response, abort, jsonify, render_template, request, send_file
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.utils import secure_filename

from workflow_scripts.commands.page.jobs import Job, Jobs
from workflow_scripts.commands.page.tasks import Task, find_tasks
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.names import readable

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PLAIN_SUFFIX = re.compile(r"\.[a-z0-9]+")
SHOWN_NAME = 60  # letters of a file's name


def is_loopback(host: str) -> bool:
    """Tell whether an address or a name is this computer's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def make_server(results: Path, jobs: Jobs, most_bytes: int, hosts: Iterable[str] = (), gpus: int = 0) -> Flask:
    """Return the application.

    Args:
        results: the folder of the experiments.
        jobs: what does the work.
        most_bytes: a larger file is not sent; the server that runs the application refuses it, too.
        hosts: names of this computer under which others may ask, beside those of loopback.
        gpus: GPUs that networks may use.
    """
    app = Flask(__name__)
    app.config["TRUSTED_HOSTS"] = [*LOOPBACK, *hosts]
    app.json.sort_keys = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.before_request(_refuse_strangers)
    app.register_error_handler(HTTPException, _in_one_line)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(HEADERS)
        return response

    @app.get("/")
    def page() -> str:
        tasks, unusable = find_tasks(results)
        trained = any(task.command == "apply" for task in tasks)
        return render_template("page.html", tasks=tasks, unusable=unusable, trained=trained, most=most_bytes)

    @app.post("/jobs")
    def submit() -> Response:
        if jobs.is_full:
            abort(503, "too many pictures wait or are kept; close other pages, or wait")
        tasks = {task.name: task for task in find_tasks(results, gpus)[0]}
        task = tasks.get(request.form.get("task", ""))
        if task is None:
            abort(400, "this is no longer there; load the page again")
        return jsonify(job=_submit(jobs, task, results))

    @app.get("/jobs/<name>")
    def look(name: str) -> Response:
        job = _job(jobs, name)
        files = [
            {"what": what, "url": f"/jobs/{name}/files/{number}", "name": path.name, "video": path.suffix == ".mp4"}
            for number, (what, path) in enumerate(job.files.items())
        ]
        return jsonify(state=job.state, place=jobs.place(name), progress=job.progress, said=job.said, files=files)

    @app.get("/jobs/<name>/files/<int:number>")
    def download(name: str, number: int) -> Response:
        files = [*_job(jobs, name).files.values()]
        if number >= len(files):
            abort(404)
        path = files[number]
        return send_file(path, as_attachment="download" in request.args, download_name=path.name, conditional=True)

    @app.post("/jobs/<name>/discard")
    def discard(name: str) -> Response:
        jobs.discard(name)
        return jsonify({})

    return app


def _submit(jobs: Jobs, task: Task, results: Path) -> str:
    """Put what was sent into the queue, and return the job's name."""
    name, folder = jobs.new_folder()
    try:
        files = {field: _save(upload, folder / "in", field) for field, upload in request.files.items() if upload}
        given = files.pop("input", None)
        if given is None:
            raise UserError("choose a picture first")
        if given.suffix not in task.suffixes:
            kinds = "a video or a driver's table" if task.drives else "a picture or a video"
            raise UserError(f"{Path(request.files['input'].filename).name} is not {kinds}")
        words = [*task.first, str(given), "--output", str(folder / "out"), *task.last]
        words += task.words(request.form.to_dict(flat=False), files)
        jobs.add(name, Job(task.command, words, folder, lambda text: task.labelled(text.replace(f"{results}/", ""))))
    except UserError as error:
        shutil.rmtree(folder)
        abort(400, str(error))
    return name


def _save(upload, folder: Path, field: str) -> Path:
    """Write an upload, under its own name as far as that is plain, since results are called by it."""
    suffix = Path(upload.filename).suffix.lower()
    suffix = suffix if PLAIN_SUFFIX.fullmatch(suffix) else ""
    stem = secure_filename(Path(upload.filename).stem)[:SHOWN_NAME] or "picture"
    path = folder / ("" if field == "input" else secure_filename(field)) / f"{stem}{suffix}"
    path.parent.mkdir(exist_ok=True)
    upload.save(path)
    return path


def _job(jobs: Jobs, name: str) -> Job:
    job = jobs.get(name)
    if job is None:
        abort(404, "the result is no longer kept; run it again")
    return job


def _refuse_strangers() -> None:
    origin = request.headers.get("Origin")
    if request.method != "GET" and origin is not None and origin != request.host_url.rstrip("/"):
        abort(403, "asked by another page")


def _in_one_line(error: HTTPException) -> tuple[Response, int]:
    refused = "this name is none of this computer's; open the address that the terminal shows"
    text = refused if isinstance(error, SecurityError) else error.description
    return jsonify(error=readable(text)), error.code
