"""Check what `make dist` built: its content, and one analysis by each.

    python -m tools.distributions dist [--python PYTHON]

The folder holds a wheel, an sdist and the npm package. The names in each are compared
with git's and those of the builds in `web/`. Then each is installed into an environment
of its own and analyses the example; all must agree. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.distributions.contents import (
    APP_LIMIT,
    KINDS,
    SMALLEST_APP_LIMIT,
    Checkout,
    problems_of,
    problems_of_build,
)
from tools.distributions.installs import (
    InstallError,
    analyse_with_node,
    analyse_with_python,
)

_ROOT = Path(__file__).parents[2]
_NOTE = _ROOT / "examples" / "voice-note.m4a"
_AGREEMENT = 0.02
"""How far two probabilities may differ, since the decoders do."""

_SHOWN = 20


def main() -> int:
    """Print what was found; return 0, or 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds wheel, sdist and npm package")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="program that makes the fresh environments (default: this Python)",
    )
    args = parser.parse_args()
    files, problems = _look_into(args.folder.resolve())
    if not problems:
        problems = _try(files, args.python)
    for problem in problems[:_SHOWN]:
        print(f"error: {problem}", file=sys.stderr)
    if len(problems) > _SHOWN:
        print(f"error: {len(problems) - _SHOWN} more", file=sys.stderr)
    return 1 if problems else 0


def _look_into(folder: Path) -> tuple[dict[str, Path], list[str]]:
    checkout = Checkout.read(_ROOT)
    problems = problems_of_build(
        "web/dist", checkout.app, APP_LIMIT, SMALLEST_APP_LIMIT
    )
    problems += problems_of_build("web/lib", checkout.lib)
    files = {}
    for name, kind in KINDS.items():
        found = sorted(folder.glob(kind.pattern))
        if len(found) != 1:
            problems.append(f"{folder}: {len(found)} files {kind.pattern}, not one")
            continue
        files[name] = found[0]
        problems += problems_of(kind, found[0], checkout)
    return files, problems


def _try(files: dict[str, Path], python: str) -> list[str]:
    """Return what is wrong with one analysis by each, and print what they say."""
    reports: dict[str, Any] = {}
    problems = []
    with TemporaryDirectory() as scratch:
        for name, file in files.items():
            folder = Path(scratch) / name.replace(" ", "-")
            start = time.monotonic()
            try:
                if name == "npm package":
                    report = analyse_with_node(file, _NOTE, folder)
                else:
                    report = analyse_with_python(file, _NOTE, folder, python)
            except InstallError as error:
                problems.append(f"{file.name}: {error}")
                continue
            reports[name] = report
            took = time.monotonic() - start
            chances = ", ".join(f"{e} {p}" for e, p in report["probabilities"].items())
            print(f"{file.name}: installed, {chances} ({took:.0f} s)")
    return problems or _disagreements(reports)


def _disagreements(reports: dict[str, Any]) -> list[str]:
    first, *others = (report["probabilities"] for report in reports.values())
    names = list(reports)
    return [
        f"the {name} says {emotion} {found[emotion]}, not within {_AGREEMENT} of "
        f"{wanted} like the {names[0]}"
        for name, found in zip(names[1:], others, strict=True)
        for emotion, wanted in first.items()
        if abs(found[emotion] - wanted) > _AGREEMENT
    ]


if __name__ == "__main__":
    sys.exit(main())
