"""`espressivo compress prune`: heads, neurons, channels and blocks of a run removed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_named_folders, share, whole_number
from espressivo.cli.display.printing import say, tell
from espressivo.cli.interrupts import exit_code
from espressivo.text import to_line

if TYPE_CHECKING:
    from espressivo.training.compress.prune import PruneReport

_DESCRIPTION = """\
Remove the parts of a trained network that matter least: attention heads, neurons of the
MLPs and whole blocks of a transformer (Whisper, HuBERT, wav2vec 2.0, DistilHuBERT), or
channels of LIGHT-SERNET. They are gone from the graph, so size and time fall.

What a part is worth is measured on recordings of the run's training corpora, without
their labels: how far the embedding and the logits move if it is removed (first-order
importance of gates). In each step of the schedule the least important parts are
removed, for each parameter that this saves, and what is left learns to have the outputs
of the unpruned network (distillation). At the end the last layer and the voices are
fitted again as `espressivo train` does it.

RUN2 is a run folder as any other: `espressivo export` makes a model of it. prune.md and
prune.json in it say what was removed and what it changed. The same command resumes a
stopped pruning, even a killed one, after its last finished step."""

_EPILOG = """\
examples:
  espressivo compress prune runs/tiny --out runs/half --share 0.5
  espressivo compress prune runs/tiny --out runs/3mb --megabytes 3 --cache ~/.cache/e
  espressivo compress prune runs/tiny --out runs/quarter --share 0.25 --schedule 5 \\
      --epochs 4

exit codes:
  0 done, 1 the run, a corpus, the budget or RUN2 is at fault, 2 the command line is,
  130 interrupted (resumable)"""


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `espressivo compress`."""
    parser = actions.add_parser(
        "prune",
        help="remove heads, neurons, channels and blocks of a trained network",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("training_run", type=Path, metavar="RUN", help="its folder")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN2", help="the folder to write"
    )
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument(
        "--share",
        type=share,
        metavar="S",
        help="share of the blocks' parameters to keep (LIGHT-SERNET: of the "
        "convolutions'), such as 0.5",
    )
    budget.add_argument(
        "--megabytes",
        type=_megabytes,
        metavar="MB",
        help="or the size of the int8 graph, in millions of bytes",
    )
    _add_recovery(parser)
    add_named_folders(
        parser, "--corpus", "where a training corpus is, in place of what the run says"
    )
    parser.add_argument(
        "--calibration",
        type=whole_number,
        default=64,
        metavar="N",
        help="recordings that the importance is measured on (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=_count,
        default=0,
        metavar="N",
        help="draws recordings (default: 0)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep decoded recordings and features here, as `espressivo train` does "
        "(default: no cache)",
    )
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="go on without recordings that cannot be read (default: stop)",
    )
    parser.set_defaults(run=run)


def _add_recovery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--schedule",
        type=whole_number,
        default=3,
        metavar="STEPS",
        help="steps in which as many parameters each are removed (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=_count,
        default=2,
        metavar="N",
        help="epochs of recovery after each step; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--draws",
        type=whole_number,
        default=2000,
        metavar="N",
        help="recordings drawn for an epoch, balanced over corpora and emotions "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--learning-rate",
        type=_rate,
        default=3e-5,
        metavar="R",
        help="peak learning rate of the recovery (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Prune the run, and print what was removed and measured."""
    from espressivo.cli.display.training_progress import steps_bar
    from espressivo.training.compress.prune import PruneOptions, prune_run

    options = PruneOptions(
        share=args.share,
        megabytes=args.megabytes,
        n_steps=args.schedule,
        epochs=args.epochs,
        n_draws=args.draws,
        learning_rate=args.learning_rate,
        n_calibration=args.calibration,
        seed=args.seed,
        corpora=dict(args.corpus),
        cache=args.cache,
        skip_unreadable=args.skip_unreadable,
    )
    try:
        with steps_bar() as progress:
            report = prune_run(args.training_run, args.out, options, progress)
    except KeyboardInterrupt as interrupt:
        tell(
            "interrupted; the same command goes on after the last finished step in "
            f"{args.out}"
        )
        return exit_code(interrupt)
    _print(report, args.out)
    return 0


def _print(report: PruneReport, out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from espressivo.cli.display.console import PlainConsole
    from espressivo.training.compress.prune.report import rows_of

    console = PlainConsole()
    console.print(f"{report.name}, pruned: {out}", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in rows_of(report):
        table.add_row(key, Text(to_line(value), style="cyan"))
    console.print(table)
    for layer in report.layers:
        if layer.n_after < layer.n_before:
            console.print(
                f"  {layer.name}: {layer.n_after:,} of {layer.n_before:,} left",
                style="dim",
            )
    # Not by the console, which would wrap long paths.
    say(f"the whole report: {out / 'prune.md'}")
    say(f"next: espressivo export {out} --out DIR")


def _megabytes(text: str) -> float:
    return _positive(text, "a size above 0")


def _rate(text: str) -> float:
    wanted = "a rate above 0 and below 1"
    if (value := _positive(text, wanted)) >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _positive(text: str, wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _count(text: str) -> int:
    """Return a parsed whole number of 0 or more."""
    return 0 if text == "0" else whole_number(text)
