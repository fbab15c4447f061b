"""`espressivo serve`: HTTP server of the browser app."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_address
from espressivo.cli.display.printing import say, tell

if TYPE_CHECKING:
    from espressivo.serve.app_server import AppServer

_DESCRIPTION = """\
Serve the browser app from this machine: the emotion in a recording that you choose, or
in your voice while you speak. The browser computes it, with the same model files as
`espressivo analyze`. This server only sends the app's files: it receives no audio,
contacts no other machine, and logs no request.

The API for programs is `espressivo api`."""

_EPILOG = """\
examples:
  espressivo serve                    then open http://127.0.0.1:8765/
  espressivo serve --open             and open it in your browser
  espressivo serve --port 0           on any free port, which is printed

Browsers allow the microphone, and check the model's hash, only if the address begins
with https or is localhost. For another device, either forward its localhost to here:
  adb reverse tcp:8765 tcp:8765       an Android phone on a cable; open on the phone:
                                      http://localhost:8765/
  ssh -N -L 8765:127.0.0.1:8765 HERE  any machine that can log in to this one
or serve to the network behind an https proxy:
  espressivo serve --host 0.0.0.0

In a checkout, the first run builds the app; this needs Node.js 20.19 or newer, and
downloads npm packages. A wheel contains the built app.

exit codes:
  0 stopped (Ctrl-C, SIGTERM or SIGHUP), 1 it cannot be served, 130 interrupted while
  building (143 by SIGTERM, 129 by SIGHUP)
"""


_PORT = 8765


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "serve",
        help="the browser app, on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_address(parser, _PORT, network="its network too")
    parser.add_argument("--open", action="store_true", help="open it in your browser")
    parser.add_argument(
        "--verbose", action="store_true", help="print each request on stderr"
    )
    parser.set_defaults(run=_serve)


def _serve(args: argparse.Namespace) -> int:
    from espressivo.serve.app_server import AppServer
    from espressivo.serve.browser_app import (
        build_app,
        find_app,
        newer_source,
    )

    app = find_app() or build_app(_tell)
    if newer := newer_source(app):
        _tell(
            f"warning: {newer}: changed after {app} was built; run npm run build in "
            f"{app.parent}"
        )
    log = _tell if args.verbose else None
    with AppServer(app, args.host, args.port, log) as server:
        try:
            _announce(server, args)
            server.serve_forever()
        except KeyboardInterrupt:
            pass  # the normal end of a server
    return 0


def _announce(server: AppServer, args: argparse.Namespace) -> None:
    if not server.is_loopback:
        _tell(
            f"warning: {args.host}: other devices reach this, but browsers there give "
            "the microphone, and check the model's hash, only over https: put a proxy "
            "with TLS in front, or see espressivo serve -h for other ways"
        )
    say(f"espressivo runs at {server.url} (Ctrl-C stops it)")
    if args.open:
        from threading import Thread

        # A thread, since opening a text browser blocks until the user closes it.
        Thread(target=_open, args=(server.url,), daemon=True).start()


def _open(url: str) -> None:
    import webbrowser

    if not webbrowser.open(url):
        _tell(f"warning: found no browser to open {url} in")


def _tell(text: str) -> None:
    for line in text.split("\n"):  # the output of npm has many
        tell(line)
