"""Standard streams as shells, services and other programs hand them over.

They can be closed, full, a socket, or in an encoding that lacks most characters.
"""

from __future__ import annotations

import codecs
import os
import sys
import warnings
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TextIO

from espressivo.errors import AudioError
from espressivo.text import escaped, to_line

if TYPE_CHECKING:
    from collections.abc import Iterator

# What reports, tables and bars are drawn with, where an encoding lacks it. Letters of
# names are escaped instead, so that names stay apart.
_ASCII = {
    **dict.fromkeys("█▉▊▋▌▮", "#"),
    **dict.fromkeys("▍▎▏", " "),
    **dict.fromkeys("▯━─╸╺", "-"),
    "░": "?",
    "·": ".",
    "…": "...",
    "±": "+-",
}
_HANDLER = "espressivo"  # name of `_to_ascii` among Python's handlers of such errors


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make standard output take any text, and standard error never fail."""
    codecs.register_error(_HANDLER, _to_ascii)
    _open_closed()
    before, warn = (sys.stdout, sys.stderr), warnings.showwarning
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)
    sys.stdout = _Output(sys.stdout)
    sys.stderr = _Output(sys.stderr, forgiving=True)
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        warnings.showwarning = warn


def standard_input() -> IO[bytes]:
    """Return standard input, as bytes.

    Raises:
        AudioError: It is closed, a terminal, or anything else that is no recording.
    """
    from espressivo.audio.inputs import require_content

    try:
        found = os.fstat(sys.stdin.fileno())
    except (AttributeError, OSError, ValueError) as error:  # None if it is closed
        raise AudioError(
            "stdin: is closed; pipe a recording in, or name a file", "no file"
        ) from error
    if sys.stdin.isatty():
        raise AudioError(
            "stdin: is a terminal; pipe a recording in, or name a file", "no file"
        )
    require_content(found, "stdin")
    # Whoever started us can have made it non-blocking: reads would come up short.
    if hasattr(os, "set_blocking"):  # Windows has it since Python 3.12
        os.set_blocking(sys.stdin.fileno(), True)
    return sys.stdin.buffer


def fault_of_output() -> OSError | None:
    """Return the error after which standard output takes no more, if there was one."""
    fault: OSError | None = getattr(sys.stdout, "fault", None)
    return fault


class _Output:
    """Text stream that remembers its first fault.

    Args:
        stream: The stream.
        forgiving: Whether faults are ignored, since there is nowhere to report them.

    Attributes:
        fault: The error, such as a full disk or a terminal that was closed.
    """

    def __init__(self, stream: TextIO, *, forgiving: bool = False) -> None:
        self.fault: OSError | None = None
        self._stream, self._forgiving = stream, forgiving

    def write(self, text: str) -> int:
        with self._noting():
            self._stream.write(text)
        return len(text)

    def write_bytes(self, content: bytes) -> None:
        with self._noting():
            self._stream.buffer.write(content)

    def flush(self) -> None:
        with self._noting():
            # Libraries ignore errors of writing, and the text is lost then.
            if self.fault is not None and not self._forgiving:
                raise self.fault
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.fault is None:
                self.fault = error
                _drop(self._stream)
            if not self._forgiving:
                raise


def _drop(stream: TextIO) -> None:
    """Send what a stream still holds, and what is written from now on, nowhere."""
    # Otherwise Python fails again when it flushes the stream at exit.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _open_closed() -> None:
    """Give closed streams a descriptor, which the next opened file would get else."""
    # Reading from 0, and writing to 1, are errors as before.
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, flags)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a library's warning as one line, without the source that raised it."""
    print(f"warning: {to_line(message)}", file=sys.stderr)


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII in place of what an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or escaped(c) for c in lacking), error.end
