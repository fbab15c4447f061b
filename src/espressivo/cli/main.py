"""`espressivo`: runs a command, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from espressivo.errors import EspressivoError
from espressivo.version import __version__

_COMMANDS = (
    "analyze",
    "archive",
    "listen",
    "profile",
    "serve",
    "api",
    "models",
    "corpora",
    "train",
    "crossval",
    "calibrate",
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
  espressivo evaluate espressivo-tiny ravdess path/to/ravdess

exit codes:
  0 done, 1 the input is at fault, 2 the command line is, 3 some of many inputs
  failed (each is listed on stderr) or an audit found a leak, 130 interrupted"""


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or of a single command."""
    parser = argparse.ArgumentParser(
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
    args = build_parser(given[0] if given else None).parse_args(given)
    try:
        return int(args.run(args))
    except EspressivoError as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        # Only packages of extras can be missing by the user's choice; any other missing
        # module is a bug, and its traceback is shown.
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(
            f"{missing} is not installed, which this command needs; "
            f'run: pip install "espressivo[{_EXTRA[missing]}]"',
            file=sys.stderr,
        )
        return 1
    # 130 is what shells report of a process that SIGINT ended: 128 + 2.
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # In `espressivo ... | head`, head has closed the pipe. Standard output must be
        # replaced, or Python fails again when it flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
