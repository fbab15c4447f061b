"""Reading many recordings at once, in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from espressivo.machine import n_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from espressivo.types import Progress

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_THREADS = 8  # more read from the disk at once than it serves well


def map_recordings(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    on_done: Progress | None = None,
) -> Iterator[_Result]:
    """Yield the result of each item, in order, while later ones are worked on.

    Args:
        work: What to do with one recording, in any thread; such as decoding, which
            leaves the interpreter's lock to other threads.
        items: The recordings.
        on_done: Called with how many are done, and how many there are.
    """
    pool = ThreadPoolExecutor(min(_MOST_THREADS, n_cores()), "recording")
    try:
        for n_done, result in enumerate(pool.map(work, items), start=1):
            if on_done is not None:
                on_done(n_done, len(items))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest
