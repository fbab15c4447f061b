"""`espressivo listen`: emotion in live speech from a microphone or pipe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from espressivo.cli.arguments import (
    add_detection,
    add_excel,
    add_model,
    add_speaker,
    seconds,
    speech_options,
)
from espressivo.cli.display.printing import print_csv, print_json, tell
from espressivo.cli.streams import standard_input
from espressivo.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.analyzer import Analyzer
    from espressivo.audio.recording import Recording
    from espressivo.pipeline.stream import Stream
    from espressivo.report import Report
    from espressivo.types import Signal

_DESCRIPTION = """\
Listen to the microphone or to a pipe, and show the emotion of the speech while it goes
on. Ctrl-C (or SIGTERM), or the end of the pipe, prints the report of the whole
recording. Nothing is sent anywhere, and no audio is stored."""

_EPILOG = """\
examples:
  espressivo listen                                  the microphone (espressivo[live])
  espressivo listen --json > meeting.json            the report, at the end
  arecord -q -t raw -f S16_LE -r 16000 | espressivo listen - --raw
  ffmpeg -loglevel error -i STREAM -f wav - | espressivo listen -
  espressivo listen - --lines < note.wav             each estimate as a line of JSON

Unfinished speech is estimated every --hop seconds, from its first second on and by its
newest 8 s at most. These estimates are provisional (~). The report contains only final
estimates, and equals that of `espressivo analyze` for the same audio. `uncertain`: no
emotion reaches the model's threshold; the two most probable are named."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "listen",
        help="the emotion in what is being said now, from microphone or pipe",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="?",
        choices=["-"],
        help="- reads a recording from standard input; by default the microphone",
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="standard input is raw PCM: 16 kHz, 16 bit, little-endian, one channel",
    )
    add_model(parser)
    add_speaker(parser, learns=False)
    parser.add_argument(
        "--hop",
        type=seconds,
        default=1.0,
        metavar="S",
        help="how often unfinished speech is estimated, in seconds; 0: never "
        "(default: %(default)s)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the report as JSON")
    form.add_argument("--csv", action="store_true", help="print the report as CSV")
    form.add_argument(
        "--lines",
        action="store_true",
        help="print each estimate as a line of JSON when it comes, and no report",
    )
    add_excel(parser)
    add_detection(parser)
    # Known of `analyze`, so that it is told why it is not here.
    parser.add_argument("--adapt", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_listen, error=parser.error)


def _listen(args: argparse.Namespace) -> int:
    from espressivo.analyzer import load_model
    from espressivo.profile.profile import Profile

    if args.excel and (args.json or args.lines):
        args.error("--excel is a form of CSV; leave --json and --lines out")
    if args.adapt:
        args.error(
            "--adapt judges a recording as a whole, and this one has not ended; save "
            "it and use `espressivo analyze --adapt`, or give --speaker"
        )
    if args.raw and args.source is None:
        args.error("--raw is about standard input; give - as well")
    names = {"profile": args.speaker, "setting": args.setting}
    known = {role: Profile.load(name) for role, name in names.items() if name}
    analyzer = load_model(args.model, speech=speech_options(args), **known)
    stream = analyzer.stream(hop_s=args.hop)
    name = "stdin" if args.source else "microphone"
    # If the microphone is unplugged, the report covers the recording up to then.
    opened: list[Recording] = []
    failed = _follow(stream, analyzer, args, opened)
    report = _with_recording(stream.finish(name), opened)
    if failed is not None and not report.duration_s:
        raise failed
    if failed is not None:
        tell(failed)
    _print(report, args)
    return 0 if failed is None else 1


def _with_recording(report: Report, opened: list[Recording]) -> Report:
    """Return the report with what the recording says of its track, gaps and faults."""
    for each in opened:
        report = replace(
            report,
            track=each.track,
            channels=each.channels,
            gaps=tuple(each.gaps),
            warnings=(*each.warnings, *report.warnings),
        )
    return report


def _follow(
    stream: Stream,
    analyzer: Analyzer,
    args: argparse.Namespace,
    opened: list[Recording],
) -> AudioError | None:
    """Feed the stream until its input ends; return the error that ended it, or None."""
    from espressivo.cli.display.live_view import (
        LineWriter,
        LiveView,
    )
    from espressivo.cli.interrupts import Interrupt

    view = LineWriter(analyzer) if args.lines else LiveView(analyzer)
    with view:
        try:
            for block in Interrupt().until(_blocks(args, opened)):
                view.show(stream.push(block), block, stream.duration_s)
        except AudioError as error:
            return error
    return None


def _blocks(args: argparse.Namespace, opened: list[Recording]) -> Iterator[Signal]:
    from espressivo.audio.microphone import (
        Microphone,
        pcm_blocks,
        recording_blocks,
    )

    if args.source is None:
        return Microphone().blocks()
    pipe = standard_input()
    if args.raw:
        return pcm_blocks(pipe)
    return recording_blocks(pipe, "stdin", opened)


def _print(report: Report, args: argparse.Namespace) -> None:
    for warning in report.warnings:
        tell(f"warning: {warning}")
    if args.lines:
        return
    if args.json:
        print_json(report.to_json())
    elif args.csv or args.excel:
        print_csv(report.to_csv(), excel=args.excel)
    else:
        from espressivo.cli.display.timeline import print_report

        print_report(report)
