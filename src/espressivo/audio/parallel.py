"""Reading of many recordings in parallel threads."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from espressivo.machine import n_cores
from espressivo.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from espressivo.types import Progress

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_THREADS = 8  # more concurrent reads slow a disk down


def map_recordings(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    on_done: Progress | None = None,
) -> Iterator[_Result]:
    """Yield the result of each item in order, while threads compute later ones.

    Args:
        work: Thread-safe function of one recording. It gains from threads if it
            releases the interpreter lock, as decoding does.
        items: The recordings.
        on_done: Progress callback with the number of finished items and the total.
    """
    threads: Threads[_Result] = Threads(min(_MOST_THREADS, n_cores()), "recording")
    with threads:  # an interrupt drops items that are not yet started
        futures = deque(threads.submit(partial(work, item)) for item in items)
        for n_done in range(1, len(items) + 1):
            result = futures.popleft().result()
            if on_done is not None:
                on_done(n_done, len(items))
            yield result
