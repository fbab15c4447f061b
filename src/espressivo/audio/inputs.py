"""Opening of what a recording is read from: a file, a named pipe, a stream."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from threading import Thread
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from espressivo.errors import AudioError
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_PATIENCE_S = 5.0  # until a named pipe that nobody writes to is given up
_PIECE_BYTES = 2**20


def open_recording(path: Path, name: str) -> BinaryIO:
    """Return the opened file; a named pipe is copied to an unnamed file first.

    Args:
        path: Path of the recording.
        name: Name of the recording in messages.

    Raises:
        AudioError: There is no such file, it cannot be opened, or it is empty, a
            folder, a device, a socket, or a pipe that nobody writes to.
    """
    try:
        found = path.stat()
        if stat.S_ISFIFO(found.st_mode):
            with _opened_pipe(path, name) as pipe:
                return copied(pipe, name)
        require_content(found, name)
        if stat.S_ISSOCK(found.st_mode):  # one that is open would do, but not a path
            raise AudioError(
                f"{name}: is a socket, not a recording; pass a file or a pipe",
                "no file",
            )
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise AudioError(
            f"{name}: no such file; pass a recording", "missing"
        ) from error
    except OSError as error:  # such as a cyclic link or a folder without access
        text = f"{name}: cannot be opened ({reason_of(error)})"
        raise AudioError(text, "not opened") from error


def require_content(found: os.stat_result, name: str) -> None:
    """Refuse what no recording can be read from, or only for ever.

    Raises:
        AudioError: It is an empty file, a folder or a device.
    """
    mode = found.st_mode
    if stat.S_ISDIR(mode):
        raise AudioError(
            f"{name}: is a directory, not a recording; pass the files in it",
            "directory",
        )
    if stat.S_ISREG(mode) and found.st_size == 0:
        raise AudioError(f"{name}: the file is empty; pass a recording", "empty")
    # Reading from a device can be without end, such as /dev/zero.
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise AudioError(
            f"{name}: is a device, not a recording; pass a file or a pipe", "no file"
        )


def copied(stream: IO[bytes], name: str) -> BinaryIO:
    """Return a copy of a stream, as `stored` makes it.

    Args:
        stream: Stream with a file descriptor, to read to its end.
        name: Name of the recording in messages.

    Raises:
        AudioError: It cannot be read, or there is no room for the copy.
    """
    return stored(pieces_of(stream), name)


def stored(pieces: Iterable[bytes | bytearray | memoryview], name: str) -> BinaryIO:
    """Return bytes in an unnamed temporary file, at its beginning.

    Some containers (m4a) need seeking. The file has no name, so that nothing of it is
    left however the process ends.

    Args:
        pieces: The bytes, in order.
        name: Name of the recording in messages.

    Raises:
        AudioError: They cannot be read, or there is no room for them.
    """
    try:
        copy = tempfile.TemporaryFile(prefix="espressivo-")  # noqa: SIM115 - returned
    except OSError as error:
        raise _no_room(name, error) from error
    try:
        for piece in pieces:
            copy.write(piece)
        copy.flush()
    except OSError as error:
        with suppress(OSError):  # it tries to write the rest again
            copy.close()
        raise _no_room(name, error) from error
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return cast("BinaryIO", copy)


def pieces_of(stream: IO[bytes], size: int = _PIECE_BYTES) -> Iterator[bytes]:
    """Yield what can be read of a stream as it comes, until its end.

    Args:
        stream: Binary stream with a file descriptor: a file, a pipe or a socket.
        size: Length of the largest piece, in bytes.
    """
    # os.read returns the bytes available; stream.read waits for all of `size`.
    while piece := os.read(stream.fileno(), size):
        yield piece


def _opened_pipe(path: Path, name: str) -> IO[bytes]:
    """Return a named pipe, once somebody has opened it for writing."""
    opened: list[int] = []
    # Opening blocks until then, so it is done elsewhere.
    opening = Thread(
        target=lambda: opened.append(os.open(path, os.O_RDONLY)), daemon=True
    )
    opening.start()
    opening.join(_PATIENCE_S)
    if opening.is_alive():
        # As a writer that leaves at once, this releases the thread.
        os.close(os.open(path, os.O_WRONLY | _NOT_BLOCKING))
        opening.join()
        os.close(opened[0])
        raise AudioError(
            f"{name}: is a named pipe that nobody writes to; start the writer first, "
            "or pass a file",
            "no file",
        )
    if not opened:  # the error that the thread met
        return path.open("rb")
    return os.fdopen(opened[0], "rb")


# Windows has no named pipes among its files.
_NOT_BLOCKING = getattr(os, "O_NONBLOCK", 0)


def _no_room(name: str, error: OSError) -> AudioError:
    place = os.environ.get("TMPDIR") or tempfile.gettempdir()
    return AudioError(
        f"{name}: cannot be copied to a temporary file in {place} "
        f"({reason_of(error)}); make room there, or set TMPDIR to a folder that has it",
        "no room",
    )


class Part:
    """Bytes of an open file from `begin` to `end` (exclusive), as a file to read."""

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        self._file, self._begin, self._end = file, begin, end
        file.seek(begin)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, `size` at most; negative: all that are left."""
        left = max(0, self._end - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as a file does, and return the new position."""
        start = {os.SEEK_SET: self._begin, os.SEEK_END: self._end}
        self._file.seek(start.get(whence, self._file.tell()) + offset)
        return self.tell()

    def tell(self) -> int:
        """Return the position in the part."""
        return self._file.tell() - self._begin
