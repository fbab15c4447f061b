"""How far an archive is, how fast, and when it will be done: on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from espressivo.cli.display.timeline import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from espressivo.batch import ArchiveProgress

_LINE_EVERY_S = 60.0


class Watch:
    """Hears of every recording; at a terminal a bar shows it, in a log some lines.

    Attributes:
        progress: What was heard last.
    """

    def __init__(self, bars: Bars) -> None:
        self.progress: ArchiveProgress | None = None
        self._bars = bars
        self._task: TaskID | None = None
        self._begun = self._told = time.monotonic()

    @property
    def took_s(self) -> float:
        """Seconds since the first recording was handed out."""
        return time.monotonic() - self._begun

    def __call__(self, progress: ArchiveProgress) -> None:
        """Show how far it is."""
        self.progress = progress
        n_done = progress.n_before + progress.n_now
        if self._task is None:
            self._begun = self._told = time.monotonic()
            self._task = self._bars.add_task(
                "recordings", total=progress.n_recordings, completed=n_done, rate=""
            )
            return
        self._bars.update(self._task, completed=n_done, rate=self._rate(progress))
        if self._bars.disable and time.monotonic() > self._told + _LINE_EVERY_S:
            self._told = time.monotonic()
            print(self._line(progress), file=sys.stderr)

    def _rate(self, progress: ArchiveProgress) -> str:
        took_s = max(self.took_s, 0.001)
        failed = f", {progress.n_failed} failed" if progress.n_failed else ""
        return (
            f"{progress.n_now / took_s:.1f}/s, {progress.sound_s / took_s:.0f} x real "
            f"time{failed}"
        )

    def _line(self, progress: ArchiveProgress) -> str:
        n_done = progress.n_before + progress.n_now
        left_s = (progress.n_recordings - n_done) * self.took_s / progress.n_now
        return (
            f"{n_done} of {progress.n_recordings} recordings, {self._rate(progress)}, "
            f"{clock(left_s)} left"
        )


@contextmanager
def watched() -> Iterator[Watch]:
    """Show progress while an archive is worked at."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True, highlight=False),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bars:
        yield Watch(bars)
