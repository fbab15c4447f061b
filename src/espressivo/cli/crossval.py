"""`espressivo crossval`: train and test every fold of a protocol, resumable."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.display.printing import say
from espressivo.cli.recipe import add_recipe_arguments, read_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.folds.splits import Fold

_DESCRIPTION = """\
Train and test a model on every fold of a protocol: [protocol] in the configuration
defines which speakers or sessions test, validate and only train. The validation part
selects the epoch; the test part is scored once, at the end. With task = "dimensions"
or "both", arousal, valence or dominance are learned from listeners' ratings and scored
by CCC, RMSE and Pearson's correlation.

The result folder contains the folds, every run, and every utterance's predictions.
All tables and figures are made of these (`espressivo tables` repeats it). The same
command resumes an interrupted cross-validation, even a killed one."""

_EPILOG = """\
examples:
  espressivo crossval mine.toml --corpus iemocap=~/IEMOCAP --out results/mine
  espressivo crossval recipes/ravdess/statistics.toml --out results/lr --seeds 0 1
  espressivo crossval mine.toml --out results/mine --set training.epochs=5 --jobs 2
  espressivo crossval mine.toml --out /nfs/results/mine --engine ray

Check the folds for leaks first, which trains nothing:
  espressivo corpora audit mine.toml

exit codes:
  0 done, 1 the configuration or a corpus is at fault, 130 interrupted (resumable)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "crossval",
        help="train and test on every fold of a protocol",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RESULT", help="the result's folder"
    )
    add_running_arguments(parser)
    parser.set_defaults(run=run)


def add_running_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for seeds, executors and caches."""
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="a run for each, in every fold (default: 0)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where runs happen: on this machine, or as tasks of a Ray cluster that "
        "sees the same files (default: local)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at once on this machine, each with the configuration's threads "
        "(default: 1)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep decoded recordings and the outputs of frozen layers here; several "
        "results can share it (default: RESULT/cache)",
    )
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="go on without recordings that cannot be read; every table counts them "
        "(default: stop)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the cross-validation, then write its tables."""
    from espressivo.cli.display.training_progress import interrupted
    from espressivo.training.corpora import read_corpora
    from espressivo.training.folds.protocol import make_folds

    config = read_recipe(args)
    utterances = read_corpora(config.corpora, config.speakers, rated=config.uses_rated)
    folds = make_folds(config.protocol, utterances, config.seed)
    try:
        run_crossval(config, folds, args.out, args)
    except KeyboardInterrupt as interrupt:
        return interrupted(args.out, interrupt)
    _show(args.out)
    return 0


def _show(out: Path) -> None:
    """Print the main table, and write all tables."""
    from espressivo.cli.display.console import PlainConsole
    from espressivo.cli.display.tables import print_tables
    from espressivo.training.scores.crossval_results import read_results
    from espressivo.training.tables import dimension_table, main_table, write_report

    results = [read_results(out)]
    shown = [main_table(results), dimension_table(results)]
    print_tables(PlainConsole(), [table for table in shown if table is not None])
    command = shlex.join(["espressivo", *sys.argv[1:]])
    say(f"wrote {write_report(results, out / 'report', command=command)}")
    say(f"to compare it with another: espressivo tables {out} --against OTHER")


def run_crossval(
    config: ExperimentConfig,
    folds: Sequence[Fold],
    out: Path,
    args: argparse.Namespace,
    cautions: Sequence[str] = (),
) -> None:
    """Run folds and seeds by the options given, with progress on stderr.

    Args:
        config: Configuration of the network and its training.
        folds: Splits into training, validation and test parts.
        out: Folder of the result.
        args: Arguments of a parser with `add_running_arguments`.
        cautions: Caveats that every table of the result shows, as sentences.
    """
    from espressivo.cli.display.training_progress import runs_bar
    from espressivo.training.runs.crossval import (
        CrossvalOptions,
        crossval,
    )

    # Paths are made absolute, since a Ray worker starts in another folder.
    options = CrossvalOptions(
        seeds=tuple(args.seeds),
        engine=args.engine,
        jobs=args.jobs,
        cache=None if args.cache is None else args.cache.absolute(),
        skip_unreadable=args.skip_unreadable,
        cautions=tuple(cautions),
    )
    # Runs in other processes report only their end, not their epochs.
    here = options.engine == "local" and options.jobs == 1
    n_runs = len(folds) * len(options.seeds)
    with runs_bar(n_runs, config.training.epochs, here=here) as bar:
        crossval(
            config,
            folds,
            out.absolute(),
            options,
            on_loaded=bar.on_loaded,
            watch=bar,
        )
