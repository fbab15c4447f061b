"""Temporary folders that do not outlast a killed process by long."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.files.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "espressivo-scratch-"
LOCK = "lock"
"""Name of the lock file in a folder of `locked_folder`."""

_PATIENCE_S = 10.0


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that only this user can read; delete it at the end.

    A killed process leaves its folder, which the next call deletes, in any process of
    this user.
    """
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    with locked_folder(parent, _PREFIX) as folder:
        yield folder


@contextmanager
def locked_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder of mode 0700 with a held lock; delete it at the end.

    The lock, its file `lock`, tells whoever deletes folders of killed processes that it
    is in use.
    """
    with ExitStack() as stack:
        is_locked = False
        while not is_locked:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(locked(folder / LOCK, _PATIENCE_S))
            # Another process may have swept it before it was locked.
            is_locked = (folder / LOCK).exists()
        yield folder


def _sweep(parent: Path) -> None:
    """Delete the folders of killed processes; locks of others are held."""
    for folder in parent.glob(f"{_PREFIX}*"):
        # What has no lock has just begun.
        with suppress(OSError):
            if _is_ours(folder) and (folder / LOCK).is_file():
                with locked(folder / LOCK, 0, create=False):
                    # Whoever waits for this lock sees that its folder is gone.
                    (folder / LOCK).unlink()
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Return whether a folder, and not a link, is of this user; Windows has no ids."""
    status = folder.lstat()
    return folder.is_dir() and (
        not hasattr(os, "getuid")
        or (status.st_uid == os.getuid() and not folder.is_symlink())
    )
