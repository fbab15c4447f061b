"""Decoding of recordings to blocks of mono 16 kHz float32, in constant memory.

FFmpeg, through PyAV, decodes, takes the mean over channels and resamples. A damaged
packet is skipped with a warning; the rest of the recording is still decoded.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np

from espressivo.audio.containers import missing_end
from espressivo.audio.ffmpeg import (
    drain,
    resample,
    resampling_graph,
)
from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.filter import Graph

BLOCK_S = 30.0
"""Default length of a decoded block, in seconds."""

# Zero level and full scale of integer PCM, as scipy and soundfile return it.
_FULL_SCALE = {("i", 2): (0, 2**15), ("i", 4): (0, 2**31), ("u", 1): (128, 2**7)}
# Float audio may overshoot -1..1 somewhat; a larger peak means unscaled integers.
_LOUDEST = 32.0


class Recording:
    """An opened audio file, decoded once by iterating over `blocks`.

    Attributes:
        path: Path of the file.
        name: Name of the recording in messages; by default the path.
        duration_s: Duration that the container declares, in seconds; None: undeclared.
        warnings: Non-fatal faults; the list is complete after the last block.

    Raises:
        AudioError: The file is missing, empty, or contains no readable audio stream.
    """

    def __init__(self, path: Path | str, name: str | None = None) -> None:
        self.path = Path(path)
        self.name = name if name is not None else str(path)
        self.warnings: list[str] = []
        self._container = self._open()
        self._stream: AudioStream = self._container.streams.audio[0]
        self._decoder = self._decoder_of(self._stream)
        duration = self._container.duration
        self.duration_s = duration / av.time_base if duration else None

    def _open(self) -> InputContainer:
        self._require_content()
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise self._not_opened(error) from error
        try:
            # FFmpeg receives an open descriptor and is not allowed to open anything
            # else: a playlist must not make it read other files or the network.
            # A Python file object would serve too, but PyAV takes an interrupt inside
            # its read callback for the end of the file.
            container = av.open(
                "fd:",
                "r",
                options={
                    "fd": str(self._file.fileno()),
                    "protocol_whitelist": "fd",
                },
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._file.close()
            raise AudioError(
                f"{self.name}: cannot be read as a recording ({_reason(error)}); "
                "pass wav, flac, mp3, ogg, opus, m4a, amr, webm or mp4 with sound"
            ) from error
        if not container.streams.audio:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            container.close()
            self._file.close()
            raise AudioError(
                f"{self.name}: holds no audio stream (it holds: {kinds}); "
                "pass a recording with sound",
                "no sound",
            )
        return container

    def _require_content(self) -> None:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise AudioError(
                f"{self.name}: no such file; pass a recording", "missing"
            ) from error
        except OSError as error:  # such as a cyclic link or a folder without access
            raise self._not_opened(error) from error
        if stat.S_ISDIR(found.st_mode):
            raise AudioError(
                f"{self.name}: is a directory, not a recording; pass the files in it",
                "directory",
            )
        if stat.S_ISREG(found.st_mode) and found.st_size == 0:
            raise AudioError(
                f"{self.name}: the file is empty; pass a recording", "empty"
            )

    def _not_opened(self, error: OSError) -> AudioError:
        text = f"{self.name}: cannot be opened ({_reason(error)})"
        return AudioError(text, "not opened")

    def _decoder_of(self, stream: AudioStream) -> AudioCodecContext:
        """Return the decoder of a stream: libopus for Opus, otherwise FFmpeg's default.

        Browsers decode Opus with libopus, so both give the same samples. With FFmpeg's
        native Opus decoder, probabilities differ by up to 0.024.
        """
        usual: AudioCodecContext | None = stream.codec_context
        if usual is None:
            self._container.close()
            self._file.close()
            raise AudioError(
                f"{self.name}: its sound is in a codec that FFmpeg does not know; "
                "pass an undamaged recording, or convert it",
                "damaged",
            )
        if usual.name != "opus" or "libopus" not in av.codecs_available:
            return usual
        decoder = av.codec.Codec("libopus", "r").create("audio")
        decoder.extradata = usual.extradata
        decoder.sample_rate, decoder.layout = usual.sample_rate, usual.layout
        return decoder

    def blocks(self, block_s: float = BLOCK_S) -> Generator[Signal, None, None]:
        """Yield the recording as consecutive signals of `block_s` seconds.

        The last block may be shorter. A recording without samples yields no block.

        Raises:
            AudioError: Samples are NaN or infinite, or nothing could be decoded.
        """
        size = max(1, round(block_s * SAMPLE_RATE))
        held: list[Signal] = []
        n_held = n_read = 0
        with self._file, self._container:
            for piece in self._pieces():
                self._require_finite(piece, n_read)
                n_read += len(piece)
                held.append(piece)
                n_held += len(piece)
                if n_held >= size:
                    signal = np.concatenate(held)
                    n_whole = len(signal) // size * size
                    yield from np.split(signal[:n_whole], n_whole // size)
                    held = [signal[n_whole:]]
                    n_held = len(held[0])
            missing = missing_end(self._file) if self._file.seekable() else None
        if n_held:
            yield np.concatenate(held)
        if missing is not None:
            self.warnings.append(f"{self.name}: truncated: holds {missing}")
        else:
            self._compare_durations(n_read)

    def _pieces(self) -> Iterator[Signal]:
        """Yield resampled signals of the lengths that the filter graph returns."""
        graph: Graph | None = None
        shape: tuple[Any, ...] | None = None
        for frame in self._frames():
            now = (frame.sample_rate, frame.format.name, frame.layout.name)
            # Rate and channels may change inside a stream; a graph takes one format.
            if graph is None or now != shape:
                if graph is not None:
                    yield from drain(graph, flush=True)
                graph, shape = self._graph(frame), now
            frame.pts = None  # gaps in the time stamps must not become samples
            graph.push(frame)
            yield from drain(graph)
        if graph is not None:
            yield from drain(graph, flush=True)

    def _graph(self, frame: AudioFrame) -> Graph:
        try:
            return resampling_graph(frame)
        except av.error.FFmpegError as error:
            raise AudioError(
                f"{self.name}: {frame.layout.nb_channels} channels at "
                f"{frame.sample_rate} Hz cannot be brought to one at {SAMPLE_RATE} Hz "
                f"({_reason(error)}); pass an undamaged recording",
                "damaged",
            ) from error

    def _frames(self) -> Iterator[AudioFrame]:
        n_broken = n_frames = 0
        packets = self._container.demux(self._stream)
        last = ""
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.error.FFmpegError, OSError) as error:
                self.warnings.append(f"{self.name}: stopped early ({_reason(error)})")
                break
            try:
                frames = self._decoder.decode(packet)
            except (av.error.FFmpegError, OSError) as error:
                n_broken += 1
                last = _reason(error)
                continue
            n_frames += len(frames)
            yield from frames
        if n_frames == 0:
            raise AudioError(
                f"{self.name}: no audio could be decoded "
                f"({last or 'the stream is empty'}); pass an undamaged recording",
                "damaged",
            )
        if n_broken:
            self.warnings.append(
                f"{self.name}: {n_broken} damaged packets skipped ({last})"
            )

    def _require_finite(self, piece: Signal, n_before: int) -> None:
        if not np.isfinite(piece).all():
            bad = n_before + int(np.argmin(np.isfinite(piece)))
            raise AudioError(
                f"{self.name}: holds NaN or infinite samples near "
                f"{bad / SAMPLE_RATE:.3f} s; repair the recording",
                "not finite",
            )

    def _compare_durations(self, n_samples: int) -> None:
        # Declared durations are inexact (rounding, padding of the encoder), hence the
        # tolerance of 2 % plus 0.1 s.
        read_s = n_samples / SAMPLE_RATE
        if self.duration_s is not None and read_s < 0.98 * self.duration_s - 0.1:
            self.warnings.append(
                f"{self.name}: truncated: {read_s:.1f} s decode of the "
                f"{self.duration_s:.1f} s that it announces"
            )


def load_audio(path: Path | str) -> Signal:
    """Read a whole recording as one mono signal at 16 kHz.

    Returns:
        float32 [samples]; empty if the recording contains no samples.

    Raises:
        AudioError: The recording cannot be read, or no packet can be decoded.
    """
    signals = list(Recording(path).blocks())
    return np.concatenate(signals) if signals else np.zeros(0, np.float32)


def from_array(samples: np.typing.NDArray[Any], sample_rate: int) -> Signal:
    """Check an array of samples and convert it to mono float32 at 16 kHz.

    Args:
        samples: [samples], floats in -1..1 or PCM of type int16, int32 or uint8.
        sample_rate: Sample rate of the array, in Hz.

    Raises:
        AudioError: The shape or type is wrong, samples are NaN or infinite, or floats
            are not scaled to -1..1.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise AudioError(
            f"array: shape is {samples.shape}, not [samples]; "
            "pass one channel, or the mean over channels"
        )
    kind = samples.dtype.kind, samples.dtype.itemsize
    if kind in _FULL_SCALE:
        middle, scale = _FULL_SCALE[kind]
        # float32 represents 16-bit integers exactly and is faster, which streams need;
        # 32-bit integers need float64.
        exact: np.typing.NDArray[Any] = samples.astype("f4" if kind[1] <= 2 else "f8")
        signal = ((exact - middle) / scale).astype(np.float32)
    elif kind[0] == "f":
        signal = _float_signal(samples)
    else:
        raise AudioError(
            f"array: type is {samples.dtype.name}, whose full scale is unknown; "
            "pass float32 in -1..1, or PCM as int16, int32 or uint8"
        )
    return signal if sample_rate == SAMPLE_RATE else resample(signal, sample_rate)


def _float_signal(samples: np.typing.NDArray[Any]) -> Signal:
    if not np.isfinite(samples).all():
        at = int(np.argmin(np.isfinite(samples)))
        raise AudioError(f"array: sample {at} is NaN or infinite; repair the signal")
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest > _LOUDEST:
        raise AudioError(
            f"array: the largest sample is {loudest:g}, not within -1..1; "
            "divide by the full scale (32768 for 16-bit audio)"
        )
    return samples.astype(np.float32)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[0].lower() + text[1:] if text else type(error).__name__
