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
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield where to write; what is there becomes `path` in one step at the end.

    An error, such as a full disk, leaves `path` as it was and nothing beside it; what
    a killed process leaves has a name that begins with a dot and ends in `.partial`.

    Args:
        path: What is to be replaced.
        durable: Whether it has to be on the disk at the end, in case of a power cut.

    Raises:
        OSError: It cannot be written.
    """
    # Threads and processes may write the same file at once.
    mark = f"{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f".{path.name}.{mark}.partial")
    try:
        yield partial
        if durable:
            _flush(partial)
        partial.replace(path)
        if durable:
            flush_names(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_names(folder: Path) -> None:
    """Wait until the names of a folder's files are on the disk."""
    if os.name == "nt":  # which opens no folders, and does it anyway
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(text: str, path: Path, *, durable: bool = False) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path, durable=durable) as partial:
        partial.write_text(text, "utf-8")
