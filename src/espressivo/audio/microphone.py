"""Live sound from the microphone or a pipe, as blocks of mono 16 kHz float32.

The microphone alone needs `sounddevice` (extra `live`).
"""

from __future__ import annotations

import os
import queue
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from espressivo.audio.recording import (
    Recording,
    from_array,
)
from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_S = 0.1
"""Length of one chunk, in seconds."""

_LONGEST_QUEUE = 600  # chunks: a minute; later ones are lost, and counted


class Microphone:
    """The microphone that the system offers first.

    Attributes:
        n_lost: Chunks that were dropped, since the reader was a minute behind.
    """

    def __init__(self) -> None:
        self.n_lost = 0
        self._chunks: queue.Queue[Signal] = queue.Queue(_LONGEST_QUEUE)

    def blocks(self) -> Iterator[Signal]:
        """Yield what the microphone records, without an end.

        Raises:
            AudioError: There is no microphone, or it cannot be opened.
            ModuleNotFoundError: sounddevice is not installed.
        """
        sounddevice = _sounddevice()
        size = round(CHUNK_S * SAMPLE_RATE)
        try:
            with sounddevice.InputStream(
                samplerate=SAMPLE_RATE,
                channels=1,
                dtype="float32",
                blocksize=size,
                callback=self._on_chunk,
            ):
                while True:
                    yield self._chunks.get()
        except sounddevice.PortAudioError as error:
            raise AudioError(
                f"microphone: cannot be opened ({error}); connect one, or pipe sound "
                "in: espressivo listen -"
            ) from error

    def _on_chunk(self, chunk: Any, _n: int, _time: Any, _status: Any) -> None:
        try:
            self._chunks.put_nowait(chunk[:, 0].copy())
        except queue.Full:
            self.n_lost += 1


def _sounddevice() -> Any:
    try:
        import sounddevice  # noqa: PLC0415  # of an extra
    except OSError as error:  # PortAudio, which it needs, is not there
        raise AudioError(
            f"microphone: {error}; install PortAudio (Debian: libportaudio2), or pipe "
            "sound in: espressivo listen -"
        ) from error
    return sounddevice


def pcm_blocks(pipe: IO[bytes]) -> Iterator[Signal]:
    """Yield raw PCM as it comes: 16 kHz, 16 bit, little-endian, one channel.

    Args:
        pipe: Read until it ends.
    """
    size = round(2 * CHUNK_S * SAMPLE_RATE)
    held = b""
    while piece := os.read(pipe.fileno(), size):  # whatever is there, without waiting
        held += piece
        n = len(held) // 2 * 2
        yield from_array(np.frombuffer(held[:n], "<i2").astype(np.int16), SAMPLE_RATE)
        held = held[n:]


def recording_blocks(path: str, name: str) -> Iterator[Signal]:
    """Yield a recording as FFmpeg decodes it from a pipe, in blocks of a second.

    Raises:
        AudioError: It cannot be read as a recording.
    """
    return Recording(path, name).blocks(1.0)
