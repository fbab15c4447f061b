"""A few threads that work at any time, even while the interpreter shuts down.

`ThreadPoolExecutor` refuses work as soon as the main thread has ended, so an analysis
in a thread that outlives it, or in an exit handler, would fail.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_Result = TypeVar("_Result")


class Threads(Generic[_Result]):
    """Threads within a `with` block, which take jobs in the order of submission.

    Where no thread can be started (a system's limit, or the interpreter's end), jobs
    run in the calling thread. Threads are daemons if the calling thread is one.

    Args:
        n: Number of threads at most; each is started when there is a job for it.
        name: Prefix of the threads' names.
    """

    def __init__(self, n: int, name: str) -> None:
        self._n, self._name = n, name
        self._threads: list[Thread] = []
        self._jobs: SimpleQueue[_Job[_Result] | None] = SimpleQueue()

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Queue a job and return its future result."""
        job = _Job(work)
        if len(self._threads) < self._n:
            self._start()
        if self._threads:
            self._jobs.put(job)
        else:
            job.run()
        return job.future

    def _start(self) -> None:
        name = f"{self._name}_{len(self._threads)}"
        thread = Thread(target=_work, args=(self._jobs,), name=name)
        # Before its start: one that Ctrl-C interrupts has a thread all the same.
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # "can't start new thread", or at shutdown (Python 3.12)
            self._threads.remove(thread)
            self._n = len(self._threads)

    def __enter__(self) -> Threads[_Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel the jobs that no thread has begun, and wait for the others."""
        with suppress(Empty):
            while job := self._jobs.get_nowait():
                job.future.cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            with suppress(RuntimeError):  # its start was interrupted
                thread.join()


class _Job(Generic[_Result]):
    def __init__(self, work: Callable[[], _Result]) -> None:
        self.future: Future[_Result] = Future()
        self._work = work

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001  # raised where it is awaited
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


def _work(jobs: SimpleQueue[_Job[_Result] | None]) -> None:
    while job := jobs.get():
        job.run()
        del job  # its windows would stay in memory until the next one
