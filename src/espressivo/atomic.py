"""Files that are whole or not there, whatever kills the process that writes them."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write; what is there becomes `path` in one step at the end.

    An error, such as a full disk, leaves `path` as it was and nothing beside it.

    Raises:
        OSError: It cannot be written.
    """
    # Threads and processes may write the same file at once.
    mark = f"{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f"{path.name}.{mark}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, "utf-8")
