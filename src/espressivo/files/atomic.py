"""Atomic writes: a file is complete or absent, even if the process is killed."""

from __future__ import annotations

import errno
import os
import re
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from espressivo.files.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE_S = 1.0  # a sweep holds a lock for a moment
_PARTIAL = re.compile(r"\..+\.\d+-\d+\.partial", re.DOTALL)
_swept: set[Path] = set()
"""Folders whose partial files were looked for by this process, which is once each."""


@contextmanager
def replacing(
    path: Path,
    *,
    durable: bool = False,
    mode: int = 0o666,
    errors: tuple[type[Exception], ...] = (),
) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces `path` atomically at the end.

    An error, such as a full disk, leaves `path` unchanged and removes the temporary
    file. A killed process leaves a file named `.NAME.*.partial`, which the next process
    that writes into the folder removes.

    Args:
        path: File to replace or create.
        durable: Flush to the disk (fsync), so that the file survives a power cut.
        mode: Permissions of the file; the umask is taken off.
        errors: Exceptions that the writing library raises in place of OSError.

    Raises:
        OSError: The file cannot be written.
    """
    # The name is unique, since threads and processes may write the same file at once.
    # It is in the same folder, since a rename is atomic within one file system only.
    mark = f"{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f".{path.name}.{mark}.partial")
    _sweep(path.parent)
    try:
        # The lock is held until the file has its name, or others might sweep it.
        with _created(partial, mode):
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


@contextmanager
def _created(partial: Path, mode: int) -> Iterator[None]:
    """Create an empty file and hold its lock, so that nobody takes it for abandoned."""
    with ExitStack() as stack:
        is_held = False
        while not is_held:
            # Of a killed process that had the same number.
            partial.unlink(missing_ok=True)
            # Created with its mode: a later chmod would leave a moment in which others
            # can read it. O_EXCL refuses a file or link that was put there before.
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            is_held = True
            if os.name == "nt":  # where locks are for writers too, and keep files
                break
            try:
                stack.enter_context(locked(partial, _PATIENCE_S, create=False))
            except FileNotFoundError:
                is_held = False  # another process swept it before it was locked
            except OSError:
                pass  # not every file system has locks
        yield


def _sweep(folder: Path) -> None:
    """Delete the partial files of killed processes; locks of others are held."""
    if folder in _swept or os.name == "nt":
        return
    _swept.add(folder)
    with suppress(OSError):  # the folder is not there, which the caller will tell
        for entry in os.scandir(folder):
            if _PARTIAL.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError), locked(folder / entry.name, 0, create=False):
                    (folder / entry.name).unlink()


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
