"""The progress bar of all commands: on stderr, at a terminal; logs get no bar."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn, TaskID

    from espressivo.types import Progress


def progress_bar(*columns: str | ProgressColumn, soft_wrap: bool = False) -> Bar:
    """Return a bar of rich's on stderr, which shows nothing where that is no terminal.

    Args:
        columns: What stands behind the description and the bar: columns of rich's, or
            a template such as `{task.fields[rate]}`.
        soft_wrap: Leave it to the terminal to wrap lines printed above the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *(TextColumn(one) if isinstance(one, str) else one for one in columns),
        console=Console(stderr=True, highlight=False, soft_wrap=soft_wrap),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def count_bar() -> Bar:
    """Return a bar for things that are counted, such as `12/40` and the time left."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    return progress_bar(MofNCompleteColumn(), TimeRemainingColumn(), soft_wrap=True)


@contextmanager
def counting_bar(description: str) -> Iterator[Progress | None]:
    """Show how many of how many are done; yield None when stderr is no terminal."""
    if not sys.stderr.isatty():  # None spares the work of counting, too
        yield None
        return
    with count_bar() as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def recording_bar(name: str) -> Iterator[RecordingBar | None]:
    """Show how far a recording is analysed; yield None when stderr is no terminal."""
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
    """A bar in seconds, which appears when the analysis takes long enough to wait for.

    Attributes:
        bar: The bar, None as long as it has not appeared.
    """

    PATIENCE_S = 1.0  # a bar that flashes up for a short note only disturbs

    def __init__(self, name: str) -> None:
        self.bar: Bar | None = None
        self._name = name
        self._task: TaskID | None = None
        self._began = time.monotonic()

    def __call__(self, done_s: float, total_s: float | None) -> None:
        """Show that so many seconds of so many are done."""
        if self.bar is None:
            if time.monotonic() - self._began < self.PATIENCE_S:
                return
            from rich.progress import TaskProgressColumn, TimeRemainingColumn

            self.bar = progress_bar(TaskProgressColumn(), TimeRemainingColumn())
            self._task = self.bar.add_task(Path(self._name).name, total=None)
            self.bar.start()
        assert self._task is not None  # made with the bar
        self.bar.update(self._task, completed=done_s, total=total_s)
