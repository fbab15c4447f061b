"""Worker processes that may die: their unfinished recordings go to others.

Not concurrent.futures, loky or Pebble: there a worker that is killed at the wrong
moment (before its first task, or while it writes to the pipe that all share) breaks the
whole pool. Here each worker has a pipe of its own, whose end tells of its death.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from espressivo.batch.worker import analyze_entries, failed
from espressivo.errors import ArchiveError, EspressivoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from espressivo.batch.entries import Entry
    from espressivo.batch.outcome import Outcome

_PREFETCH = 3
"""Entries sent to a worker at a time, so that it need not wait for the next one."""

_MAX_DEATHS = 2
"""Deaths of workers that a recording may cause until it counts as failed."""

_MAX_FAILED_STARTS = 3
"""Workers in a row that may die before they are ready, until the run is given up."""


class WorkerPool:
    """Processes that hold one model each, for the length of a `with` statement.

    Args:
        model: The model's folder.
        sha256: Hash of the model's graph.
        n_workers: Number of processes.
        scratch: Folder for copies of remote recordings; None: the system's temporary
            folder, where a process that is killed leaves its copies.
    """

    def __init__(
        self, model: Path, sha256: str, n_workers: int, scratch: Path | None = None
    ) -> None:
        self._worker_args = model, sha256, scratch
        self._n_workers = n_workers
        self._workers: list[_Worker] = []
        self._to_retry: deque[Entry] = deque()
        self._deaths: Counter[str] = Counter()
        self._n_failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def analyze(self, entries: Iterable[Entry]) -> Iterator[Outcome]:
        """Yield one outcome per entry, in the order in which they are done.

        A recording that twice kills the process that analyses it is a failure.

        Raises:
            ModelError: The model cannot be loaded.
            ArchiveError: Workers die before they begin.
        """
        waiting = iter(entries)
        try:
            while self._dispatch(waiting):
                by_pipe: dict[Any, _Worker] = {w.pipe: w for w in self._workers}
                for pipe in wait(list(by_pipe)):
                    yield from self._receive(by_pipe[pipe])
        except BaseException:
            self._end()  # nobody waits for what they are doing
            raise

    def _end(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.end()

    def _dispatch(self, waiting: Iterator[Entry]) -> bool:
        """Fill every worker's queue; return whether any worker has something to do."""
        while len(self._workers) < self._n_workers:
            self._workers.append(_Worker(*self._worker_args))
        # Round after round, so that at the end no worker queues what another could do.
        for n in range(_PREFETCH):
            for worker in self._workers:
                if len(worker.queue) > n:
                    continue
                entry = self._to_retry.popleft() if self._to_retry else None
                entry = entry or next(waiting, None)
                if entry is not None:
                    worker.send(entry)
        return any(worker.queue for worker in self._workers)

    def _receive(self, worker: _Worker) -> Iterator[Outcome]:
        """Take a worker's next message, or find that it is dead."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._remove(worker)
            return
        if isinstance(message, EspressivoError):
            raise message
        if message is None:
            worker.ready, self._n_failed_starts = True, 0
            return
        worker.queue.popleft()
        yield message

    def _remove(self, worker: _Worker) -> list[Outcome]:
        """Take back a dead worker's queue; return the failure that it caused, if any.

        Raises:
            ArchiveError: Too many workers in a row died before they were ready.
        """
        self._workers.remove(worker)
        how = worker.end(patience_s=1.0)  # a pipe ends a little before its process
        queue = worker.queue
        failures = []
        if not worker.ready:
            self._n_failed_starts += 1
            if self._n_failed_starts == _MAX_FAILED_STARTS:
                raise ArchiveError(
                    f"{_MAX_FAILED_STARTS} worker processes in a row died before they "
                    f"could begin ({how}); use fewer workers if memory is short, and "
                    'call this under `if __name__ == "__main__":` in a script'
                )
        elif queue:  # the first of them was being analysed
            self._deaths[queue[0].id] += 1
            if self._deaths[queue[0].id] == _MAX_DEATHS:
                failures.append(_crashed(queue.popleft(), how))
        self._to_retry.extendleft(reversed(queue))
        return failures


class _Worker:
    """One process, and the entries that it was sent and has not answered, in order."""

    def __init__(self, model: Path, sha256: str, scratch: Path | None) -> None:
        # Forked children would inherit threads' locks; spawned ones begin afresh.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=analyze_entries, args=(theirs, model, sha256, scratch), daemon=True
        )
        with _sigint_blocked():
            self.process.start()
        theirs.close()  # otherwise the worker's death would not end the pipe
        self.queue: deque[Entry] = deque()
        self.ready = False

    def send(self, entry: Entry) -> None:
        """Add an entry to the worker's queue."""
        self.queue.append(entry)
        with suppress(OSError):  # it is dead, as the end of its pipe will tell
            self.pipe.send(entry)

    def end(self, patience_s: float = 0.0) -> str:
        """Kill the process, which holds nothing worth keeping; say how it ended."""
        self.process.join(patience_s)
        self.process.kill()
        self.process.join()
        self.pipe.close()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:  # a signal without a name
            return f"signal {-code}"


def _crashed(entry: Entry, how: str) -> Outcome:
    reason = (
        f"{entry.id}: ended the process that analysed it, {_MAX_DEATHS} times ({how}); "
        "it may need more memory than there is: try `espressivo analyze` on it alone"
    )
    return failed(entry, "crash", reason)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block Ctrl-C in processes started here, until they choose to ignore it.

    Without it, a worker that Ctrl-C reaches while it imports would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
