"""Progress of an archive on stderr, with speed and remaining time."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from espressivo.cli.display.printing import tell
from espressivo.cli.display.progress import progress_bar
from espressivo.cli.display.timeline import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from espressivo.batch import ArchiveProgress

_LINE_EVERY_S = 60.0  # keeps the log of a run of many hours readable


class ArchiveBar:
    """Progress callback that draws a bar at a terminal, or prints lines in a log.

    Attributes:
        progress: The latest progress; None before the first call.
    """

    def __init__(self, bar: Bar) -> None:
        self.progress: ArchiveProgress | None = None
        self._bar = bar
        self._task: TaskID | None = None
        self._began = self._printed = time.monotonic()

    @property
    def took_s(self) -> float:
        """Time since the first call, in seconds."""
        return time.monotonic() - self._began

    def __call__(self, progress: ArchiveProgress) -> None:
        """Show the progress; the first call, before any recording, starts the timer."""
        self.progress = progress
        n_done = progress.n_before + progress.n_now
        if self._task is None:
            self._began = self._printed = time.monotonic()
            self._task = self._bar.add_task(
                "recordings", total=progress.n_recordings, completed=n_done, rate=""
            )
            return
        self._bar.update(self._task, completed=n_done, rate=self._rate(progress))
        # Without a terminal, rich draws nothing, and a log needs lines.
        if self._bar.disable and time.monotonic() > self._printed + _LINE_EVERY_S:
            self._printed = time.monotonic()
            tell(self._line(progress))

    def _rate(self, progress: ArchiveProgress) -> str:
        # The first recordings may be done before the clock has moved.
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
def archive_bar() -> Iterator[ArchiveBar]:
    """Yield a progress callback for an archive, and remove its bar at the end."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    rate = "{task.fields[rate]}"
    with progress_bar(MofNCompleteColumn(), rate, TimeRemainingColumn(), "left") as bar:
        yield ArchiveBar(bar)
