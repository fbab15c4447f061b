"""`espressivo analyze`: the emotion in recordings, and when."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import whole_number
from espressivo.errors import EspressivoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.analyzer import Analyzer
    from espressivo.report import Report

_DESCRIPTION = """\
Print what emotion is in a recording, and when.

Speech is found first (pauses, noise and music are left out), cut into windows of at
most 8 s, and each window is classified; the recording's distribution is the mean of
its windows, weighted by duration. Any format FFmpeg reads will do: wav, flac, mp3,
ogg, opus, m4a, amr, webm, mp4 with sound; any rate, any number of channels, any
length. Nothing is sent anywhere."""

_EPILOG = """\
examples:
  espressivo analyze note.m4a
  espressivo analyze monday.ogg tuesday.ogg --csv > week.csv
  espressivo analyze note.m4a --json | jq .probabilities
  ffmpeg -i film.mkv -f wav - | espressivo analyze -
  espressivo analyze note.m4a --plot timeline.png"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "analyze",
        help="the emotion in recordings, and when",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recordings", nargs="+", metavar="RECORDING", help="a file, or - for stdin"
    )
    parser.add_argument(
        "--model",
        default="espressivo-tiny",
        metavar="NAME|DIR",
        help="a bundled model or a model folder (default: %(default)s)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json",
        action="store_true",
        help="print JSON; one object a line when there are several recordings",
    )
    form.add_argument(
        "--csv", action="store_true", help="print one row a window and one a recording"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the timelines (.png, .svg or .pdf; needs espressivo[plot])",
    )
    parser.add_argument(
        "--threads",
        type=whole_number,
        metavar="N",
        help="windows classified at once (default: one a core)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Analyse every recording; one that fails costs a line on stderr."""
    from espressivo.analyzer import load_model  # slow: keep `--help` fast

    if args.plot is not None:
        from espressivo.plot import require_format

        require_format(args.plot)
    analyzer = load_model(args.model, threads=args.threads)
    reports: list[Report] = []
    n_failed = 0
    for given in args.recordings:
        try:
            report = _analyze(analyzer, given)
        except EspressivoError as error:
            print(error, file=sys.stderr)
            n_failed += 1
            continue
        for warning in report.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        _print(report, args, first=not reports)
        reports.append(report)
    if args.plot is not None and reports:
        from espressivo.plot import plot_timelines

        plot_timelines(reports, args.plot)
    if n_failed and len(args.recordings) > 1:
        print(
            f"{n_failed} of {len(args.recordings)} recordings failed", file=sys.stderr
        )
    if n_failed:
        return 3 if reports else 1
    return 0


def _analyze(analyzer: Analyzer, given: str) -> Report:
    with _progress(given) as progress:
        if given != "-":
            return analyzer.analyze(given, progress=progress)
        # A file, since some containers (m4a) can only be read by seeking.
        with tempfile.NamedTemporaryFile(prefix="espressivo-") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            return analyzer.analyze(copy.name, name="stdin", progress=progress)


def _print(report: Report, args: argparse.Namespace, *, first: bool) -> None:
    if args.json:
        print(report.to_json(indent=2 if len(args.recordings) == 1 else None))
    elif args.csv:
        print(report.to_csv(header=first), end="")
    else:
        from espressivo.cli.timeline import print_report

        if not first:
            print()
        print_report(report)
    sys.stdout.flush()


class _Progress:
    """A bar on stderr, for who waits at a terminal and waits long enough."""

    PATIENCE_S = 1.0

    def __init__(self, name: str) -> None:
        import time

        self._name = name
        self._clock = time.monotonic
        self._begun = self._clock()
        self.bar: _Bar | None = None

    def __call__(self, done_s: float, total_s: float | None) -> None:
        if self.bar is None:
            if self._clock() - self._begun < self.PATIENCE_S:
                return
            self.bar = _Bar(self._name)
        self.bar.update(done_s, total_s)


class _Bar:
    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self.progress.add_task(Path(name).name, total=None)
        self.progress.start()

    def update(self, done_s: float, total_s: float | None) -> None:
        self.progress.update(self._task, completed=done_s, total=total_s)


@contextmanager
def _progress(name: str) -> Iterator[_Progress | None]:
    if not sys.stderr.isatty():
        yield None
        return
    progress = _Progress(name)
    try:
        yield progress
    finally:
        if progress.bar is not None:
            progress.bar.progress.stop()
