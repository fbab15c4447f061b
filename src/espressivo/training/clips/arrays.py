"""NumPy arrays on disk: atomic writes, and reads from several threads."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.files.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Numpy parses an array's header with `ast`, which in Python 3.11 counts its depth for
# all threads together: two headers parsed at once now and then raise SystemError.
_HEADERS = Lock()


def save_array(array: NDArray[np.generic], path: Path) -> None:
    """Write an array atomically (all of it or nothing); create missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as whole, whole.open("wb") as file:
        np.save(file, array)


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Return an array that `save_array` wrote; any thread is allowed to call this.

    Args:
        path: The file.
        mapped: Memory-map the file, so that only the parts in use are read.
    """
    with _HEADERS:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None)
    return array
