"""One container as FFmpeg opens it: its audio track, and the frames of that track."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import av.error
import numpy as np

from espressivo.audio.containers import lacks_index
from espressivo.audio.ffmpeg import capped
from espressivo.audio.headerless import raw_format, remedy
from espressivo.audio.inputs import Part
from espressivo.audio.tracks import choose_track
from espressivo.errors import AudioError
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

_HEAD_BYTES = 4096  # enough to tell a container from sound without a header
# Streams of frames without time stamps, as FFmpeg names them: it counts frames, and
# counts them wrongly after a change of rate.
_COUNTED = {"aac", "ac3", "eac3", "mp3", "dts", "loas"}


# Decoders that replace FFmpeg's own, with their options.
_DECODERS: dict[str, tuple[str, dict[str, str]]] = {
    # As browsers; with FFmpeg's own, probabilities differ by up to 0.024. In floats.
    "opus": ("libopus", {"request_sample_fmt": "flt"}),
    "amrnb": ("libopencore_amrnb", {}),
    "amrwb": ("libopencore_amrwb", {}),
}
# PyAV 19 is without these two. FFmpeg's own take pauses that were not transmitted (DTX)
# for damage: frames from this type on (SID, lost, no data), of so many samples.
_PAUSES = {"amrnb": (8, 160), "amrwb": (9, 320)}
_INDEX = (
    "its index (moov) is missing, as in a recording that was interrupted, or in a "
    "segment without the first one: copy it again, join the segments, or repair it"
)
# On Windows FFmpeg has another C library (msvcrt) than Python (UCRT), and other numbers
# of open files. There it reads through Python, where PyAV takes an interrupt inside of
# its callback for the end of the file.
_SHARES_DESCRIPTORS = sys.platform != "win32"
# Every second old MP3 has a Latin-1 title; PyAV 19 needs no word on it.
_TAGS: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)


class Demuxer:
    """One container, whose frames are decoded once by iterating over `frames`.

    Args:
        file: The opened file; it stays open.
        name: Name of the recording in messages.
        track: Number of the audio track, from 1; None: the default track.
        hint: Path whose suffix says what sound without a header is.
        headerless: Format of such sound, from the user; None: by the suffix.
        span: First and last byte (exclusive) of the container; None: the whole file.

    Attributes:
        track: Number of the audio track that is decoded, from 1.
        format: FFmpeg's name of the container format.
        stream: The audio track.
        start_s: Earliest start of all tracks, in seconds; None: undeclared.
        duration_s: Declared duration, in seconds; None: undeclared.
        warnings: Non-fatal faults; the list is complete after the last frame.
        n_frames: Number of frames decoded so far.

    Raises:
        AudioError: It contains no readable audio stream.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        hint: Path,
        track: int | None = None,
        headerless: str | None = None,
        span: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self._container = self._open(file, hint, headerless, span)
        try:
            self.track, self.warnings = choose_track(self._container, name, track)
        except AudioError:
            self._container.close()
            raise
        self.format = self._container.format.name
        self.stream: AudioStream = self._container.streams.audio[self.track - 1]
        duration, start = self._container.duration, self._container.start_time
        self.duration_s = duration / av.time_base if duration else None
        rate, size = self.stream.codec_context.bit_rate, self._container.size
        if self.duration_s and self.format == "wav" and rate and (size or 0) > 0:
            # Writers to a pipe announce hours that never came.
            self.duration_s = min(self.duration_s, 8 * size / rate)
        self.start_s: float | None = None if start is None else start / av.time_base
        self.n_frames = 0
        self._decoder = self._decoder_of(self.stream)
        self._rate = self.stream.codec_context.sample_rate
        # FFmpeg stamps the first page of FLAC in Ogg 0, wherever the stream was cut.
        self._is_unsure = (self.format, self._decoder.name) == ("ogg", "flac")
        if self._is_unsure:
            self.start_s = None
        self._first_page: int | None = None
        self._packets_end = 0  # in the time base of the track
        self._n_broken = 0
        self._fault = ""

    def _open(
        self,
        file: BinaryIO,
        hint: Path,
        given: str | None,
        span: tuple[int, int] | None,
    ) -> InputContainer:
        try:
            head = file.read(_HEAD_BYTES) if file.seekable() else b""
            if head:
                file.seek(0)
            said = raw_format(hint, head, given)
            # FFmpeg receives an open descriptor and is not allowed to open anything
            # else: a playlist must not make it read other files or the network.
            part = "" if span is None else f"subfile,,start,{span[0]},end,{span[1]},,:"
            source: Any = f"{part}fd:"
            options = {
                "protocol_whitelist": "subfile,fd" if part else "fd",
                **(said.options if said else {}),
            }
            if _SHARES_DESCRIPTORS:
                options["fd"] = str(file.fileno())
            else:
                source = file if span is None else Part(file, *span)
            with capped():
                container: InputContainer = av.open(
                    source,
                    "r",
                    format=said.name if said else None,
                    options=options,
                    **_TAGS,
                )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise AudioError(
                f"{self.name}: cannot be read as a recording ({reason_of(error)}); "
                f"{_to_do(file, remedy(hint))}"
            ) from error
        if not container.streams.audio:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            container.close()
            raise AudioError(
                f"{self.name}: holds no audio stream (it holds: {kinds}); "
                f"{_to_do(file, 'pass a recording with sound')}",
                "no sound",
            )
        return container

    def _decoder_of(self, stream: AudioStream) -> AudioCodecContext:
        usual = stream.codec_context
        name, options = _DECODERS.get(usual.name, ("", {}))
        if name not in av.codecs_available:
            return usual
        decoder = av.codec.Codec(name, "r").create("audio")
        decoder.extradata = usual.extradata
        decoder.sample_rate, decoder.layout = usual.sample_rate, usual.layout
        decoder.options = options
        return decoder

    def frames(self) -> Iterator[AudioFrame]:
        """Yield the decoded frames, in order; damaged packets are left out."""
        last: AudioFrame | None = None
        for packet in self._packets():
            for frame in self._decoded(packet):
                if last is not None:
                    yield last
                last = frame
        if last is not None:
            yield self._cut(last)
        if not self.n_frames:
            raise AudioError(self._nothing(), "damaged")
        if n := self._n_broken:
            packets = "1 damaged packet" if n == 1 else f"{n} damaged packets"
            self.warnings.append(f"{self.name}: {packets} skipped ({self._fault})")

    def _packets(self) -> Iterator[Packet[Any]]:
        demuxed = self._container.demux(self.stream)
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                self.warnings.append(f"{self.name}: stopped early ({reason_of(error)})")
                return
            if packet.pts is not None and packet.duration:
                self._packets_end = max(self._packets_end, packet.pts + packet.duration)
            yield packet

    def _cut(self, last: AudioFrame) -> AudioFrame:
        """Return the last frame without the encoder's padding, which is not played.

        An edit list (ISO/IEC 14496-12, section 8.6.6) ends inside of a packet, and the
        last packet may be shorter than the others (8.6.1.2). FFmpeg 9 heeds that for
        some codecs, and earlier ones for none.
        """
        stream = self.stream
        if "mp4" not in self.format or not stream.duration or last.pts is None:
            return last
        end = min((stream.start_time or 0) + stream.duration, self._packets_end)
        end_s = end * float(stream.time_base or 0)
        left_s = end_s - last.pts * float(last.time_base or 0)
        n = round(left_s * last.sample_rate)
        return _shortened(last, n) if 0 < n < last.samples else last

    def _nothing(self) -> str:
        remedy = "pass an undamaged recording"
        n = len(self._container.streams.audio)
        if n > 1 and not self._fault:
            remedy = f"it is track {self.track} of {n}: choose another with --track"
        fault = self._fault or "the stream is empty"
        return f"{self.name}: no audio could be decoded ({fault}); {remedy}"

    def _decoded(self, packet: Packet[Any]) -> list[AudioFrame]:
        try:
            frames = self._decoder.decode(packet)
        except (av.error.FFmpegError, OSError) as error:
            if pause := _pause(packet, self._decoder.name):
                self.n_frames += 1
                return [pause]
            if not _is_tag(packet):
                self._n_broken += 1
                self._fault = reason_of(error)
            return []
        if self._is_unsure and frames:
            self._first_page = self._first_page or packet.pos
            self._is_unsure = packet.pos == self._first_page
        for frame in frames:
            counted = self.format in _COUNTED and frame.sample_rate != self._rate
            if counted or self._is_unsure:
                frame.pts = None
        if frames and not self.n_frames:
            self._move_first(frames, packet)
        self.n_frames += len(frames)
        return frames

    def _move_first(self, frames: list[AudioFrame], packet: Packet[Any]) -> None:
        """Move the stamp of the first frame by the samples that the decoder skipped.

        FFmpeg does so itself in the decoder that a stream brings, but not in ours.
        """
        is_ours = self._decoder is not self.stream.codec_context
        first = frames[0]
        if is_ours and packet.duration and first.pts is not None:
            n = sum(frame.samples for frame in frames)
            ticks = n / (first.sample_rate * float(packet.time_base))
            first.pts += max(0, packet.duration - round(ticks))

    def close(self) -> None:
        """Close the container, but not the file."""
        self._container.close()


def _to_do(file: BinaryIO, usual: str) -> str:
    return _INDEX if file.seekable() and lacks_index(file) else usual


def _is_tag(packet: Packet[Any]) -> bool:
    """Return whether a packet is a tag between two MP3s that were put together."""
    return bytes(packet)[:3] in (b"ID3", b"TAG", b"APE", b"LYR")


def _pause(packet: Packet[Any], codec: str) -> AudioFrame | None:
    """Return the silence that a packet of AMR stands for; None: it has sound."""
    first_type, n = _PAUSES.get(codec, (16, 0))
    content = bytes(packet)
    if not content or content[0] >> 3 & 15 < first_type:
        return None
    silence = np.zeros((1, n), np.float32)
    frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
    frame.sample_rate, frame.time_base = 50 * n, packet.time_base
    frame.pts = packet.pts
    return frame


def _shortened(frame: AudioFrame, n: int) -> AudioFrame:
    """Return the first `n` samples of a frame."""
    queue = av.AudioFifo()
    pts, frame.pts = frame.pts, None
    queue.write(frame)
    first = queue.read(n)
    assert first is not None
    first.pts, first.time_base = pts, frame.time_base
    return first
