"""Arrays and weights that are whole on the disk or not there."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from espressivo.files import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

write_text = atomic.write_text


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write, as `espressivo.files.atomic.replacing` does.

    Raises:
        OSError: It cannot be written; torch and safetensors say so in other ways.
    """
    try:
        with atomic.replacing(path) as partial:
            yield partial
    except (RuntimeError, SafetensorError) as error:
        reason = f"cannot be written, perhaps for want of room ({error})"
        raise OSError(errno.EIO, reason, str(path)) from error
