"""Decoding of recordings to blocks of mono 16 kHz float32, in constant memory.

FFmpeg, through PyAV, decodes and resamples. Time stamps are kept: a hole becomes
silence. A damaged packet is skipped with a warning; the rest is still decoded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import av
import av.error
import numpy as np

from espressivo.audio.arrays import MOST_BAD
from espressivo.audio.blocks import BLOCK_S, blocks_of
from espressivo.audio.channels import left_out
from espressivo.audio.clock import Clock
from espressivo.audio.containers import declares_duration, missing_end
from espressivo.audio.conversion import Converter
from espressivo.audio.ffmpeg import capped
from espressivo.audio.inputs import open_recording
from espressivo.audio.tracks import choose_track
from espressivo.errors import AudioError
from espressivo.text import reason_of, to_unicode
from espressivo.types import SAMPLE_RATE, Segment, Signal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet


class Recording:
    """An opened audio file, decoded once by iterating over `blocks`.

    Args:
        source: Path of the file, or an open binary file with a descriptor, such as a
            pipe; it is closed after the last block.
        name: Name of the recording in messages; None: the path.
        track: Number of the audio track, from 1; None: the default track.

    Attributes:
        name: Name of the recording in messages; bytes that are no UTF-8 are escaped.
        track: Number of the audio track that is decoded, from 1.
        duration_s: Duration that the container declares, in seconds; None: undeclared.
        warnings: Non-fatal faults; the list is complete after the last block.
        gaps: Holes in the time stamps, which are silence; complete likewise.
        channels: Channels in most of the recording (mono, mixed, left, right, channel
            3, ...); final likewise.

    Raises:
        AudioError: The file is missing, empty, or contains no readable audio stream.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | IO[bytes],
        name: str | None = None,
        *,
        track: int | None = None,
    ) -> None:
        if isinstance(source, str | os.PathLike):
            self.name = to_unicode(os.fspath(source) if name is None else name)
            self._file = open_recording(Path(source), self.name)
        else:
            self.name = to_unicode(name or "stream")
            self._file = cast("BinaryIO", source)
        self._container = self._open()
        try:
            self.track, self.warnings = choose_track(self._container, self.name, track)
        except AudioError:
            self._container.close()
            self._file.close()
            raise
        self._stream: AudioStream = self._container.streams.audio[self.track - 1]
        self._decoder = self._decoder_of(self._stream)
        duration = self._container.duration
        self.duration_s = duration / av.time_base if duration else None
        start = self._container.start_time
        start_s = None if start is None else start / av.time_base
        self._clock = Clock(start_s, self.duration_s)
        self._converter = Converter(self._clock)
        self._n_broken = self._n_frames = 0
        self._fault = ""
        self._format = self._container.format.name

    @property
    def gaps(self) -> list[Segment]:  # noqa: D102  # described above
        return self._converter.gaps

    @property
    def channels(self) -> str:  # noqa: D102  # described above
        return self._converter.channels

    def _open(self) -> InputContainer:
        try:
            # FFmpeg receives an open descriptor and is not allowed to open anything
            # else: a playlist must not make it read other files or the network.
            # A Python file object would serve too, but PyAV takes an interrupt inside
            # its read callback for the end of the file.
            with capped():
                container = av.open(
                    "fd:",
                    "r",
                    # Every second old MP3 has a Latin-1 title.
                    metadata_errors="replace",
                    options={
                        "fd": str(self._file.fileno()),
                        "protocol_whitelist": "fd",
                    },
                )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._file.close()
            raise AudioError(
                f"{self.name}: cannot be read as a recording ({reason_of(error)}); "
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

    def _decoder_of(self, stream: AudioStream) -> AudioCodecContext:
        """Return the decoder of a stream: libopus for Opus, otherwise FFmpeg's default.

        Browsers decode Opus with libopus, so both give the same samples. With FFmpeg's
        native Opus decoder, probabilities differ by up to 0.024.
        """
        usual = stream.codec_context
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
            AudioError: Too many samples are NaN or infinite, or nothing could be
                decoded.
        """
        blocks = blocks_of(self._pieces(), block_s)
        with self._file, self._container:
            while True:
                with capped():
                    block = next(blocks, None)
                if block is None:
                    break
                yield block
            self._warn()

    def _pieces(self) -> Iterator[Signal]:
        """Yield signals of the lengths that the conversion returns."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.error.FFmpegError, OSError) as error:
                self.warnings.append(f"{self.name}: stopped early ({reason_of(error)})")
                break
            for frame in self._decoded(packet):
                yield from self._converted(frame)
        if self._n_frames == 0:
            raise AudioError(
                f"{self.name}: no audio could be decoded ("
                f"{self._fault or 'the stream is empty'}); pass an undamaged recording",
                "damaged",
            )
        yield from self._converter.finish()
        self._require_finite(final=True)

    def _decoded(self, packet: Packet[Any]) -> list[AudioFrame]:
        if self._decoder is not self._stream.codec_context and packet.has_sidedata(
            "new_extradata"
        ):  # another part of a chained Ogg file, whose channels may differ
            self._decoder = self._decoder_of(self._stream)
        try:
            frames = self._decoder.decode(packet)
        except (av.error.FFmpegError, OSError) as error:
            if not _is_tag(packet):
                self._n_broken += 1
                self._fault = reason_of(error)
            return []
        self._n_frames += len(frames)
        return frames

    def _converted(self, frame: AudioFrame) -> list[Signal]:
        rate, n_channels = frame.sample_rate, frame.layout.nb_channels
        try:
            pieces = self._converter.push(frame)
        except av.error.FFmpegError as error:
            raise AudioError(
                f"{self.name}: {n_channels} channels at {rate} Hz cannot be brought "
                f"to one at {SAMPLE_RATE} Hz ({reason_of(error)}); pass an undamaged "
                "recording",
                "damaged",
            ) from error
        self._require_finite()
        return pieces

    def _require_finite(self, *, final: bool = False) -> None:
        """Refuse a recording of which too much is not finite; wait for 10 s of it."""
        bad = self._converter
        if not bad.n_bad or (bad.n_samples < 10 * SAMPLE_RATE and not final):
            return
        if bad.n_bad > MOST_BAD * bad.n_samples:
            raise AudioError(
                f"{self.name}: holds NaN or infinite samples near {bad.bad_s:.3f} s, "
                f"{bad.n_bad} of {bad.n_samples}; repair the recording",
                "not finite",
            )

    def _warn(self) -> None:
        """Add the warnings that only the end of the recording allows."""
        self.warnings += [f"{self.name}: {text}" for text in self._faults()]

    def _faults(self) -> Iterator[str]:
        if self._n_broken:
            yield f"{self._n_broken} damaged packets skipped ({self._fault})"
        bad = self._converter
        if bad.n_bad:
            yield (
                f"{bad.n_bad} samples are NaN or infinite, the first near "
                f"{bad.bad_s:.3f} s; they were taken as silence"
            )
        yield from left_out(bad.used, bad.reasons)
        if cut := self._cut():
            yield f"truncated: {cut}"

    def _cut(self) -> str | None:
        """Return what is missing of the end; None if the recording is complete."""
        seekable = self._file.seekable()
        if seekable and (missing := missing_end(self._file)):
            return f"holds {missing}"
        stream, read_s = self._stream, self._clock.position_s
        exact = declares_duration(self._file if seekable else None, self._format)
        if not exact or not stream.duration or stream.time_base is None:
            return None
        # The sound may begin after the picture, and end before it.
        begin = (stream.start_time or 0) * stream.time_base
        start = (self._container.start_time or 0) / av.time_base
        wanted_s = float(begin + stream.duration * stream.time_base) - start
        # Declared durations are inexact (rounding, padding of the encoder), hence the
        # tolerance of 2 % plus 0.1 s.
        if read_s < 0.98 * wanted_s - 0.1:
            return f"{read_s:.1f} s decode of the {wanted_s:.1f} s that it announces"
        return None


def load_audio(path: Path | str) -> Signal:
    """Read a whole recording as one mono signal at 16 kHz.

    Returns:
        float32 [samples]; empty if the recording contains no samples.

    Raises:
        AudioError: The recording cannot be read, or no packet can be decoded.
    """
    signals = list(Recording(path).blocks())
    return np.concatenate(signals) if signals else np.zeros(0, np.float32)


def _is_tag(packet: Packet[Any]) -> bool:
    """Return whether a packet is a tag between two MP3s that were put together."""
    return bytes(packet)[:3] in (b"ID3", b"TAG", b"APE", b"LYR")
