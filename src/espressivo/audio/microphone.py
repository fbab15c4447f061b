"""Live audio input: microphone or pipe, as blocks of mono 16 kHz float32.

Only the microphone needs the library sounddevice (extra `live`).
"""

from __future__ import annotations

import os
import queue
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from espressivo.audio.arrays import from_array
from espressivo.audio.inputs import pieces_of
from espressivo.audio.pcm import PcmCheck
from espressivo.audio.recording import Recording
from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_S = 0.1
"""Length of one chunk, in seconds."""

# In chunks, which is one minute. When the queue is full, new chunks are dropped, since
# the audio callback must not block; `n_lost` counts them.
_LONGEST_QUEUE = 600
_LONGEST_DECODED = 60  # in seconds, when decoding is faster than the analysis


class Microphone:
    """The system's default microphone.

    Attributes:
        n_lost: Number of chunks dropped because the reader was a minute behind.
    """

    def __init__(self) -> None:
        self.n_lost = 0
        self._chunks: queue.Queue[Signal] = queue.Queue(_LONGEST_QUEUE)

    def blocks(self) -> Iterator[Signal]:
        """Yield the microphone's signal in chunks of `CHUNK_S` seconds, without end.

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
    """Yield signals from raw PCM: 16 kHz, 16 bit, little-endian, mono.

    Args:
        pipe: Binary stream with a file descriptor; it is read until its end.

    Raises:
        AudioError: The stream is something else, such as a file with a header.
    """
    check = PcmCheck("give a recording with a header without --raw")
    size = round(2 * CHUNK_S * SAMPLE_RATE)
    held = b""
    for piece in pieces_of(pipe, size):
        try:
            check.push(piece)
        except AudioError as error:
            raise AudioError(f"stdin: {error}", error.kind) from error
        held += piece
        n = len(held) // 2 * 2  # a read may end inside a 16-bit sample
        yield from_array(np.frombuffer(held[:n], "<i2").astype(np.int16), SAMPLE_RATE)
        held = held[n:]


def recording_blocks(
    pipe: IO[bytes], name: str, opened: list[Recording] | None = None
) -> Iterator[Signal]:
    """Yield blocks of one second that FFmpeg decodes from a pipe, socket or file.

    Args:
        pipe: Binary stream with a file descriptor; it is read until its end.
        name: Name of the recording in messages.
        opened: The recording is appended to it, since its warnings and gaps grow while
            it is decoded; None: nobody asks for them.

    Raises:
        AudioError: The input cannot be read as a recording.
    """
    decoded: queue.Queue[Signal | BaseException | None] = queue.Queue(_LONGEST_DECODED)

    def decode() -> None:
        try:
            # The caller's stream stays open.
            source = os.fdopen(os.dup(pipe.fileno()), "rb")
            recording = Recording(source, name)
            if opened is not None:
                opened.append(recording)
            for block in recording.blocks(1.0):
                decoded.put(block)
            decoded.put(None)
        except AudioError as error:
            # Most m4a files have their index at the end, which is out of reach.
            is_late = error.kind == "damaged" and not pipe.seekable()
            hint = "; if it is an m4a file: espressivo analyze -" * is_late
            decoded.put(AudioError(f"{error}{hint}", error.kind))
        except BaseException as error:  # noqa: BLE001 - raised in the other thread
            decoded.put(error)

    # FFmpeg waits for the pipe in C, where no signal interrupts it; this thread does
    # not, and the other one ends with the process.
    Thread(target=decode, daemon=True).start()
    while (block := decoded.get()) is not None:
        if isinstance(block, BaseException):
            raise block
        yield block
