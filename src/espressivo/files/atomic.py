"""Atomic writes: a file is complete or absent, even if the process is killed."""

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
    """Yield a temporary path, whose file replaces `path` atomically at the end.

    An error, such as a full disk, leaves `path` unchanged and removes the temporary
    file. A killed process leaves a file named `.NAME.*.partial`.

    Args:
        path: File to replace or create.
        durable: Flush to the disk (fsync), so that the file survives a power cut.
        errors: Exceptions that the writing library raises in place of OSError.

    Raises:
        OSError: The file cannot be written.
    """
    # The name is unique, since threads and processes may write the same file at once.
    # It is in the same folder, since a rename is atomic within one file system only.
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
    except OSError as error:
        # A full disk has no name, and nobody knows the temporary one.
        if error.errno == errno.ENOSPC or error.filename == str(partial):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_names(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that renames survive a power cut."""
    if os.name == "nt":  # Windows cannot open folders, and needs no such call
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(text: str, path: Path, *, durable: bool = False) -> None:
    """Write a UTF-8 text file atomically, with its line ends; see `replacing`."""
    with replacing(path, durable=durable) as partial:
        partial.write_text(text, "utf-8", newline="")
