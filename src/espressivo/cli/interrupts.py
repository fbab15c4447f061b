"""Ctrl-C, and the signals that ask a process to end: SIGTERM, SIGHUP."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

T = TypeVar("T")

_AGAIN_S = 0.02
_REPEATS_S = 5.0
# A closed terminal sends SIGHUP twice, through the kernel and through the shell, and a
# service manager SIGTERM and SIGHUP. The second must not interrupt the handling of the
# first, such as the report that `listen` then prints.
_newest_s = [-_REPEATS_S]  # when such a signal was heeded last


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
        raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)

    # A shell's background jobs ignore Ctrl-C, which must stay so.
    ours = signal.getsignal(signal.SIGINT) == signal.default_int_handler
    with _handling(stop, *[signal.SIGINT] * ours, *_other_signals()):
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
    before = {n: signal.signal(n, _first(handler)) for n in numbers if is_main}
    try:
        yield
    finally:
        for number, old in before.items():
            # Whoever was asked to end is about to, and not to be killed meanwhile.
            is_ending = old == signal.SIG_DFL and _newest_s[0] > 0
            signal.signal(number, signal.SIG_IGN if is_ending else old)


def _first(handler: Callable[[int, Any], None]) -> Callable[[int, Any], None]:
    """Return a handler that passes over what follows a signal at once."""

    def heed(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            # Libraries in C crash, or take it for a bad installation.
            later = threading.Timer(_AGAIN_S, _send, [number])
            later.daemon = True
            later.start()
            return
        if number != signal.SIGINT:  # a second Ctrl-C means that it lasts too long
            now_s = time.monotonic()
            if now_s - _newest_s[0] < _REPEATS_S:
                return
            _newest_s[0] = now_s
        handler(number, frame)

    return heed


def _send(number: int) -> None:
    """Send a signal to the main thread, and end what it waits for."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:  # Windows
        _thread.interrupt_main(signal.Signals(number))


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
