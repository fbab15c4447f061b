"""Progress bars of all commands, shown on stderr if that is a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.text import to_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn, TaskID

    from espressivo.types import Progress


def progress_bar(*columns: str | ProgressColumn, soft_wrap: bool = False) -> Bar:
    """Return a rich progress bar on stderr, disabled if stderr is not a terminal.

    Args:
        columns: Columns after the description and the bar: rich columns, or templates
            such as `{task.fields[rate]}`.
        soft_wrap: Let the terminal wrap the lines printed above the bar.
    """
    from rich.progress import BarColumn, Progress, TextColumn

    from espressivo.cli.display.console import PlainConsole

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *(
            TextColumn(one, markup=False) if isinstance(one, str) else one
            for one in columns
        ),
        console=PlainConsole(stderr=True, soft_wrap=soft_wrap),
        # Removed at the end, so that only results remain on the screen.
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def count_bar() -> Bar:
    """Return a bar with a count, such as `12/40`, and the remaining time."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    return progress_bar(MofNCompleteColumn(), TimeRemainingColumn(), soft_wrap=True)


@contextmanager
def counting_bar(description: str) -> Iterator[Progress | None]:
    """Yield a progress callback for counts; None if stderr is not a terminal."""
    if not sys.stderr.isatty():  # with None, callers skip the counting too
        yield None
        return
    with count_bar() as bar:
        task = bar.add_task(to_line(description), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def recording_bar(name: str) -> Iterator[RecordingBar | None]:
    """Yield a progress callback for a recording; None if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    progress = RecordingBar(name)
    try:
        yield progress
    finally:
        if progress.bar is not None:
            progress.bar.stop()


class RecordingBar:
    """Progress bar of one recording, which appears after `PATIENCE_S` seconds.

    Attributes:
        bar: The rich progress bar; None until it appears.
    """

    PATIENCE_S = 1.0  # for short recordings, a bar would only flicker

    def __init__(self, name: str) -> None:
        self.bar: Bar | None = None
        self._name = name
        self._task: TaskID | None = None
        self._began = time.monotonic()

    def __call__(self, done_s: float, total_s: float | None) -> None:
        """Show the analysed and the total duration, in seconds."""
        if self.bar is None:
            if time.monotonic() - self._began < self.PATIENCE_S:
                return
            from rich.progress import TaskProgressColumn, TimeRemainingColumn

            self.bar = progress_bar(TaskProgressColumn(), TimeRemainingColumn())
            self._task = self.bar.add_task(to_line(Path(self._name).name), total=None)
            self.bar.start()
        assert self._task is not None  # created together with the bar
        self.bar.update(self._task, completed=done_s, total=total_s)
