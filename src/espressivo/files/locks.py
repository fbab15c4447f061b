"""Lock files; the operating system releases them when their process is killed.

The library filelock is not used, since its import takes 15 ms, a twentieth of
`espressivo analyze`.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_PAUSE_S = 0.002


@contextmanager
def locked(path: Path, patience_s: float, *, create: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is never deleted.

    Args:
        path: Path of the lock file.
        patience_s: Longest time to wait for the lock, in seconds.
        create: Create the file if it is absent. Who deletes a lock file that it holds
            must not create it: of several, the second would hold another file than
            the one whose lock the owner waits for.

    Raises:
        TimeoutError: Another process or thread held the lock for that long.
        OSError: The file cannot be opened, or was deleted meanwhile and `create` is
            not given.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        end = time.monotonic() + patience_s
        while True:
            try:
                _take(descriptor)
                break
            except OSError as error:
                if time.monotonic() >= end:
                    raise TimeoutError(str(path)) from error
                time.sleep(_PAUSE_S)
        if not (create or os.path.samestat(os.fstat(descriptor), path.stat())):
            raise FileNotFoundError(str(path))
        yield
    finally:
        os.close(descriptor)  # closing releases the lock
