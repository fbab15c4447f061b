"""Pool of worker processes that survives the death of workers.

Entries of a dead worker go to other workers. In the pools of concurrent.futures, loky
and Pebble, a worker that is killed at the wrong moment (before its first task, or while
it writes to the shared pipe) breaks the whole pool. Here each worker has its own pipe,
and the end of the pipe signals the worker's death.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import Counter, deque
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from espressivo.batch.entries import Entry
from espressivo.batch.worker import analyze_entries, failed
from espressivo.errors import ArchiveError, EspressivoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from espressivo.batch.outcome import Outcome
    from espressivo.batch.plan import Plan
    from espressivo.profile.profile import Profile

_PREFETCH = 3
"""Number of entries in a worker's queue, so that it never waits for the next one."""

_MAX_DEATHS = 2
"""Number of worker deaths after which a recording counts as failed."""

_MAX_FAILED_STARTS = 3
"""Number of consecutive workers that die at their start until the run is aborted."""


class WorkerPool:
    """Pool of processes with one loaded model each; a context manager.

    Args:
        model: The model's folder.
        plan: Plan of the archive.
        n_workers: Number of processes.
        scratch: Folder for copies of remote recordings; None: the system's temporary
            folder, where killed processes leave their copies.
        setting: Setting that every recording is judged by; None: none.
    """

    def __init__(
        self,
        model: Path,
        plan: Plan,
        n_workers: int,
        scratch: Path | None = None,
        setting: Profile | None = None,
    ) -> None:
        self._worker_args = model, plan, scratch, setting
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
        """Yield one outcome per entry, in the order of completion.

        A recording that kills its process twice is a failure.

        Raises:
            ModelError: The model cannot be loaded.
            ArchiveError: Workers die at their start.
        """
        waiting = iter(entries)
        try:
            while self._dispatch(waiting):
                by_pipe: dict[Any, _Worker] = {w.pipe: w for w in self._workers}
                for pipe in wait(list(by_pipe)):
                    yield from self._receive(by_pipe[pipe])
        except BaseException:
            self._end()  # results of running workers are no longer needed
            raise

    def _end(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.end()

    def _dispatch(self, waiting: Iterator[Entry]) -> bool:
        """Fill every worker's queue, and return whether any worker has work."""
        while len(self._workers) < self._n_workers:
            self._workers.append(_Worker(self._worker_args))
        # Queues are filled in rounds, so that the last entries are spread over all
        # workers.
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
        """Yield the outcomes of a worker's next message, or of its death."""
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
        yield message._replace(entry=worker.queue.popleft())

    def _remove(self, worker: _Worker) -> list[Outcome]:
        """Reclaim a dead worker's queue; return the failure that it caused, if any.

        Raises:
            ArchiveError: Too many consecutive workers died before they were ready.
        """
        self._workers.remove(worker)
        how = worker.end(patience_s=1.0)  # a pipe closes shortly before its process
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
    """A worker process, and its queue of entries without an outcome, in order."""

    def __init__(self, args: tuple[Path, Plan, Path | None, Profile | None]) -> None:
        # "spawn", since forked children inherit locks that other threads hold.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=analyze_entries, args=(theirs, *args), daemon=True
        )
        with _sigint_blocked():
            self.process.start()
        theirs.close()  # otherwise the worker's death would not end the pipe
        self.queue: deque[Entry] = deque()
        self.ready = False

    def send(self, entry: Entry) -> None:
        """Add an entry to the worker's queue."""
        self.queue.append(entry)
        # Cells stay here: with long ones the pipe would be full in both directions, and
        # both ends would wait for each other.
        with suppress(OSError):  # a dead worker is detected by the end of its pipe
            self.pipe.send(Entry(entry.id, entry.path))

    def end(self, patience_s: float = 0.0) -> str:
        """Kill the process and return how it ended, such as `SIGKILL`.

        Workers hold no state worth saving, so there is no orderly shutdown.

        Args:
            patience_s: Time to wait for the process to end by itself, in seconds.
        """
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
    """Block SIGINT in processes started inside the `with` block.

    Children inherit the signal mask and ignore SIGINT once they run. Without the mask,
    Ctrl-C during a worker's imports would print a traceback.
    """
    if sys.platform == "win32":  # which has no such masks
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
