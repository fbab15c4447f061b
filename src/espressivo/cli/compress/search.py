"""`espressivo compress search`: which shapes of students are worth training."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import whole_number
from espressivo.cli.compress.distil import add_teachers, read_clips
from espressivo.cli.display.printing import say, tell
from espressivo.cli.interrupts import exit_code
from espressivo.cli.recipe import add_recipe_arguments, read_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.compress.search import FrontPoint

_DESCRIPTION = """\
Find the shapes of students that are worth training. Every shape of the space is
built, quantized to 8 bits and timed, untrained; those over the budget are dropped.
Optuna chooses among the others, by UA (up), milliseconds and megabytes (down). Each
choice is distilled for a few epochs, as `espressivo compress distil` does it in full,
and scored on the corpora that are left out. In the end the Pareto front is printed and
written into the study's folder (front.csv, front.toml, front.png), with the commands
that train it in full.

A corpus that is left out here chooses, so it is no test of the student any more.

The recipe holds the space, as lists of settings of [network], and the length of a
trial:

  [search]
  epochs = 3
  width = [64, 96, 128, 192]
  n_layers = [3, 4, 6, 8]

The same command goes on with a study, even a killed one; started twice, two processes
share it. --trials counts all shapes that are trained: a larger number goes on later."""

_EPILOG = """\
examples:
  espressivo train recipes/espressivo-base.toml --out runs/teacher \\
      --leave-out emovo --leave-out urdu --cache ~/.cache/train
  espressivo compress search recipes/student.toml --teacher runs/teacher \\
      --leave-out emovo --leave-out urdu --study studies/student \\
      --megabytes 1 --trials 12 --cache ~/.cache/train

exit codes:
  0 done, 1 the configuration, a teacher, a corpus or the study is at fault, or no shape
  is within the budget, 130 interrupted (resumable)"""


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `espressivo compress`."""
    parser = actions.add_parser(
        "search",
        help="find the shapes of students that are worth training",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    add_teachers(parser)
    parser.add_argument(
        "--study", type=Path, required=True, metavar="DIR", help="the study's folder"
    )
    parser.add_argument(
        "--trials",
        type=whole_number,
        default=20,
        metavar="N",
        help="shapes to train in all (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=whole_number,
        default=1,
        metavar="N",
        help="trials at once, each with the configuration's threads (default: 1)",
    )
    parser.add_argument(
        "--megabytes", type=_amount, metavar="MB", help="largest size in 8 bits"
    )
    parser.add_argument(
        "--milliseconds",
        type=_amount,
        metavar="MS",
        help="longest processor time of 8 s of speech, on this machine",
    )
    parser.set_defaults(run=run)


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def run(args: argparse.Namespace) -> int:
    """Run or continue the study, and print its front."""
    import optuna  # noqa: F401 - if it is missing, nothing is begun

    from espressivo.cli.display.training_progress import steps_bar
    from espressivo.training.compress.search import (
        Budget,
        Search,
        search_students,
        write_front,
    )

    config = read_recipe(args, args.leave_out)
    # Every trial has the same clips and teachers.
    args.cache = args.cache or args.study / "cache"
    clips, left_out, unlabelled = read_clips(config, args)
    search = Search(
        config=config,
        teachers=args.teachers,
        clips=clips,
        left_out=left_out,
        folder=args.study,
        cache=args.cache,
        unlabelled=unlabelled,
        budget=Budget(args.megabytes, args.milliseconds),
        n_trials=args.trials,
    )
    try:
        with steps_bar() as progress:
            points = search_students(search, args.workers, progress, _tell_trial)
    except KeyboardInterrupt as interrupt:
        tell(f"interrupted; the same command goes on with the study in {args.study}")
        return exit_code(interrupt)
    if not points:
        tell(f"{args.study}: no trial is finished; another process trains them")
        return 0
    commands = [_command(args, point) for point in points]
    write_front(points, args.study, config.network, commands)
    _print(points)
    say(f"the front is in {args.study}; to train a student of it in full:")
    for command in commands:
        say(command)
    return 0


def _tell_trial(point: FrontPoint) -> None:
    from espressivo.training.compress.search.space import describe

    tell(
        f"{describe(point.shape)}: UA {point.ua:.1%}, {point.megabytes:.2f} MB, "
        f"{point.milliseconds:.1f} ms"
    )


def _print(points: Sequence[FrontPoint]) -> None:
    from rich.table import Table

    from espressivo.cli.display.console import PlainConsole

    table = Table(box=None, pad_edge=False)
    first = points[0]
    names = [*first.shape, "UA", *first.by_corpus, "MB", "ms", "parameters"]
    for name in names:
        table.add_column(name, justify="right")
    for point in points:
        table.add_row(
            *map(str, point.shape.values()),
            *(f"{ua:.1%}" for ua in (point.ua, *point.by_corpus.values())),
            f"{point.megabytes:.2f}",
            f"{point.milliseconds:.1f}",
            f"{point.n_parameters:,}",
        )
    PlainConsole().print(table)


def _command(args: argparse.Namespace, point: FrontPoint) -> str:
    """Return the command that trains a student in full, on all corpora but those."""
    words = ["espressivo", "compress", "distil", str(args.config)]
    for option, values in (
        ("--corpus", [f"{name}={folder}" for name, folder in args.corpus]),
        ("--teacher", args.teachers),
        ("--leave-out", args.leave_out),
        ("--unlabelled", args.unlabelled),
        ("--set", [s for s in args.settings if not s.startswith("search.")]),
        ("--set", [f"network.{name}={v}" for name, v in point.shape.items()]),
    ):
        for value in values:
            words += [option, str(value)]
    shape = "-".join(str(value) for value in point.shape.values())
    words += ["--cache", str(args.cache), "--out", str(args.study / f"full-{shape}")]
    return shlex.join(words)
