"""Atomic writes: a file is whole or not there, whatever kills the process."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(
    path: Path, *, durable: bool = False, errors: tuple[type[Exception], ...] = ()
) -> Iterator[Path]:
    """Yield a path to write to; that file replaces `path` in one step at the end.

    An error, such as a full disk, leaves `path` as it was and nothing beside it; what
    a killed process leaves has a name that begins with a dot and ends in `.partial`.

    Args:
        path: The file to replace, or to make.
        durable: Whether it has to be on the disk at the end, in case of a power cut.
        errors: What the library that writes raises in place of OSError.

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
    except errors as error:
        reason = f"cannot be written, perhaps for want of room ({error})"
        raise OSError(errno.EIO, reason, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_names(folder: Path) -> None:
    """Wait until the names of a folder's files are on the disk."""
    if os.name == "nt":  # it cannot open folders, and needs no such call
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
