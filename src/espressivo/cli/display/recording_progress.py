"""A bar on stderr while a long recording is analysed."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class RecordingProgress:
    """A bar on stderr, for who waits at a terminal and waits long enough."""

    PATIENCE_S = 1.0

    def __init__(self, name: str) -> None:
        import time

        self._name = name
        self._clock = time.monotonic
        self._begun = self._clock()
        self.bar: _Bar | None = None

    def __call__(self, done_s: float, total_s: float | None) -> None:
        """Show that so many seconds of so many are done."""
        if self.bar is None:
            if self._clock() - self._begun < self.PATIENCE_S:
                return
            self.bar = _Bar(self._name)
        self.bar.update(done_s, total_s)


class _Bar:
    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self.progress.add_task(Path(name).name, total=None)
        self.progress.start()

    def update(self, done_s: float, total_s: float | None) -> None:
        self.progress.update(self._task, completed=done_s, total=total_s)


@contextmanager
def recording_progress(name: str) -> Iterator[RecordingProgress | None]:
    """Yield what tells an analyzer's progress; None where nobody sits at a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    progress = RecordingProgress(name)
    try:
        yield progress
    finally:
        if progress.bar is not None:
            progress.bar.progress.stop()
