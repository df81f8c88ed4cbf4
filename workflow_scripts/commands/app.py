"""A page for your own pictures and videos, on this computer: `make app`.

It does what `commands/apply.py` and `commands/occlude.py` do. Nothing is sent to other computers and nothing comes from
there; only this computer can open the page, and all its files are removed when it ends.

Only edit the face of somebody who agreed to it (README, "Consent and law").
"""

import argparse
import os
import signal
import sys
import tempfile
import webbrowser
from importlib.util import find_spec
from pathlib import Path

from workflow_scripts.commands._inputs import at_least
from workflow_scripts.core import cli

PORT, MEGABYTES, THREADS = 8321, 512, 8


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts.commands.app", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder of trained experiments")
    parser.add_argument("--port", type=at_least(0, 65535), default=PORT, help="0: any that is free")
    parser.add_argument(
        "--host", default="127.0.0.1", help="this computer's name or address, for others to open the page, unprotected"
    )
    parser.add_argument("--most-megabytes", type=at_least(1), default=MEGABYTES, help="of a file that is taken")
    parser.add_argument("--gpus", type=at_least(0), default=0, help="GPUs that may be used")
    parser.add_argument("--no-browser", action="store_true", help="only tell the address")
    args = parser.parse_args(argv)
    if find_spec("waitress") is None or find_spec("flask") is None:
        raise cli.UserError("the page needs packages that are not installed; write `make app`")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _serve(args)


def _serve(args: argparse.Namespace) -> None:
    import waitress

    from workflow_scripts.commands.page.jobs import Jobs
    from workflow_scripts.commands.page.server import is_loopback, make_server

    most = args.most_megabytes << 20
    name = f"[{args.host}]" if ":" in args.host else args.host
    jobs = Jobs(Path(tempfile.mkdtemp(prefix="own-pictures.")))
    try:
        application = make_server(args.results.resolve(), jobs, most, [name], args.gpus)
        try:
            server = waitress.create_server(
                application, host=args.host, port=args.port, threads=THREADS, max_request_body_size=most, ident=None
            )
        except (OSError, ValueError) as error:  # the latter of waitress, for a host that it cannot resolve
            what = getattr(error, "strerror", None) or str(error).rstrip(".")
            remedy = "write another --port, for example 0, or this computer's --host"
            raise cli.UserError(f"{args.host}, port {args.port}: {what}; {remedy}") from error
        address = f"http://{name}:{server.effective_port}/"
        print(f"open {address} (Ctrl-C ends it, and removes all its files)", flush=True)
        if not is_loopback(args.host):
            print(f"whoever reaches {args.host} can use the page", file=sys.stderr, flush=True)
        if not args.no_browser and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}):
            webbrowser.open(address)
        server.run()
    finally:
        jobs.close()


if __name__ == "__main__":
    cli.run(main)
