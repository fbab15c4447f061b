"""Reading of files that somebody else made: regular files only, of a bounded size."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST_TEXT = 4_000_000
"""Largest size of a model card, an index of models or a profile, in bytes."""


def read_regular(path: Path, most_bytes: int = MOST_TEXT) -> bytes:
    """Return the content of a file; links are followed.

    A pipe, a device or a socket is refused without waiting for it: a link in a folder
    may lead to `/dev/zero`, which never ends.

    Args:
        path: Path of the file.
        most_bytes: Largest size that is read, in bytes.

    Raises:
        OSError: The file cannot be read, is larger, or is no regular file.
    """
    # Opening a pipe for reading would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - of a descriptor
        status = os.fstat(file.fileno())
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is a pipe or a device, not a file", str(path))
        if status.st_size > most_bytes:
            raise _too_large(path, most_bytes)
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:  # it grew meanwhile
        raise _too_large(path, most_bytes)
    return content


def _too_large(path: Path, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"is larger than {most_bytes:,} bytes", str(path))
