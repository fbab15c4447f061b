"""Ctrl-C that takes effect between two items of work, never within one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Interrupt:
    """Iteration that Ctrl-C ends; the item in progress is finished first."""

    def __init__(self) -> None:
        self._asked = self._waiting = False

    def until(self, things: Iterator[T]) -> Iterator[T]:
        """Yield the items of an iterator until it ends, or until Ctrl-C."""
        # Python raises KeyboardInterrupt at any point, such as in the middle of a push.
        # The stream would then be in a state that allows no report.
        before = signal.signal(signal.SIGINT, self._handle)
        try:
            while not self._asked:
                self._waiting = True
                try:
                    thing = next(things)
                except (StopIteration, KeyboardInterrupt):
                    return
                finally:
                    self._waiting = False
                yield thing
        finally:
            signal.signal(signal.SIGINT, before)

    def _handle(self, *_: Any) -> None:
        self._asked = True
        if self._waiting:
            raise KeyboardInterrupt
