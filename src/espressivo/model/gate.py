"""Calls that must not be in progress while the process forks or ends.

A forked process has only the thread that forked. A lock that another thread held, such
as that of onnxruntime's allocator, is never released there, and the child would hang.
At the end of the process, daemon threads are stopped where they are; inside of C++ code
that aborts the process.
"""

from __future__ import annotations

import atexit
import os
from threading import Condition, Lock, current_thread

_PATIENCE_S = 10.0  # a call takes a second at most; rather go on than wait for ever
_END_S = 2.0  # in which the process ends, unless an exit handler waits for the thread


class Gate:
    """Context of calls that forks and the end of the process wait for."""

    def __init__(self) -> None:
        self._begin()
        self._is_ending = False
        atexit.register(self._end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._close,
                after_in_parent=self._open,
                after_in_child=self._begin,
            )

    def __enter__(self) -> None:
        with self._changed:
            if self._is_ending and current_thread().daemon:
                self._changed.wait_for(lambda: False, _END_S)
            while self._is_closed:
                self._changed.wait()
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._n_inside -= 1
            self._changed.notify_all()

    def _begin(self) -> None:
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._n_inside = 0
        self._is_closed = False
        self._is_held = False

    def _close(self) -> None:
        # A signal handler may fork in the thread that holds the lock.
        self._is_held = self._lock.acquire(timeout=_PATIENCE_S)
        if self._is_held:
            self._is_closed = True
            self._changed.wait_for(lambda: self._n_inside == 0, _PATIENCE_S)

    def _open(self) -> None:
        if self._is_held:
            self._is_held = self._is_closed = False
            self._changed.notify_all()
            self._lock.release()

    def _end(self) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.wait_for(lambda: self._n_inside == 0, _PATIENCE_S)
