"""Analysis of a whole recording with a few threads, in constant memory.

The calling thread decodes and detects speech while they classify windows, one
batch per thread. The caller waits when too many batches are queued (backpressure).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from espressivo.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from espressivo.pipeline.analysis_pass import AnalysisPass
    from espressivo.speech.windows import Window
    from espressivo.types import Signal

_Result = TypeVar("_Result")
_Predict: TypeAlias = "Callable[[Sequence[Window]], list[_Result]]"


def run_recording(
    analysis: AnalysisPass,
    blocks: Iterable[Signal],
    predict: _Predict[_Result],
    *,
    threads: int,
    batch_size: int,
) -> list[_Result]:
    """Run a new analysis pass over a whole recording, up to its end.

    Args:
        analysis: A pass at the beginning of a recording.
        blocks: The recording's samples, in order.
        predict: Thread-safe function of a batch of windows of equal length.
        threads: Number of batches that are classified in parallel.
        batch_size: Number of windows per call of the model.

    Returns:
        The result of each window, in order.
    """
    pool: Threads[list[_Result]] = Threads(threads, "classify")
    with pool:
        batches = _Batches(predict, pool, batch_size)
        for block in blocks:
            batches.submit(analysis.push(block))
            # Backpressure: two batches per thread keep all threads busy while few
            # windows wait in memory.
            batches.collect(n_left=2 * threads)
        batches.submit(analysis.finish(), whole=True)
        batches.collect(n_left=0)
    return batches.done


class _Batches(Generic[_Result]):
    """Batches of windows in the threads; `done` are their results, in order."""

    def __init__(
        self,
        predict: _Predict[_Result],
        threads: Threads[list[_Result]],
        size: int,
    ) -> None:
        self._predict, self._threads, self._size = predict, threads, size
        self._waiting: list[Window] = []
        self._running: deque[Future[list[_Result]]] = deque()
        self.done: list[_Result] = []

    def submit(self, windows: list[Window], *, whole: bool = False) -> None:
        """Queue windows and start full batches.

        Args:
            windows: The next windows, in order.
            whole: Start batches of all queued windows, even if the last is not full.
        """
        self._waiting += windows
        if len(self._waiting) < self._size and not whole:
            return
        # A batch is one array, so its windows must have one length.
        for _, group in groupby(self._waiting, key=lambda w: len(w.signal)):
            equal = list(group)
            for i in range(0, len(equal), self._size):
                batch = equal[i : i + self._size]
                self._running.append(
                    self._threads.submit(partial(self._predict, batch))
                )
        self._waiting = []

    def collect(self, n_left: int) -> None:
        """Wait until at most `n_left` batches are running."""
        while len(self._running) > n_left:
            self.done += self._running.popleft().result()
