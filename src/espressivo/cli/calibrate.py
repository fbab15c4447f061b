"""`espressivo calibrate`: temperature scaling of a run's probabilities."""

from __future__ import annotations

import argparse
from pathlib import Path

from espressivo.cli.display.printing import say

_DESCRIPTION = """\
Fit the temperature that a model's logits are divided by, on predictions for unseen
speakers. The predictions come from models of the same recipe that were each trained
without one corpus and evaluated on it (train --leave-out, export, evaluate --out).
Every folder has the same weight. `espressivo export` reads the temperature from RUN.

The expected calibration error (ECE) of a folder is computed with the temperature
fitted to the other folders; it estimates the error on an unseen corpus."""

_EPILOG = """\
example:
  espressivo calibrate runs/tiny runs/no-tess/scores runs/no-nemo/scores"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "calibrate",
        help="fit a run's temperature on left-out speakers",
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
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit the temperature, print it and write it to the run's folder."""
    from espressivo.errors import TrainingError
    from espressivo.training.calibrate import calibrate

    if not (args.folder / "model.safetensors").is_file():
        raise TrainingError(
            f"{args.folder}: holds no model.safetensors; pass a finished run"
        )
    fitted = calibrate(args.predictions)
    fitted.write(args.folder)
    for part in fitted.left_out:
        say(
            f"{part.predictions}: {part.n_utterances} utterances, "
            f"ECE {part.ece_before:.3f} before, {part.ece_after:.3f} after"
        )
    say(f"temperature {fitted.temperature:.3f}, in {args.folder}/temperature.json")
    return 0
