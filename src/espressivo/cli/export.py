"""`espressivo export`: conversion of a training run to a model folder."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_named_folders, whole_number
from espressivo.cli.display.printing import tell
from espressivo.cli.interrupts import exit_code
from espressivo.text import to_line

if TYPE_CHECKING:
    from espressivo.training.export import ExportReport

_N_SHOWN = 5

_DESCRIPTION = """\
Make a model folder of a finished training run: model.onnx (from 16 kHz samples to
probabilities, everything in the graph), model.json (the card), licences, and a report
in JSON and Markdown.

The graph is compared with torch on real recordings. Then its matmuls are quantized to
int8 (static QDQ): activations by ranges seen on recordings of the run's training
corpora, weights with one scale per channel. A model that fails its checks is
not written (exit 1), and the message names the layer that drifts.

--budget searches for the layers to quantize instead: it measures what each matmul and
each kind of operator changes and saves, and takes the least time for the change
allowed. What saves no time on this machine stays fp32. With --cache, another budget
takes seconds."""

_EPILOG = """\
examples:
  espressivo export runs/tiny --out models/tiny
  espressivo export runs/tiny --out models/tiny --temperature 1.4 --force
  espressivo export runs/tiny --out models/tiny --held-out ravdess=~/corpora/ravdess
  espressivo export runs/tiny --out models/tiny --keep "blocks.3.*"
  espressivo export runs/tiny --out models/tiny --budget 0.02 --cache ~/.cache/export
  espressivo export runs/tiny --out models/phone --precision fp16
  espressivo export runs/tiny --out models/exact --precision fp32

exit codes:
  0 done, 1 the run, a corpus or the target is at fault, or a check failed,
  2 the command line is, 130 interrupted: nothing is written"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "export",
        help="make a model folder of a training run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("training_run", type=Path, metavar="RUN", help="its folder")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the folder to write"
    )
    _add_model(parser)
    _add_recordings(parser)
    _add_quantization(parser)
    parser.set_defaults(run=run)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="name of the model (default: the run's)")
    parser.add_argument(
        "--model-version",
        metavar="VERSION",
        help="version of the model (default: that of espressivo)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="divides the logits (default: what RUN/temperature.json says, else 1)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="put scores that `espressivo evaluate --out` wrote on the card; "
        "repeatable",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a model folder that is there"
    )


def _add_recordings(parser: argparse.ArgumentParser) -> None:
    add_named_folders(
        parser, "--corpus", "where a training corpus is, in place of what the run says"
    )
    add_named_folders(
        parser,
        "--held-out",
        "a labelled corpus to score int8 and fp32 on; calibrates nothing",
    )
    parser.add_argument(
        "--calibration",
        type=whole_number,
        default=100,
        metavar="N",
        help="recordings that calibrate ranges of activations (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="draws recordings (default: 0)"
    )


def _add_quantization(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision",
        choices=("int8", "fp16", "fp32"),
        default="int8",
        help="int8: matmuls in integers, for processors and browsers; fp16: half the "
        "size, for phones' GPUs, slower on a processor; fp32: as trained "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="PATTERN",
        help="layers that stay fp32, such as 'blocks.3.*'; repeatable",
    )
    parser.add_argument(
        "--budget",
        type=float,
        metavar="CHANGE",
        help="search for the layers to quantize: least time while probabilities change "
        "by at most this in the mean, 0.02 say (default: quantize every matmul with "
        "weights)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep the search's measurements there, for the next budget "
        "(default: nowhere)",
    )


def run(args: argparse.Namespace) -> int:
    """Export the run, and print the measured size, time and accuracy."""
    from espressivo.cli.display.training_progress import steps_bar
    from espressivo.training.export import ExportOptions, export_run

    options = ExportOptions(
        name=args.name,
        version=args.model_version,
        precision=args.precision,
        temperature=args.temperature,
        corpora=dict(args.corpus),
        held_out=dict(args.held_out),
        results=args.results,
        keep=args.keep,
        budget=args.budget,
        cache=args.cache,
        n_calibration=args.calibration,
        seed=args.seed,
        force=args.force,
        # The report records the command, so that the export can be repeated.
        command=shlex.join(["espressivo", *sys.argv[1:]]),
    )
    try:
        with steps_bar() as progress:
            report = export_run(args.training_run, args.out, options, progress)
    except KeyboardInterrupt as interrupt:
        kept = f"; what was measured is kept in {args.cache}" if args.cache else ""
        # A model folder is put in place whole, at the end.
        tell(f"interrupted: nothing was written{kept}")
        return exit_code(interrupt)
    _print(report, args.out)
    return 0


def _print(report: ExportReport, out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from espressivo.cli.display.console import PlainConsole
    from espressivo.training.export.report_text import rows_of

    console = PlainConsole()
    console.print(f"{report.name} {report.version}: {out}", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in rows_of(report):
        table.add_row(key, Text(to_line(value), style="cyan"))
    for found in report.held_out:
        table.add_row(
            f"{found.corpus}, {found.agreement.n} held out",
            Text(
                f"UA {found.ua:.2%}, fp32 {found.ua_fp32:.2%}; "
                f"top-1 {found.agreement.top1:.1%}",
                style="cyan",
            ),
        )
    console.print(table)
    for target in report.sites[:_N_SHOWN]:
        console.print(
            f"  {target.name} alone: changes {target.change:.4f}, "
            f"saves {target.share:.1%} of the time; {target.decision}",
            style="dim",
        )
    console.print(f"the whole report: {out / 'export.md'}")
