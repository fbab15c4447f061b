"""`espressivo analyze`: emotion in recordings, overall and over time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espressivo.cli.arguments import (
    add_detection,
    add_excel,
    add_headerless,
    add_model,
    add_speaker,
    speech_options,
    whole_number,
)
from espressivo.cli.display.printing import print_csv, print_json, say, tell
from espressivo.cli.recordings import analyze_channels, analyze_recording, listed
from espressivo.cli.report_files import SUFFIXES, ReportFiles, parse_formats
from espressivo.errors import EspressivoError
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.analyzer import Analyzer
    from espressivo.profile.profile import Profile
    from espressivo.report import Report

_MOST_DRAWN = 200  # a PNG of matplotlib is at most 65,536 pixels high

_DESCRIPTION = """\
Print what emotion is in a recording, and when.

Speech is found first (pauses, noise and music are left out), cut into windows of at
most 8 s, and each window is classified; the recording's distribution is the mean of
its windows, weighted by duration. Where no emotion reaches the model's threshold, the
result is `uncertain`, and the two most probable are named. Any format FFmpeg reads will
do: wav, flac, mp3, ogg, opus, m4a, amr, webm, mp4 with sound; any rate, any number of
channels, any length. Nothing is sent anywhere."""

_EPILOG = """\
examples:
  espressivo analyze note.m4a
  espressivo analyze monday.ogg tuesday.ogg --csv > week.csv
  espressivo analyze note.m4a --json | jq .probabilities
  ffmpeg -i film.mkv -f wav - | espressivo analyze -
  espressivo analyze note.m4a --plot timeline.png
  espressivo analyze calls --output-dir out --format html,srt
  espressivo analyze call.wav --channels separate
  espressivo profile create me && espressivo analyze note.m4a --speaker me
  espressivo adapt hotline --from calls && espressivo analyze call.wav --setting hotline
  espressivo analyze interview.wav --adapt

what to adapt to, when (no labels are needed; they can be combined):
  --speaker    one person who is recorded again and again, in any mood
  --setting    many people, one microphone, room, language or call centre
  --adapt      one long recording of one person, of whom nothing else is known"""


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
        "recordings",
        nargs="+",
        metavar="RECORDING",
        help="a file, a folder for all recordings in it and below, or - for stdin",
    )
    add_model(parser)
    add_speaker(parser, learns=True)
    parser.add_argument(
        "--no-update",
        action="store_true",
        help="leave the speaker's profile as it is",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="one person's recording of a minute or more: judge its windows together, "
        "as those of one voice (default: each by itself)",
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
    add_excel(parser)
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="also write files about each recording, named like it, into this folder; "
        "existing ones are replaced",
    )
    parser.add_argument(
        "--format",
        type=parse_formats,
        action="extend",
        default=[],
        metavar="FORMAT",
        help=f"what to write into --output-dir: {', '.join(SUFFIXES)} (default: json); "
        "several are separated by commas, or the option is repeated; png needs "
        "espressivo[plot]",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the timelines (.png, .svg or .pdf; needs espressivo[plot])",
    )
    parser.add_argument(
        "--track",
        type=whole_number,
        metavar="N",
        help="audio track of a file with several, from 1 (default: as players choose)",
    )
    parser.add_argument(
        "--channels",
        choices=["mixed", "separate"],
        default="mixed",
        help="mixed: one report, of the channels with speech; separate: one report "
        "for each channel, as for calls with a person in each (default: %(default)s)",
    )
    add_headerless(parser)
    add_detection(parser)
    parser.add_argument(
        "--threads",
        type=whole_number,
        metavar="N",
        help="windows classified at once (default: one a core)",
    )
    parser.set_defaults(run=run, error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Analyse every recording; print failures on stderr and continue."""
    speech = speech_options(args)
    args.recordings = listed(args.recordings)
    _require_sense(args)
    files = None
    if args.output_dir is not None:
        formats = args.format or ["json"]
        files = ReportFiles(args.output_dir, formats, args.recordings)
    analyzer = _load_analyzer(
        args.model,
        threads=args.threads,
        profile=_load_profile(args.speaker),
        setting=_load_profile(args.setting),
        adapt=args.adapt,
        speech=speech,
    )
    reports: list[Report] = []
    n_failed = 0
    for given in args.recordings:
        try:
            found = _reports(analyzer, given, args)
        except EspressivoError as error:
            tell(error)
            n_failed += 1
            continue
        # Those of the file are in the report of each channel.
        for warning in dict.fromkeys(text for each in found for text in each.warnings):
            tell(f"warning: {warning}")
        _print(found, args, first=not reports)
        if files is not None:
            n_failed += not _write(files, given, found, args)
        reports += found  # kept for --plot, which draws all in one figure
        if args.speaker is not None and not args.no_update:
            analyzer, failed = _learn(analyzer, found[0], args.speaker, given)
            n_failed += failed
    if args.plot is not None and reports:
        from espressivo.figures.timeline import plot_timelines

        plot_timelines(reports, args.plot)
    if n_failed and len(args.recordings) > 1:
        tell(f"{n_failed} of {len(args.recordings)} recordings failed")
    if n_failed:
        # 3: scripts can tell some failed inputs from none that could be read.
        return 3 if reports and len(args.recordings) > 1 else 1
    return 0


def _load_analyzer(model: str, **options: Any) -> Analyzer:
    """Return an analyzer of the model; imports what analysis needs meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    from espressivo.model.classifier import load_classifier
    from espressivo.model.find import find_model

    # onnxruntime opens a graph in the time in which PyAV is imported.
    with ThreadPoolExecutor(1) as pool:
        classifier = pool.submit(load_classifier, find_model(model))
        from espressivo.analyzer import Analyzer
        from espressivo.cli.display import timeline  # noqa: F401

        return Analyzer(classifier.result(), **options)


def _require_sense(args: argparse.Namespace) -> None:
    """Report faults of the command line before the analysis, which can take long."""
    if args.plot is not None:
        from espressivo.figures.timeline import require_format

        require_format(args.plot)
        # Few files have more than two channels.
        most = _MOST_DRAWN // (2 if args.channels == "separate" else 1)
        if len(args.recordings) > most:
            args.error(f"--plot draws {most} recordings at most, in one figure")
    if args.format and args.output_dir is None:
        args.error(
            "--format is about files; name their folder with --output-dir, or print "
            "with --json or --csv"
        )
    if args.channels == "separate" and args.speaker and not args.no_update:
        args.error(
            "--channels separate: the profile would learn from other people's channels "
            "too; add --no-update"
        )
    if args.excel and args.json:
        args.error("--excel is a form of CSV; leave --json out")
    if args.no_update and args.speaker is None:
        args.error("--no-update is about a profile; name it with --speaker")


def _load_profile(name: str | None) -> Profile | None:
    from espressivo.profile.profile import Profile

    return None if name is None else Profile.load(name)


def _learn(
    analyzer: Analyzer, report: Report, speaker: str, given: str
) -> tuple[Analyzer, bool]:
    """Return the analyzer for the next recording, and whether learning failed."""
    try:
        learned = _learned(speaker, report, given)
        return analyzer.with_profile(learned, analyzer.setting), False
    except EspressivoError as error:  # the profile was deleted, or the disk is full
        tell(error)
        return analyzer, True


def _learned(speaker: str, report: Report, given: str) -> Profile:
    """Return the profile, updated unless the recording seems to be of another voice."""
    from espressivo.profile.profile import (
        Profile,
        learn,
    )

    assert report.adaptation is not None  # it was analysed with a profile
    assert report.statistics is not None
    if not report.statistics.n_windows:
        return Profile.load(speaker)
    # A profile must not learn from another voice; only the user can overrule this.
    if report.adaptation.fits is False:
        tell(
            f"profile '{report.adaptation.speaker}' did not learn from it; if it is "
            f"the same voice: espressivo profile update {speaker} "
            + ("RECORDING" if given == "-" else given)
        )
        return Profile.load(speaker)
    return learn(speaker, report)


def _reports(analyzer: Analyzer, given: str, args: argparse.Namespace) -> list[Report]:
    """Return the report of a recording, or those of its channels."""
    if args.channels == "separate":
        return analyze_channels(analyzer, given, args.track, args.headerless)
    return [analyze_recording(analyzer, given, args.track, args.headerless)]


def _write(
    files: ReportFiles, given: str, found: Sequence[Report], args: argparse.Namespace
) -> bool:
    """Write the files of a recording, and return whether they could be written."""
    try:
        paths = files.write(given, found)
    except OSError as error:  # the other recordings are still analysed and printed
        tell(
            f"{error.filename or args.output_dir}: cannot be written "
            f"({reason_of(error)}); make room, or name another --output-dir"
        )
        return False
    if not (args.json or args.csv or args.excel):  # these are for programs
        few = ", ".join(map(str, paths))
        folder = args.output_dir
        say(
            f"  written: {few if len(paths) < 4 else f'{len(paths)} files in {folder}'}"
        )
    return True


def _print(reports: Sequence[Report], args: argparse.Namespace, *, first: bool) -> None:
    """Print the report of a recording, or those of its channels."""
    if args.json:
        # Several reports are printed as JSON Lines, one object per line.
        single = len(args.recordings) == 1 and args.channels == "mixed"
        for report in reports:
            print_json(report.to_json(indent=2 if single else None))
    elif args.csv or args.excel:
        for i, report in enumerate(reports):
            top = first and i == 0
            print_csv(report.to_csv(header=top), excel=args.excel, first=top)
    else:
        from espressivo.cli.display.timeline import print_channels

        if not first:
            say()
        print_channels(reports)
    sys.stdout.flush()  # a reader of a pipe gets each report as soon as it is ready
