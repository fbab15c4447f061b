"""`espressivo`: runs a command, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import atexit
import errno
import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from espressivo.cli.display.printing import tell
from espressivo.cli.interrupts import exit_code, stopping_as_interrupts
from espressivo.cli.streams import fault_of_output, standard_streams
from espressivo.errors import EspressivoError
from espressivo.text import reason_of, to_line
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

# The end of the process frees all memory; a search for cycles before it takes 40 ms.
atexit.register(gc.freeze)

_COMMANDS = (
    "analyze",
    "archive",
    "listen",
    "profile",
    "adapt",
    "serve",
    "api",
    "models",
    "corpora",
    "train",
    "crossval",
    "calibrate",
    "compress",
    "export",
    "bench",
    "evaluate",
    "tables",
    "reproduce",
)

# Imported package -> the extra of pyproject.toml that installs it.
_EXTRA = {
    "matplotlib": "plot",
    "torch": "train",
    "safetensors": "train",
    "onnx": "train",
    "sklearn": "train",
    "optuna": "train",
    "audiomentations": "train",
    "pyarrow": "archive",
    "transformers": "train",
    "ray": "cluster",
    "fsspec": "cluster",
    "sounddevice": "live",
    "fastapi": "serve",
    "prometheus_client": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "websockets": "serve",
    "python_multipart": "serve",
}

_DESCRIPTION = """\
Emotion from speech, on the device: anger, happiness, neutral or sadness in any
recording, and when. Nothing leaves this machine."""

_EPILOG = """\
examples:
  espressivo analyze note.m4a
  espressivo analyze *.ogg --csv > notes.csv
  espressivo evaluate espressivo-tiny manifest calls.csv

exit codes:
  0 done, 1 the input is at fault, 2 the command line is, 3 some of many inputs
  failed (each is listed on stderr) or an audit found a leak, 130 interrupted by
  Ctrl-C (143 by SIGTERM, 129 by SIGHUP: 128 and the signal's number)"""


class _Parser(argparse.ArgumentParser):
    """Parser that takes options between recordings, and whose messages are one line."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_intermixed = False

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; what follows options is taken as more of the list before them."""
        found, rest = super().parse_known_args(args, namespace)
        # argparse ends a list of positional arguments at the first option after it,
        # and its `parse_intermixed_args` knows neither subcommands nor, up to Python
        # 3.12.7, `--`; it calls this method.
        if not rest or self._is_intermixed or self._subparsers or "--" in (args or ()):
            return found, rest
        self._is_intermixed = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_intermixed = False

    def error(self, message: str) -> NoReturn:
        super().error(to_line(message))


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or of a single command."""
    parser = _Parser(
        "espressivo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    # A command imports only its own module, and that module imports slow libraries
    # inside its functions, so that --help is fast.
    for name in [command] if command in _COMMANDS else _COMMANDS:
        import_module(f"espressivo.cli.{name}").add_parser(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = sys.argv[1:] if argv is None else argv
    with standard_streams():
        try:
            with stopping_as_interrupts():
                try:
                    return _run(given)
                finally:
                    sys.stdout.flush()
        except EspressivoError as error:
            tell(error)
        except KeyboardInterrupt as interrupt:
            tell("interrupted")
            return exit_code(interrupt)
        except OSError as error:
            return _failed(error)
        except RuntimeError as error:
            # What pathlib raises of ~ if neither HOME nor a user's entry says where.
            if "home directory" not in str(error):
                raise
            tell("~: this user has no home folder; set HOME, or write paths in full")
        except MemoryError:
            tell("there is not enough memory; give a shorter input, or free some")
    return 1


def _run(given: list[str]) -> int:
    try:
        args = build_parser(given[0] if given else None).parse_args(given)
        return int(args.run(args))
    except ModuleNotFoundError as error:
        # Only packages of extras can be missing by the user's choice; any other missing
        # module is a bug, and its traceback is shown.
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        tell(
            f"{missing} is not installed, which this command needs; "
            f'run: pip install "espressivo[{_EXTRA[missing]}]"'
        )
        return 1


def _failed(error: OSError) -> int:
    """Say what could not be read or written, and return the exit code."""
    fault = fault_of_output()
    # In `espressivo ... | head`, head has closed the pipe; EINVAL is Windows's word.
    if isinstance(fault, BrokenPipeError) or (
        os.name == "nt" and fault is not None and fault.errno == errno.EINVAL
    ):
        return 0
    if fault is not None:
        tell(
            f"standard output: cannot be written ({reason_of(fault)}); "
            "send it to a file or a pipe that takes it"
        )
    else:
        tell(
            f"{error.filename or 'a file'}: cannot be read or written "
            f"({reason_of(error)}); make room, or name another"
        )
    return 1


if __name__ == "__main__":
    sys.exit(main())
