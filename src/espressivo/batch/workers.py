"""Worker processes that may die: what one had in hand, another is given."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from espressivo.batch.outcome import (
    Failure,
    Outcome,
)
from espressivo.batch.worker import answer_all
from espressivo.errors import ArchiveError, EspressivoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from espressivo.batch.entries import Entry

_IN_HAND = 3
"""Entries that a worker is given, so that it need not wait for the next one."""

_DEATHS = 2
"""That a recording causes until it is given up."""

_STILLBORN = 3
"""Workers in a row that die before they can work, until that is given up."""


class Crew:
    """Processes that hold one model each, for the length of a `with` statement.

    Args:
        model: The model's folder.
        sha256: Of its graph.
        n_workers: How many.
        scratch: For copies of remote recordings; None: the system's temporary folder,
            where a process that is killed leaves its own.
    """

    def __init__(
        self, model: Path, sha256: str, n_workers: int, scratch: Path | None = None
    ) -> None:
        self._orders = model, sha256, scratch
        self._n_workers = n_workers
        self._workers: list[_Worker] = []
        self._returned: deque[Entry] = deque()
        self._deaths: Counter[str] = Counter()
        self._n_stillborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def work(self, entries: Iterable[Entry]) -> Iterator[Outcome]:
        """Yield an outcome an entry, as they are done, which is in no certain order.

        A recording that twice ends the process that analyses it is a failure.

        Raises:
            ModelError: The model cannot be loaded.
            ArchiveError: Workers die before they begin.
        """
        waiting = iter(entries)
        try:
            while self._hand_out(waiting):
                by_pipe: dict[Any, _Worker] = {w.pipe: w for w in self._workers}
                for pipe in wait(list(by_pipe)):
                    yield from self._hear(by_pipe[pipe])
        except BaseException:
            self._end()  # they work at what nobody waits for
            raise

    def _end(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.end()

    def _hand_out(self, waiting: Iterator[Entry]) -> bool:
        """Give every worker enough to do; tell whether any has anything."""
        while len(self._workers) < self._n_workers:
            self._workers.append(_Worker(*self._orders))
        for n in range(_IN_HAND):  # everyone the first, then the second ...
            for worker in self._workers:
                if len(worker.held) > n:
                    continue
                entry = self._returned.popleft() if self._returned else None
                entry = entry or next(waiting, None)
                if entry is not None:
                    worker.take(entry)
        return any(worker.held for worker in self._workers)

    def _hear(self, worker: _Worker) -> Iterator[Outcome]:
        """Take a worker's next message, which may be its end."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if isinstance(message, EspressivoError):
            raise message
        if message is None:
            worker.ready, self._n_stillborn = True, 0
            return
        worker.held.popleft()
        yield message

    def _bury(self, worker: _Worker) -> list[Outcome]:
        """Take back what a dead worker had; return what is given up."""
        self._workers.remove(worker)
        how = worker.end(patience_s=1.0)  # its pipe ends a little before it does
        held = worker.held
        lost = []
        if not worker.ready:
            self._n_stillborn += 1
            if self._n_stillborn == _STILLBORN:
                raise ArchiveError(
                    f"{_STILLBORN} worker processes in a row died before they could "
                    f"begin ({how}); use fewer workers if memory is short, and call "
                    'this under `if __name__ == "__main__":` in a script'
                )
        elif held:  # it worked on the first of them
            self._deaths[held[0].id] += 1
            if self._deaths[held[0].id] == _DEATHS:
                lost.append(_given_up(held.popleft(), how))
        self._returned.extendleft(reversed(held))
        return lost


class _Worker:
    """One process, and what it was given and has not answered, oldest first."""

    def __init__(self, model: Path, sha256: str, scratch: Path | None) -> None:
        # Forked children would inherit threads' locks; spawned ones begin afresh.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=answer_all, args=(theirs, model, sha256, scratch), daemon=True
        )
        with _no_interrupt():
            self.process.start()
        theirs.close()  # else its death would not end the pipe
        self.held: deque[Entry] = deque()
        self.ready = False

    def take(self, entry: Entry) -> None:
        """Put an entry behind those that it has."""
        self.held.append(entry)
        with suppress(OSError):  # it is dead, as the pipe's end will tell
            self.pipe.send(entry)

    def end(self, patience_s: float = 0.0) -> str:
        """End the process, which has nothing that could be lost; say how it ended."""
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


def _given_up(entry: Entry, how: str) -> Outcome:
    reason = (
        f"{entry.id}: ended the process that analysed it, {_DEATHS} times ({how}); it "
        "may need more memory than there is: try `espressivo analyze` on it alone"
    )
    return Outcome(entry, failure=Failure("crash", reason))


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let what is started here inherit that Ctrl-C does not concern it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
