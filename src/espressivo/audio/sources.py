"""What is passed as a recording: a path, the bytes of a file, an open one, an array."""

from __future__ import annotations

import io
import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, TypeGuard, cast

from espressivo.audio.arrays import ArrayRecording
from espressivo.audio.inputs import open_recording, require_content, stored
from espressivo.audio.recording import Recording
from espressivo.errors import AudioError
from espressivo.text import reason_of, to_unicode
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 2**20


class Readable(Protocol):
    """A binary file, a pipe, a response: something that is read."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; none at the end."""


Content: TypeAlias = bytes | bytearray | memoryview | Readable
"""The content of a recording, in any format that `Recording` reads."""


def is_content(recording: object) -> TypeGuard[Content]:
    """Return whether an object holds a recording's bytes; arrays hold samples."""
    if isinstance(recording, memoryview):
        return recording.format in {"B", "b", "c"}
    return isinstance(recording, bytes | bytearray) or hasattr(recording, "read")


def open_source(
    recording: Any,
    *,
    sample_rate: int = SAMPLE_RATE,
    name: str | None = None,
    track: int | None = None,
    headerless: str | None = None,
    channel: int | None = None,
    max_duration_s: float | None = None,
) -> Recording | ArrayRecording:
    """Return an opened recording, whatever it was passed as.

    Args:
        recording: A path, content or an array, as for `Analyzer.analyze`.
        sample_rate: Sample rate of an array, in Hz.
        name: Name of the recording in messages; None: its path.
        track: As for `Recording`.
        headerless: As for `Recording`.
        channel: As for `Recording`.
        max_duration_s: As for `Recording`; the caller knows the length of an array.

    Raises:
        AudioError: The recording cannot be read or announces too long a duration, or
            the array is not audio.
    """
    name = None if name is None else to_unicode(str(name))  # or a path
    if isinstance(recording, str | os.PathLike):
        if not (path := os.fsdecode(recording)):
            raise AudioError("'': is no path; pass a recording", "missing")
        return Recording(
            path,
            name,
            track=track,
            headerless=headerless,
            channel=channel,
            max_duration_s=max_duration_s,
        )
    if is_content(recording):
        file, found = opened(recording, name)
        return Recording(
            file,
            found,
            track=track,
            headerless=headerless,
            channel=channel,
            max_duration_s=max_duration_s,
        )
    if track is not None or headerless is not None:
        raise AudioError(
            f"{name or 'array'}: an array has no tracks and no format; leave `track` "
            "and `headerless` out, or pass a file"
        )
    return ArrayRecording(recording, sample_rate, name or "array", channel=channel)


@contextmanager
def kept(recording: Any, name: str | None) -> Iterator[tuple[Any, str | None]]:
    """Yield a recording that `open_source` opens any number of times, and its name.

    What can be read only once, such as a pipe, is copied to an unnamed temporary file.

    Args:
        recording: As for `open_source`.
        name: Name of the recording in messages; None: its path.

    Raises:
        AudioError: It cannot be read.
    """
    with ExitStack() as stack:
        if isinstance(recording, str | os.PathLike):
            path = Path(os.fsdecode(recording))
            if path.is_fifo():
                name = str(path) if name is None else str(name)
                recording = stack.enter_context(open_recording(path, name))
        elif hasattr(recording, "read") and _position(recording) is None:
            recording, name = opened(recording, name)
            stack.enter_context(recording)
        yield recording, name


def opened(content: Content, name: str | None) -> tuple[BinaryIO, str]:
    """Return content as an opened file of its own, and its name in messages.

    A file on disk that nothing was read of is opened again. All else is copied to an
    unnamed temporary file, from the current position to the end, since some containers
    (m4a) need seeking. The position of a file that can seek does not change.

    Args:
        content: The content of a recording.
        name: Name in messages; None: the file's, if it has one.

    Raises:
        AudioError: The file is open as text, closed, at its end, or a device, or it
            cannot be read.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        name = name or "bytes"
        view = memoryview(content)
        if not view.nbytes:
            raise AudioError(f"{name}: are empty; pass a whole recording", "empty")
        return stored([view if view.contiguous else bytes(view)], name), name
    name = name or _name_of(content)
    if (again := _opened_again(content, name)) is not None:
        return again, name
    begin = _position(content)
    copy = stored(_pieces(content, name), name)
    if begin is not None:
        content.seek(begin)  # type: ignore[attr-defined]  # it told its position
    if not os.fstat(copy.fileno()).st_size:
        copy.close()
        found = f"is at its end (byte {begin}); call seek(0)" if begin else "is empty"
        raise AudioError(f"{name}: {found}; pass a whole recording", "empty")
    return copy, name


def _name_of(content: Readable) -> str:
    name = getattr(content, "name", None)
    # Pipes have a number, and standard input has <stdin>.
    return name if isinstance(name, str) and name else "stream"


def _opened_again(content: Any, name: str) -> BinaryIO | None:
    """Return the same file on disk, opened again; None if that cannot be."""
    inner = getattr(content, "file", content)  # of a named temporary file
    raw = getattr(inner, "raw", inner)
    # Not by `fileno`: that of a decompressing file is the compressed one's.
    kinds = (io.FileIO, io.BufferedReader, io.BufferedRandom)
    if type(inner) not in kinds or type(raw) is not io.FileIO or raw.closed:
        return None
    found = os.fstat(raw.fileno())
    if not stat.S_ISREG(found.st_mode):
        require_content(found, name)
        return None
    with suppress(OSError, ValueError):
        if inner.tell() or not inner.readable() or not isinstance(raw.name, str):
            return None
        inner.flush()
        again = open(raw.name, "rb")  # noqa: PTH123, SIM115  # returned
        if os.path.samestat(found, os.fstat(again.fileno())) and found.st_size:
            return again
        again.close()
    return None


def _position(content: Any) -> int | None:
    """Return where a file that can seek is; None for a stream."""
    try:
        return int(content.tell()) if content.seekable() else None
    except (AttributeError, TypeError, OSError, ValueError):
        return None


def _pieces(content: Readable, name: str) -> Iterator[bytes]:
    while True:
        try:
            piece: Any = content.read(_PIECE_BYTES)
        except Exception as error:  # whatever a response or a wrapper raises
            reason = reason_of(error)
            raise AudioError(
                f"{name}: cannot be read ({reason}); pass an open binary file",
                "not opened",
            ) from error
        if isinstance(piece, str):
            raise AudioError(
                f'{name}: is open as text; open it in binary mode ("rb")', "no file"
            )
        if not isinstance(piece, bytes | bytearray | memoryview):
            with suppress(AttributeError):
                piece.close()  # a coroutine that nobody awaits would warn
            raise AudioError(
                f"{name}: its read() returns {type(piece).__name__}, not bytes; pass "
                "an open binary file, a path, bytes or an array",
                "no file",
            )
        if not piece:
            return
        yield cast("bytes", piece)
