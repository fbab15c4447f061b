"""The folder of pulled models: what comes into it is complete, or not there at all."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from espressivo.errors import ModelError
from espressivo.files.locks import locked
from espressivo.files.scratch import LOCK, locked_folder
from espressivo.model.find import FOLDER_VARIABLE
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Temporary folders are beside the models: a rename is atomic within one file system
# only. Names of models begin with no dot.
_STAGES = ".pull-"
_OLD = "old"


def publish(new: Path, target: Path, stage: Path, *, replace: bool) -> None:
    """Rename a complete folder to what `find_model` finds.

    Args:
        new: The complete folder, in `stage`.
        target: Its name among the models.
        stage: A folder of `staged`.
        replace: Replace a folder that is there.

    Raises:
        OSError: The folder cannot be written to, or `target` is there already.
    """
    if not replace or not target.exists():
        new.rename(target)  # raises where another process was first
        return
    # A rename does not replace a folder that holds files: the old one steps aside
    # first, and back if the new one cannot come.
    aside = stage / _OLD
    aside.mkdir()
    target.rename(aside / target.name)
    try:
        new.rename(target)
    except BaseException:
        (aside / target.name).rename(target)
        raise


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder in `folder`, deleted at the end with all that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    with locked_folder(folder, _STAGES) as stage:
        yield stage


def _sweep(folder: Path) -> None:
    """Delete what killed pulls have left; the lock of one under way is held."""
    for stage in folder.glob(f"{_STAGES}*"):
        # What has no lock yet has just begun, or is not ours.
        with suppress(OSError):
            if not (stage / LOCK).is_file():
                continue
            with locked(stage / LOCK, 0, create=False):
                # It was killed while it replaced a model: the old one comes back.
                for old in (stage / _OLD).glob("*"):
                    if not (folder / old.name).exists():
                        old.rename(folder / old.name)
                # Whoever waits for this lock sees that its folder is gone.
                with suppress(OSError):  # Windows: who waits has it open, and keeps it
                    (stage / LOCK).unlink()
            shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Raise errors of the disk as `ModelError`."""
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written ({reason_of(error)}); make room, or name "
            f"another folder (--to, or {FOLDER_VARIABLE})"
        ) from error
