"""Temporary folders that do not outlast a killed process by long."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.files.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "espressivo-scratch-"
_LOCK = ".lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that only this user can read; delete it at the end.

    A killed process leaves its folder, which the next call deletes, in any process of
    this user.
    """
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # of mode 0700
    try:
        with locked(folder / _LOCK, 0):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Delete the folders of killed processes; locks of others are held."""
    for folder in parent.glob(f"{_PREFIX}*"):
        # What has no lock has just begun.
        with suppress(OSError):
            if _is_ours(folder) and (folder / _LOCK).is_file():
                with locked(folder / _LOCK, 0):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Return whether a folder, and not a link, is of this user; Windows has no ids."""
    status = folder.lstat()
    return folder.is_dir() and (
        not hasattr(os, "getuid")
        or (status.st_uid == os.getuid() and not folder.is_symlink())
    )
