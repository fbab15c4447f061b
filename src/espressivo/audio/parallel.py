"""Reading of many recordings in parallel threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from espressivo.machine import n_cores

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
    pool = ThreadPoolExecutor(min(_MOST_THREADS, n_cores()), "recording")
    try:
        for n_done, result in enumerate(pool.map(work, items), start=1):
            if on_done is not None:
                on_done(n_done, len(items))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt drops items not yet started
