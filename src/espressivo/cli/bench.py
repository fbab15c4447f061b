"""`espressivo bench`: time and size of models, compared on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import whole_number
from espressivo.cli.display.printing import print_json
from espressivo.model.find import DEFAULT

if TYPE_CHECKING:
    from espressivo.bench.report import BenchReport

_DESCRIPTION = """\
Measure the cost of models on this machine: size, time, time to the first result,
memory, and energy if the machine has counters.

A model is a bundled name, a model folder, or a .onnx file that takes float32 samples
[batch, time]. Several are timed in turn, in interleaved rounds, so that other programs
slow all of them alike: ratios hold on a busy machine, times only on a quiet one."""

_EPILOG = """\
examples:
  espressivo bench
  espressivo bench espressivo-tiny models/mine other.onnx
  espressivo bench a.onnx b.onnx --rounds 51 --plot pareto.png
  espressivo bench models/mine --profile
  espressivo bench models/mine --json > bench.json

exit codes:
  0 done, 1 a model cannot be measured, 130 interrupted"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "bench",
        help="measure what models cost on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models",
        nargs="*",
        default=[DEFAULT],
        metavar="MODEL",
        help=f"a name, a folder or a .onnx file (default: {DEFAULT})",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=8.0,
        metavar="S",
        help="length of the window (default: %(default)g)",
    )
    parser.add_argument(
        "--rounds",
        type=whole_number,
        default=21,
        metavar="N",
        help="times each model is timed (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=whole_number,
        metavar="N",
        help="threads of the second timing, after that on one (default: one per core)",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also show what each kind of operator costs, and the slowest nodes",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw time against size, and accuracy against time where cards "
        "have it (.png, .svg or .pdf; needs espressivo[plot])",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # This form also refuses NaN, for which every comparison is false.
    if not 0.01 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not seconds from 0.01 to 3600")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Measure the models, print the tables and draw the figure."""
    from espressivo.bench.measure import BenchOptions, bench
    from espressivo.bench.subject import find_subjects
    from espressivo.cli.display.progress import counting_bar

    # A wrong suffix is reported before the measurements, which take minutes.
    if args.plot is not None:
        from espressivo.figures.timeline import require_format

        require_format(args.plot)
    subjects = find_subjects(args.models)
    options = BenchOptions(args.seconds, args.rounds, args.threads)
    with counting_bar("measuring") as progress:
        report = bench(subjects, options, progress)
    if args.json:
        import json

        whole = report.to_dict(profiles=args.profile)
        print_json(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        _print(report, len(report.models[0].times_s), profiles=args.profile)
    if args.plot is not None:
        from espressivo.bench.figure import plot_costs

        plot_costs(report, args.plot)
    return 0


def _print(report: BenchReport, rounds: int, *, profiles: bool) -> None:
    from espressivo.bench.tables import cost_table, node_table, operator_table
    from espressivo.cli.display.console import PlainConsole

    console = PlainConsole()
    console.print(cost_table(report))
    machine = report.machine
    able = f" ({', '.join(machine.eight_bit_instructions)})"
    load = "" if machine.load is None else f", load {machine.load:.1f} before"
    console.print(
        f"{machine.processor}{able if machine.eight_bit_instructions else ''}, "
        f"{machine.cores} cores{load}; onnxruntime {machine.onnxruntime}; rounds: "
        f"{rounds}; times are medians (and quartiles)",
        style="dim",
    )
    for warning in report.warnings():
        console.print(f"warning: {warning}", style="yellow")
    if profiles:
        for model in report.models:
            console.print()
            console.print(operator_table(model))
            console.print()
            console.print(node_table(model))
