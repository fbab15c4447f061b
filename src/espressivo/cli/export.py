"""`espressivo export`: a finished run -> a model folder that every runtime reads."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_named_folders

if TYPE_CHECKING:
    from espressivo.training.export import ExportReport

_DESCRIPTION = """\
Make a model folder of a finished training run: model.onnx (from 16 kHz samples to
probabilities, everything in the graph), model.json (the card), licences, and a report
in JSON and Markdown.

The graph is compared with torch on real recordings. Then its products are rounded to
8 bits: activations by ranges that recordings from the run's training corpora show,
weights one scale a channel. A model that fails its checks is not written (exit 1),
and the message says which layer drifts."""

_EPILOG = """\
examples:
  espressivo export runs/tiny --out models/tiny
  espressivo export runs/tiny --out models/tiny --temperature 1.4 --force
  espressivo export runs/tiny --out models/tiny --held-out ravdess=~/corpora/ravdess
  espressivo export runs/tiny --out models/exact --precision fp32
  espressivo export runs/tiny --out models/tiny --largest-mb 7
  espressivo export runs/tiny --out models/tiny --sensitivity --keep "blocks.3.*"

exit codes:
  0 done, 1 the run, a corpus or the target is at fault, or a check failed"""


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
    _add_rounding(parser)
    parser.set_defaults(run=run)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the model (default: the run's)")
    parser.add_argument(
        "--model-version",
        metavar="VERSION",
        help="of the model (default: that of espressivo)",
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
        type=_count,
        default=100,
        metavar="N",
        help="recordings that choose ranges (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="draws recordings (default: 0)"
    )


def _add_rounding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision",
        choices=("int8", "fp32"),
        default="int8",
        help="of products with weights (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="PATTERN",
        help="layers that stay fp32, such as 'blocks.3.*'; repeatable",
    )
    parser.add_argument(
        "--largest-mb",
        type=float,
        metavar="MB",
        help="keep the most sensitive layers in fp32 too, while model.onnx stays "
        "below this size (default: keep none)",
    )
    parser.add_argument(
        "--ranges",
        choices=("mse", "percentile", "minmax"),
        default="mse",
        help="how ranges of activations are chosen (default: %(default)s)",
    )
    parser.add_argument(
        "--sensitivity",
        action="store_true",
        help="also measure what each layer alone in int8 changes",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Export, and print what was measured."""
    from rich.console import Console

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
        largest_bytes=None if args.largest_mb is None else int(args.largest_mb * 1e6),
        range_method=args.ranges,
        n_calibration=args.calibration,
        seed=args.seed,
        sensitivity=args.sensitivity,
        force=args.force,
        command=shlex.join(["espressivo", *sys.argv[1:]]),
    )
    with Console(stderr=True).status("starting") as status:
        report = export_run(args.training_run, args.out, options, status.update)
    _print(report, args.out)
    return 0


def _print(report: ExportReport, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"{report.name} {report.version}: {out}", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in report.rows_of_text():
        table.add_row(key, f"[cyan]{value}[/]")
    for found in report.held_out:
        table.add_row(
            f"{found.corpus}, {found.agreement.n} held out",
            f"[cyan]UA {found.ua:.2%}, fp32 {found.ua_fp32:.2%}; "
            f"top-1 {found.agreement.top1:.1%}[/]",
        )
    console.print(table)
    for name, drift in list(report.sensitivity.items())[:5]:
        console.print(f"  {name} alone in int8: {drift:.4f}", style="dim")
    console.print(f"the whole report: {out / 'export.md'}")
