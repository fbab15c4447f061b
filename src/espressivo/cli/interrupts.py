"""Ctrl-C that takes effect between two pieces of work, never within one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Interrupt:
    """Lets Ctrl-C end the wait for the next piece; the piece at hand is finished."""

    def __init__(self) -> None:
        self._asked = self._waiting = False

    def until(self, things: Iterator[T]) -> Iterator[T]:
        """Yield the items of an iterator until it ends, or until Ctrl-C."""
        # Python raises KeyboardInterrupt anywhere, also between a push and its result,
        # which would leave the stream in a state that no report can be made from.
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
