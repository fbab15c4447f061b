"""Check that a stream which should be raw PCM of 16 bits is not something else.

Every sequence of bytes is PCM of some noise, so a wrong format would otherwise give a
report that says that nobody speaks.
"""

from __future__ import annotations

import numpy as np

from espressivo.audio.signatures import HEAD_BYTES, is_text, signature_of
from espressivo.errors import AudioError

_MOST_BLOCKS = 16  # of 128 ms with sound
_LEAST_TEXT = 256  # bytes; fewer may be letters by chance
# Sound in floats is mostly within these. As 16-bit samples, every second one of them
# would have to be in one of two narrow bands, 11,000 to 16,384 or -21,700 to -16,384.
_QUIETEST, _LOUDEST = 1e-12, 2.0
_SHARE = 0.98
_LEAST_SPREAD = 4000  # mean distance of neighbours when read as 16 bits
_LEAST_VALUES = 16
_WANTED = "raw PCM: 16 kHz, 16 bit, little-endian, one channel"


class PcmCheck:
    """Check of the beginning of a stream, until two seconds of sound have passed.

    Args:
        remedy: What the sender can do instead if it is a file with a header.
    """

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._held = b""
        self._is_start = True
        self._n_left = _MOST_BLOCKS

    def push(self, piece: bytes) -> None:
        """Check the next bytes of the stream.

        Raises:
            AudioError: They are no PCM of 16 bits; the message says what they seem.
        """
        if not self._n_left:
            return
        self._held += piece
        if self._is_start:
            self._require_no_header(self._held[:HEAD_BYTES])
            self._is_start = len(self._held) < HEAD_BYTES
        n_whole = len(self._held) // HEAD_BYTES * HEAD_BYTES
        for at in range(0, n_whole, HEAD_BYTES):
            if self._n_left and _require_16_bits(self._held[at : at + HEAD_BYTES]):
                self._n_left -= 1
        self._held = self._held[n_whole:] if self._n_left else b""

    def _require_no_header(self, head: bytes) -> None:
        found = signature_of(head)
        if found is not None and found.is_media:
            raise _unwanted(f"begins as {found.name}", self._remedy)
        if len(head) >= _LEAST_TEXT and is_text(head):
            raise _unwanted("is text", "send its bytes as they are")


def _require_16_bits(block: bytes) -> bool:
    """Return whether a block is more than digital silence."""
    samples = np.frombuffer(block, "<i2").astype(np.int32)
    first, second = samples[::2], samples[1::2]
    if 2 * np.count_nonzero(second) < len(second):
        return False  # digital silence
    if np.abs(first - second).mean() > _LEAST_SPREAD and any(
        _is_float(np.frombuffer(block, kind)) for kind in ("<f4", "<f8")
    ):
        raise _unwanted(
            "holds floating-point numbers", "multiply by 32767 and convert to int16"
        )
    if not first.any():
        raise _unwanted(
            "has a zero in place of every second sample",
            "send one channel, in samples of 16 bits",
        )
    return True


def _is_float(values: np.typing.NDArray[np.floating]) -> bool:
    with np.errstate(invalid="ignore"):  # PCM read as floats is partly NaN
        if not (values[::2] != 0).any():  # lower halves of round values of 64 bits
            return False
        found = np.abs(values[values != 0])
        usual = (found >= _QUIETEST) & (found <= _LOUDEST)
        return usual.mean() >= _SHARE and len(np.unique(values)) >= _LEAST_VALUES


def _unwanted(found: str, remedy: str) -> AudioError:
    return AudioError(f"the stream {found}, not {_WANTED}; {remedy}", "no PCM")
