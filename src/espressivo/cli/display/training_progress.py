"""Progress of training, cross-validation and export on stderr."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from espressivo.cli.display.printing import tell
from espressivo.cli.display.progress import count_bar, progress_bar
from espressivo.cli.interrupts import exit_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.progress import Progress as Bar

    from espressivo.training.export.options import StepProgress
    from espressivo.training.runs.fold_job import FoldJob
    from espressivo.training.runs.train import EpochReport


@contextmanager
def epochs_bar(n_epochs: int) -> Iterator[Callable[[EpochReport], None]]:
    """Yield a callback that prints a line per epoch, above a bar at a terminal."""
    with count_bar() as bar:
        # A classifier in closed form has no epochs, but a single step.
        task = bar.add_task("epochs", total=n_epochs or 1)

        def on_epoch(report: EpochReport) -> None:
            bar.console.print(epoch_line(report))
            bar.update(task, completed=report.epoch)

        yield on_epoch


@contextmanager
def distillation_bar(
    n_epochs: int,
) -> Iterator[tuple[Callable[[int, int], None], Callable[[EpochReport], None]]]:
    """Yield callbacks of what the teachers have heard, and of epochs."""
    with count_bar() as bar:
        heard = bar.add_task("teachers", total=None)
        task = bar.add_task("epochs", total=n_epochs or 1, visible=False)

        def on_teacher(done: int, total: int) -> None:
            bar.update(heard, completed=done, total=total, visible=done < total)
            bar.update(task, visible=done == total)

        def on_epoch(report: EpochReport) -> None:
            bar.console.print(epoch_line(report))
            bar.update(task, completed=report.epoch)

        yield on_teacher, on_epoch


@contextmanager
def steps_bar() -> Iterator[StepProgress]:
    """Yield a callback that shows an export's current step and its count, if any."""
    with progress_bar("{task.fields[count]}") as bar:
        task = bar.add_task("starting", total=None, count="")

        def on_step(step: str, done: int = 0, total: int = 0) -> None:
            count = f"{done}/{total}" if total else ""
            bar.update(
                task, description=step, completed=done, total=total or None, count=count
            )

        yield on_step


@contextmanager
def runs_bar(n_runs: int, n_epochs: int, *, here: bool) -> Iterator[RunsBar]:
    """Yield the progress of a cross-validation: a line per epoch and run, and bars.

    Args:
        n_runs: Number of runs: folds times seeds.
        n_epochs: Number of epochs of a run.
        here: Whether runs are in this process; runs in others do not report epochs.
    """
    with count_bar() as bar:
        yield RunsBar(bar, n_runs, n_epochs, here=here)


class RunsBar:
    """Bars of a cross-validation: recordings read, then runs and epochs."""

    def __init__(self, bar: Bar, n_runs: int, n_epochs: int, *, here: bool) -> None:
        self._bar, self._here = bar, here
        self._reading = bar.add_task("reading recordings", total=None)
        self._runs = bar.add_task("runs", total=n_runs, visible=False)
        self._epochs = bar.add_task(
            "epochs of this run", total=n_epochs or 1, visible=False
        )

    def on_loaded(self, done: float, total: float | None) -> None:
        """Show the number of recordings read; after the last one, show the runs."""
        self._bar.update(self._reading, completed=done, total=total)
        if done == total:
            self._bar.update(self._reading, visible=False)
            self._bar.update(self._runs, visible=True)
            self._bar.update(self._epochs, visible=self._here)

    def on_epoch(self, job: FoldJob, report: EpochReport) -> None:
        """Print the line of an epoch."""
        self._bar.console.print(f"{job.name}  {epoch_line(report)}")
        self._bar.update(self._epochs, completed=report.epoch)

    def on_done(self, job: FoldJob) -> None:
        """Print the line of a finished run."""
        self._bar.console.print(f"{job.name}  done")
        self._bar.advance(self._runs)
        self._bar.update(self._epochs, completed=0)


def interrupted(out: Path, interrupt: KeyboardInterrupt) -> int:
    """Print how to resume after Ctrl-C or another signal, and return the exit code."""
    tell(f"interrupted; the same command goes on after the last epoch in {out}")
    return exit_code(interrupt)


def epoch_line(report: EpochReport) -> str:
    """Return the line of an epoch: loss, validation UA and CCC, and duration.

    >>> from espressivo.training.runs.train import EpochReport
    >>> epoch_line(EpochReport("gradient", 3, 25, 1.23456, 7.4, 0.5))
    'epoch 3/25  loss 1.2346  validation UA 50.0%  7 s'
    >>> epoch_line(EpochReport("gradient", 3, 25, 1.2, 7.4, 0.5, {"arousal": 0.61}))
    'epoch 3/25  loss 1.2000  validation UA 50.0%, CCC arousal 0.610  7 s'
    """
    steps = {"gradient", "distillation"}
    what = "epoch" if report.stage in steps else report.stage
    scores = []
    if report.mean_recall is not None:
        scores.append(f"UA {report.mean_recall:.1%}")
    scores += [f"CCC {name} {ccc:.3f}" for name, ccc in (report.ccc or {}).items()]
    validation = f"  validation {', '.join(scores)}" if scores else ""
    return (
        f"{what} {report.epoch}/{report.n_epochs}  loss {report.loss:.4f}{validation}"
        f"  {report.seconds:.0f} s"
    )
