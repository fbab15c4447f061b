"""`espressivo train`: one model from one configuration, resumable."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import named_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora import Utterance
    from espressivo.training.experiment import EpochReport

_DESCRIPTION = """\
Train one model as a TOML file says: on which corpora, which network, how long, with
which augmentation. The run folder then holds the configuration, a line of metrics an
epoch and the weights, which `espressivo export` makes a model of. A run that was
stopped, however hard, goes on after its last finished epoch when the same command is
given again, and ends with the weights it would have had.

With --leave-out a corpus is not trained on but scored after every epoch: how well the
model does on a corpus it has never heard. Nothing is chosen by that score."""

_EPILOG = """\
examples:
  espressivo train recipes/espressivo-tiny.toml --out runs/tiny
  espressivo train recipes/espressivo-tiny.toml --out runs/no-tess --leave-out tess
  espressivo train mine.toml --out runs/mine --corpus ravdess=~/corpora/ravdess
  espressivo train mine.toml --out runs/mine --corpus manifest=calls.csv

exit codes:
  0 done, 1 the configuration or a corpus is at fault, 130 interrupted (resumable)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "train",
        help="train a model from a configuration",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="the run's folder"
    )
    parser.add_argument(
        "--corpus",
        type=named_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="where a corpus is, in place of what the configuration says; repeatable",
    )
    parser.add_argument(
        "--leave-out",
        metavar="CORPUS",
        help="do not train on this one, score it instead (default: train on all)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of everything random (default: the configuration's)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep decoded, trimmed recordings here for the next run (default: no)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, or go on training."""
    from espressivo.training.config import read_config
    from espressivo.training.experiment import train

    config = _adapt(read_config(args.config), args)
    utterances, validation = _read(config, args.leave_out)
    try:
        with _watch(config) as (on_loaded, on_epoch):
            train(
                config,
                utterances,
                args.out,
                validation=validation,
                cache=args.cache,
                on_loaded=on_loaded,
                on_epoch=on_epoch,
            )
    except KeyboardInterrupt:
        print(
            f"interrupted; the same command goes on after the last epoch in {args.out}",
            file=sys.stderr,
        )
        return 130
    print(f"{args.out}: trained; next: espressivo export {args.out} --out DIR")
    return 0


def _adapt(config: ExperimentConfig, args: argparse.Namespace) -> ExperimentConfig:
    """Let the command line say what the configuration cannot know."""
    from dataclasses import replace

    from espressivo.errors import ConfigError

    corpora = dict(config.corpora)
    named = [*dict(args.corpus), *([args.leave_out] if args.leave_out else [])]
    for name in named:
        if name not in corpora:
            raise ConfigError(
                f"{args.config}: has no corpus '{name}' (it has: "
                f"{', '.join(corpora) or 'none'}); add it under [corpora]"
            )
    seed = config.seed if args.seed is None else args.seed
    return replace(config, corpora=corpora | dict(args.corpus), seed=seed)


def _read(
    config: ExperimentConfig, left_out: str | None
) -> tuple[list[Utterance], list[Utterance]]:
    from espressivo.training.corpora import read_corpus

    utterances: list[Utterance] = []
    validation: list[Utterance] = []
    for name, root in config.corpora.items():
        part = validation if name == left_out else utterances
        part += read_corpus(name, root)
    return utterances, validation


@contextmanager
def _watch(
    config: ExperimentConfig,
) -> Iterator[tuple[Callable[[int, int], None] | None, Callable[[EpochReport], None]]]:
    """Print a line an epoch on stderr, below it a bar for who watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    n_epochs = {"head": config.head.epochs, "finetune": config.finetune.epochs}
    before = {"head": 0, "finetune": n_epochs["head"]}
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("reading recordings", total=None)

        def on_loaded(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done == total:
                bar.reset(task, description="epochs", total=sum(n_epochs.values()))

        def on_epoch(report: EpochReport) -> None:
            console.print(_line(report))
            bar.update(task, completed=before.get(report.stage, 0) + report.epoch)

        yield on_loaded, on_epoch


def _line(report: EpochReport) -> str:
    ua = "" if report.mean_recall is None else f"  left-out UA {report.mean_recall:.1%}"
    return (
        f"{report.stage} {report.epoch}/{report.n_epochs}  loss {report.loss:.4f}{ua}"
        f"  {report.seconds:.0f} s"
    )
