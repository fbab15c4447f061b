"""`espressivo api`: HTTP and WebSocket API of the analysis, for programs."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_address, add_model
from espressivo.cli.display.printing import say
from espressivo.errors import ServeError
from espressivo.serve.api.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

_DESCRIPTION = """\
Serve the analysis to programs: POST a recording to /v1/analyze, or open a WebSocket to
/v1/stream; docs/api.md and /v1/openapi.json describe both. Recordings are neither
stored nor logged. This command needs pip install "espressivo[serve]".

The browser app is `espressivo serve`."""

_EPILOG = """\
examples:
  espressivo api                      then curl --data-binary @note.ogg \\
                                      http://127.0.0.1:8766/v1/analyze
  espressivo api --host 0.0.0.0 --token-file FILE
                                      to the network; put a proxy with TLS in front

exit codes:
  0 stopped (Ctrl-C, SIGTERM or SIGHUP; it first finishes what runs), 1 it cannot be
  served
"""

_PORT = 8766
_TOKEN = "ESPRESSIVO_TOKEN"  # noqa: S105 - the variable's name

_MIB = 2**20
_DEFAULTS = Limits()


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "api",
        help="the analysis over HTTP and WebSocket, for programs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_address(parser, _PORT, network="its network too, with a token")
    add_model(parser)
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with the token that clients must send (Authorization: Bearer); or "
        f"set {_TOKEN}; without a token, only this machine is served",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="allow web pages of another origin, such as https://example.org; "
        "repeatable",
    )
    parser.add_argument(
        "--proxy",
        metavar="ADDRESS",
        help="IP address of a proxy whose X-Forwarded-For names the clients",
    )
    limits = parser.add_argument_group("limits")
    for flag, name, type_, unit, text in _LIMITS:
        limits.add_argument(
            flag,
            dest=name,
            type=type_,
            default=argparse.SUPPRESS,
            metavar=unit,
            help=f"{text} (default: {_shown(name)})",
        )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal stops the server, and return the exit code."""
    from espressivo.analyzer import load_model
    from espressivo.serve.api.server import ApiServer

    # Limits that were not given are absent, so that the defaults of `Limits` apply.
    options = vars(args)
    limits = {name: options[name] for _, name, *_ in _LIMITS if name in options}
    if "max_upload_bytes" in limits:
        limits["max_upload_bytes"] *= _MIB
    server = ApiServer(
        load_model(args.model),
        args.host,
        args.port,
        limits=Limits(**limits),
        token=_token(args.token_file),
        origins=args.allow_origin,
        proxy=args.proxy,
    )
    say(f"espressivo answers at {server.url} (Ctrl-C stops it)")
    server.run()
    return 0


def _token(path: Path | None) -> str | None:
    from espressivo.serve.api.security import checked_token

    # The token is not an argument, since other users can see a process's arguments.
    if path is None:
        text = os.environ.get(_TOKEN)
        return None if text is None else checked_token(text, _TOKEN)
    try:
        return checked_token(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"{path}: the token cannot be read ({error})") from error


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number, {least} or more"
            )
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        # NaN fails the comparison below, as any value out of range does.
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def _shown(name: str) -> str:
    value = getattr(_DEFAULTS, name)
    if name == "max_analyses":
        return "one a core"
    return f"{value / _MIB if name == 'max_upload_bytes' else value:g}"


_LIMITS: tuple[tuple[str, str, Callable[[str], float], str, str], ...] = (
    ("--max-upload", "max_upload_bytes", _whole(1), "MIB", "largest recording"),
    (
        "--max-duration",
        "max_duration_s",
        _seconds,
        "S",
        "longest recording or stream",
    ),
    (
        "--max-rate",
        "max_per_minute",
        _whole(0),
        "N",
        "recordings and streams per client and minute; 0: unlimited",
    ),
    (
        "--max-analyses",
        "max_analyses",
        _whole(1),
        "N",
        "recordings analysed in parallel",
    ),
    (
        "--max-waiting",
        "max_waiting",
        _whole(0),
        "N",
        "further recordings that are being received or queued",
    ),
    ("--max-streams", "max_streams", _whole(0), "N", "concurrently open streams"),
    (
        "--max-lag",
        "max_lag_s",
        _seconds,
        "S",
        "drop a stream if its analysis is this late",
    ),
    ("--idle", "idle_s", _seconds, "S", "drop a client that sends nothing for so long"),
    (
        "--head",
        "head_s",
        _seconds,
        "S",
        "close a connection that sends no complete head of a request for so long",
    ),
    (
        "--slow",
        "send_s",
        _seconds,
        "S",
        "drop a client that reads nothing for so long",
    ),
    (
        "--ping",
        "ping_s",
        _seconds,
        "S",
        "interval and time-out of WebSocket pings",
    ),
    (
        "--grace",
        "grace_s",
        _seconds,
        "S",
        "time for running work to finish when the server is stopped",
    ),
)
