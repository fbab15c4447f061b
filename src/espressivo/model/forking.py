"""Calls that must not be in progress while the process forks.

A forked process has only the thread that forked. A lock that another thread held, such
as that of onnxruntime's allocator, is never released there, and the child would hang.
"""

from __future__ import annotations

import os
from threading import Condition, Lock

_PATIENCE_S = 10.0  # a call takes a second at most; rather fork than wait for ever


class ForkGate:
    """Context of calls that a fork waits for, and that wait for a fork."""

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._close,
                after_in_parent=self._open,
                after_in_child=self._begin,
            )

    def __enter__(self) -> None:
        with self._changed:
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
