"""`espressivo calibrate`: temperature and certainty of a run's probabilities."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import share
from espressivo.cli.display.printing import say

if TYPE_CHECKING:
    from espressivo.training.calibrate import Calibration

_DESCRIPTION = """\
Fit the temperature that a model's logits are divided by, and choose the threshold on
the top probability below which an answer is uncertain (selective classification). Both
need predictions for unseen speakers. These come from models of the same recipe that
were each trained without one corpus and evaluated on it (train --leave-out, export
--temperature 1, evaluate --out). Every folder has the same weight. `espressivo export`
reads both from RUN. The threshold is the lowest at which the certain answers reach
--accuracy; it refers to calibrated probabilities.

The figures of a folder are computed with the temperature and the threshold fitted to
the other folders; they estimate what an unseen corpus gets: the expected calibration
error (ECE), the share of certain answers and how many of them are right, and how many
of the most confident 100, 75, 50 and 25 % are right."""

_EPILOG = """\
examples:
  espressivo calibrate runs/tiny runs/no-tess/scores runs/no-nemo/scores
  espressivo calibrate runs/tiny runs/no-*/scores --accuracy 0.9 --plot curves.png"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "calibrate",
        help="fit a run's temperature and certainty on left-out speakers",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="RUN", help="its folder")
    parser.add_argument(
        "predictions",
        type=Path,
        nargs="+",
        metavar="PREDICTIONS",
        help="a folder that `espressivo evaluate --out` wrote",
    )
    parser.add_argument(
        "--accuracy",
        type=share,
        default=0.8,
        metavar="SHARE",
        help="accuracy that the certain answers should reach (default: %(default)s)",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the risk-coverage curves (.png, .svg or .pdf; needs "
        "espressivo[plot])",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit temperature and threshold, print them and write them to the run's folder."""
    from espressivo.errors import TrainingError
    from espressivo.figures.timeline import require_format
    from espressivo.training.calibrate import calibrate

    if not (args.folder / "model.safetensors").is_file():
        raise TrainingError(
            f"{args.folder}: holds no model.safetensors; pass a finished run"
        )
    if args.plot is not None:
        require_format(args.plot)
    fitted = calibrate(args.predictions, args.accuracy)
    fitted.write(args.folder)
    _print(fitted, args.accuracy)
    say(f"written to {args.folder}/temperature.json")
    if args.plot is not None:
        from espressivo.training.figures import plot_risk_coverage

        names = [part.predictions for part in fitted.left_out]
        curves = dict(zip(names, fitted.curves, strict=True))
        plot_risk_coverage(curves, fitted.overall, fitted.certainty, args.plot)
    return 0


def _print(fitted: Calibration, accuracy: float) -> None:
    from rich.table import Table

    from espressivo.cli.display.console import PlainConsole
    from espressivo.text import to_line
    from espressivo.training.calibrate import COVERAGES

    table = Table(box=None, pad_edge=False)
    table.add_column("left out", overflow="fold")
    heads = ("n", "ECE", "after", "certain", "right")
    for head in (*heads, *(f"of {c:.0%}" for c in COVERAGES)):
        table.add_column(head, justify="right")
    for part in fitted.left_out:
        table.add_row(
            to_line(part.predictions),
            str(part.n_utterances),
            f"{part.ece_before:.3f}",
            f"{part.ece_after:.3f}",
            _percent(part.coverage),
            _percent(part.accuracy),
            *(_percent(value) for value in part.accuracy_at.values()),
        )
    if len(fitted.left_out) > 1:
        table.add_row("mean", "", *_means(fitted), style="bold")
    PlainConsole().print(table)
    say()
    say(f"temperature {fitted.temperature:.3f}")
    if (certainty := fitted.certainty) is None:
        say(
            f"no threshold: no {_at_least()} answers reach an accuracy of "
            f"{accuracy:.0%}; pass a lower --accuracy"
        )
        return
    _, right = fitted.overall.at_threshold(certainty.threshold)
    say(
        f"uncertain below {certainty.threshold:.3f}; {certainty.coverage:.1%} of the "
        f"predictions are certain, and {right:.1%} of these are right"
    )


def _at_least() -> int:
    from espressivo.training.scores.selective import MIN_ANSWERS

    return MIN_ANSWERS


def _means(fitted: Calibration) -> list[str]:
    """Return the cells of the last row: means over the folders."""
    import numpy as np

    parts = fitted.left_out
    ece = [(p.ece_before, p.ece_after) for p in parts]
    rest = [(p.coverage, p.accuracy, *p.accuracy_at.values()) for p in parts]
    shares = np.array(rest, np.float64)
    # A folder without certain answers has no accuracy of them.
    known = [column[~np.isnan(column)] for column in shares.T]
    return [
        *(f"{value:.3f}" for value in np.mean(ece, axis=0)),
        *(_percent(float(k.mean()) if len(k) else None) for k in known),
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
