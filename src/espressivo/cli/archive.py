"""`espressivo archive`: analysis of many recordings into tables, resumable."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import (
    add_detection,
    add_headerless,
    add_model,
    speech_options,
    whole_number,
)
from espressivo.cli.display.printing import tell
from espressivo.cli.interrupts import exit_code

if TYPE_CHECKING:
    from espressivo.batch import Summary

_DESCRIPTION = """\
Analyse many recordings, on all cores, into Parquet tables: recordings, windows,
failures (with the reason), and what a folder holds that is no recording (left-out).

IN is a folder, including its subfolders; a pattern in quotes; or a manifest, a .csv,
.tsv or .parquet table with columns id and path, whose other columns are copied into the
tables. In a folder, every file that is a
recording is taken, by content; what is left out is counted and listed. The same command
resumes a run that was interrupted by Ctrl-C, kill -9, a full disk or a power cut.

With --adapt, recordings are judged by what the others around them sound like, without
labels, in two passes; the second one reads no sound. The manifest says what belongs
together:
  group     recordings that share a setting: microphones, rooms, a language, a call
            centre (without this column the whole archive is one group)
  speaker   recordings of one person in a group (where this is empty, the recording is
            all that is known of its speaker)
Every recording of a group counts once, and emotions need not be balanced: that a call
centre is mostly neutral is inferred. A group of 20 recordings has its full weight, and
so has a speaker of 20 windows; a recording that is alone is adapted to its own windows.
The tables tell what changed."""

_EPILOG = """\
examples:
  espressivo archive notes --out tables
  espressivo archive 'notes/2025-*/**/*.ogg' --out tables --plot emotions.png
  espressivo archive calls.csv --out tables --workers 8
  espressivo archive calls.csv --out tables --adapt
  espressivo archive s3://bucket/calls.parquet --out s3://bucket/tables --engine ray

then, in Python:
  pandas.read_parquet("tables/recordings")

exit codes:
  0 done, 1 the input is at fault or every recording is, 2 the command line is,
  3 some recordings failed (see the table `failures`), 130 interrupted (resumable)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "archive",
        help="many recordings into tables, resumable",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", metavar="IN", help="a folder, a pattern in quotes, or a manifest"
    )
    parser.add_argument(
        "--out", required=True, metavar="OUT", help="the folder of the tables"
    )
    add_model(parser)
    _add_running_arguments(parser)
    add_headerless(parser)
    add_detection(parser)
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the emotions' shares (.png, .svg or .pdf; needs "
        "espressivo[plot])",
    )
    parser.set_defaults(run=run, error=parser.error)


def _add_running_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="processes of this machine, or tasks of a Ray cluster that sees the same "
        "files (default: local)",
    )
    parser.add_argument(
        "--workers",
        type=whole_number,
        metavar="N",
        help="processes of this machine, each with a model of its own (default: one a "
        "core)",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="judge each recording by what its group and its speaker sound like, in "
        "two passes (columns group and speaker of a manifest; default: each by "
        "itself)",
    )
    parser.add_argument(
        "--setting",
        metavar="NAME",
        help="judge each recording by a setting, made of other recordings (see "
        "`espressivo adapt`), in one pass; not with --adapt",
    )
    parser.add_argument(
        "--shard-size",
        type=whole_number,
        metavar="N",
        help="recordings that are finished together, in a file of their own (default: "
        "32; up to 1000 for more than 131,072 recordings)",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="delete the archive that is in OUT, and begin again",
    )


def run(args: argparse.Namespace) -> int:
    """Start or resume the archive, and print the summary of its tables."""
    # Faults of the command line are reported before hours of work.
    if args.plot is not None:
        from espressivo.figures.timeline import require_format

        require_format(args.plot)
    if args.engine == "ray" and args.workers is not None:
        args.error("--workers is about this machine; a Ray cluster decides itself")
    if args.adapt and args.setting is not None:
        args.error("--adapt finds the setting of each group itself; give one of both")
    from espressivo.batch import ArchiveOptions, analyze_archive
    from espressivo.cli.display.archive_progress import archive_bar
    from espressivo.cli.display.archive_summary import print_summary
    from espressivo.profile.profile import Profile

    options = ArchiveOptions(
        engine=args.engine,
        workers=args.workers,
        shard_size=args.shard_size,
        restart=args.restart,
        headerless=args.headerless,
        adapt=args.adapt,
        setting=None if args.setting is None else Profile.load(args.setting),
        speech=speech_options(args),
    )
    try:
        with archive_bar() as bar:
            summary = analyze_archive(
                args.source,
                args.out,
                model=args.model,
                options=options,
                on_progress=bar,
            )
    except KeyboardInterrupt as interrupt:
        tell(f"interrupted; the same command, without --restart, goes on in {args.out}")
        return exit_code(interrupt)
    print_summary(summary, args.out, bar)
    if args.plot is not None:
        from espressivo.batch.figure import plot_summary

        plot_summary(summary, args.plot)
    return _exit_code(summary)


def _exit_code(summary: Summary) -> int:
    if not summary.n_failed:
        return 0
    return 3 if summary.n_analysed else 1  # 1: no recording could be read
