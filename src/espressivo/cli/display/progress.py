"""A bar on stderr for who watches; lines, but no bar, in a log or a pipe."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.progress import Progress

    from espressivo.training.export.options import Progress as Steps
    from espressivo.training.runs.train import EpochReport


@contextmanager
def counting_bar(description: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many are done of how many; yield None when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with counting_progress() as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def watch_epochs(n_epochs: int) -> Iterator[Callable[[EpochReport], None]]:
    """Print a line an epoch on stderr, below it a bar for who watches."""
    with counting_progress() as bar:
        task = bar.add_task("epochs", total=n_epochs or 1)

        def on_epoch(report: EpochReport) -> None:
            bar.console.print(epoch_line(report))
            bar.update(task, completed=report.epoch)

        yield on_epoch


@contextmanager
def watch_steps() -> Iterator[Steps]:
    """Show on stderr which step goes on, and where it counts, how far it is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = ("{task.description}", BarColumn(), "{task.fields[count]}")
    with Progress(
        *(TextColumn(c) if isinstance(c, str) else c for c in columns),
        console=Console(stderr=True, highlight=False),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("starting", total=None, count="")

        def on_step(step: str, done: int = 0, total: int = 0) -> None:
            count = f"{done}/{total}" if total else ""
            bar.update(
                task, description=step, completed=done, total=total or None, count=count
            )

        yield on_step


def interrupted(out: Path) -> int:
    """Say how to go on after Ctrl-C; return the exit code."""
    print(
        f"interrupted; the same command goes on after the last epoch in {out}",
        file=sys.stderr,
    )
    return 130


def counting_progress() -> Progress:
    """Return a bar of rich's on stderr that shows nothing when that is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False, soft_wrap=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def epoch_line(report: EpochReport) -> str:
    """Say in a line what an epoch brought.

    >>> from espressivo.training.runs.train import EpochReport
    >>> epoch_line(EpochReport("gradient", 3, 25, 1.23456, 7.4, 0.5))
    'epoch 3/25  loss 1.2346  validation UA 50.0%  7 s'
    """
    what = "epoch" if report.stage == "gradient" else report.stage
    ua = (
        ""
        if report.mean_recall is None
        else f"  validation UA {report.mean_recall:.1%}"
    )
    return (
        f"{what} {report.epoch}/{report.n_epochs}  loss {report.loss:.4f}{ua}"
        f"  {report.seconds:.0f} s"
    )
