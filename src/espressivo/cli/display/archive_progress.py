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
    from espressivo.batch.run import Stage

_NAMES: dict[Stage, str] = {
    "analysis": "recordings",
    "voices": "voices",
    "adaptation": "adapted",
}

_LINE_EVERY_S = 60.0  # keeps the log of a run of many hours readable


class ArchiveBar:
    """Progress callback that draws a bar at a terminal, or prints lines in a log.

    Attributes:
        latest: The latest progress of each stage that has begun, in order.
    """

    def __init__(self, bar: Bar) -> None:
        self.latest: dict[Stage, ArchiveProgress] = {}
        self._bar = bar
        self._tasks: dict[Stage, TaskID] = {}
        self._began: dict[Stage, float] = {}
        self._called = self._printed = time.monotonic()

    def took_s(self, *stages: Stage) -> float:
        """Return the time from the first to the last call of stages, in seconds."""
        ends = [*[*self._began.values()][1:], self._called]
        spans = zip(self._began.items(), ends, strict=True)
        return sum(end - began for (stage, began), end in spans if stage in stages)

    def __call__(self, progress: ArchiveProgress) -> None:
        """Show the progress; the first call of a stage starts its timer."""
        self._called, stage = time.monotonic(), progress.stage
        self.latest[stage] = progress
        n_done = progress.n_before + progress.n_now
        if stage not in self._tasks:
            self._began[stage] = self._printed = self._called
            self._tasks[stage] = self._bar.add_task(
                _NAMES[stage], total=progress.n_recordings, completed=n_done, rate=""
            )
            return
        rate = self._rate(progress)
        self._bar.update(self._tasks[stage], completed=n_done, rate=rate)
        # Without a terminal, rich draws nothing, and a log needs lines.
        if self._bar.disable and self._called > self._printed + _LINE_EVERY_S:
            self._printed = self._called
            tell(self._line(progress))

    def _rate(self, progress: ArchiveProgress) -> str:
        # The first recordings may be done before the clock has moved.
        took_s = max(self.took_s(progress.stage), 0.001)
        rate = f"{progress.n_now / took_s:.1f}/s"
        if progress.stage == "analysis":
            rate += f", {progress.sound_s / took_s:.0f} x real time"
        failed = f", {progress.n_failed} failed" if progress.n_failed else ""
        return rate + failed

    def _line(self, progress: ArchiveProgress) -> str:
        n_done = progress.n_before + progress.n_now
        took_s = self.took_s(progress.stage)
        left_s = (progress.n_recordings - n_done) * took_s / progress.n_now
        return (
            f"{n_done} of {progress.n_recordings} {_NAMES[progress.stage]}, "
            f"{self._rate(progress)}, {clock(left_s)} left"
        )


@contextmanager
def archive_bar() -> Iterator[ArchiveBar]:
    """Yield a progress callback for an archive, and remove its bar at the end."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    rate = "{task.fields[rate]}"
    with progress_bar(MofNCompleteColumn(), rate, TimeRemainingColumn(), "left") as bar:
        yield ArchiveBar(bar)
