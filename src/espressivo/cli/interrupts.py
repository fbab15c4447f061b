"""Ctrl-C, and the signals that ask a process to end: SIGTERM, SIGHUP."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Stopped(KeyboardInterrupt):
    """A signal other than SIGINT has asked the process to end.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return what shells report of a process that the signal ended: 128 + its number.

    >>> exit_code(KeyboardInterrupt())
    130
    """
    return 128 + getattr(interrupt, "number", signal.SIGINT)


@contextmanager
def stopping_as_interrupts() -> Iterator[None]:
    """Raise `Stopped` inside the `with` block where a signal would kill the process.

    Whatever handles Ctrl-C then handles `kill`, a service's stop and a closed terminal
    alike: temporary files are deleted, and what is resumable says so.
    """

    def stop(number: int, _: Any) -> None:
        raise Stopped(number)

    with _handling(stop, *_other_signals()):
        yield


class Interrupt:
    """Iteration that a signal ends; the item in progress is finished first."""

    def __init__(self) -> None:
        self._asked = self._waiting = False

    def until(self, things: Iterator[T]) -> Iterator[T]:
        """Yield the items of an iterator until it ends, or until a signal."""
        # Python raises KeyboardInterrupt at any point, such as in the middle of a push.
        # The stream would then be in a state that allows no report.
        with _handling(self._handle, signal.SIGINT, *_other_signals()):
            while not self._asked:
                self._waiting = True
                try:
                    thing = next(things)
                except (StopIteration, KeyboardInterrupt):
                    return
                finally:
                    self._waiting = False
                yield thing

    def _handle(self, *_: Any) -> None:
        self._asked = True
        if self._waiting:
            raise KeyboardInterrupt


def _other_signals() -> list[int]:
    """Return the signals that end a process by default, as far as they are wanted."""
    # Windows has SIGBREAK, for Ctrl-Break and a closed window, and no SIGHUP.
    named = (getattr(signal, f"SIG{name}", None) for name in ("TERM", "HUP", "BREAK"))
    # `nohup` has SIGHUP ignored, which must stay so.
    return [n for n in named if n is not None and signal.getsignal(n) != signal.SIG_IGN]


@contextmanager
def _handling(handler: Callable[[int, Any], None], *numbers: int) -> Iterator[None]:
    # Only the main thread may set handlers.
    is_main = threading.current_thread() is threading.main_thread()
    before = {n: signal.signal(n, handler) for n in numbers if is_main}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
