"""Decoding of recordings to blocks of mono 16 kHz float32, in constant memory.

FFmpeg, through PyAV, decodes and resamples. Time stamps are kept: a hole becomes
silence. A damaged packet is skipped with a warning; the rest is still decoded.
"""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

import av.error
import numpy as np

from espressivo.audio.arrays import LEAST_HZ, MOST_BAD
from espressivo.audio.blocks import BLOCK_S, blocks_of
from espressivo.audio.channels import left_out
from espressivo.audio.clock import Clock, TooLongError
from espressivo.audio.containers import (
    announces_duration,
    declares_duration,
    missing_end,
)
from espressivo.audio.conversion import Converter
from espressivo.audio.demuxer import Demuxer
from espressivo.audio.ffmpeg import capped
from espressivo.audio.inputs import open_recording
from espressivo.audio.ogg import find_links
from espressivo.errors import AudioError
from espressivo.text import reason_of, to_unicode
from espressivo.types import SAMPLE_RATE, Segment, Signal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from av.audio.frame import AudioFrame

_TOLERANCE_S = 1.0  # of the longest duration: encoders pad


class Recording:
    """An opened audio file, decoded once by iterating over `blocks`.

    Args:
        source: Path of the file, or an open binary file with a descriptor, such as a
            pipe; it is closed after the last block.
        name: Name of the recording in messages; None: the path.
        track: Number of the audio track, from 1; None: the default track.
        headerless: Format of sound without a header, as for `parse_format`; None: by
            the name.
        channel: Index of the one channel that is wanted, or the last one where there
            are fewer; None: the channels become one, as `channels` tells.
        max_duration_s: Longest duration, in seconds; None: any. What announces more is
            not decoded, and decoding stops a second after it.

    Attributes:
        name: Name of the recording in messages; bytes that are no UTF-8 are escaped.
        track: Number of the audio track that is decoded, from 1.
        duration_s: Duration that the container declares, in seconds; None: undeclared.
        warnings: Non-fatal faults; the list is complete after the last block.
        gaps: Holes in the time stamps, which are silence; complete likewise.
        channels: Channels in most of the recording (mono, mixed, left, right, channel
            3, ...); final likewise.
        n_channels: Largest number of channels; final likewise.

    Raises:
        AudioError: The file is missing, empty, or contains no readable audio stream, or
            it announces more than `max_duration_s`.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | IO[bytes],
        name: str | None = None,
        *,
        track: int | None = None,
        headerless: str | None = None,
        channel: int | None = None,
        max_duration_s: float | None = None,
    ) -> None:
        self._max_s = max_duration_s
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            self.name = to_unicode(os.fspath(source) if name is None else name)
            self._file = open_recording(path, self.name)
        else:
            path = Path(name or "stream")
            self.name = to_unicode(name or "stream")
            self._file = cast("BinaryIO", source)
        try:
            links = find_links(self._file) if self._file.seekable() else []
            self._links = links if len(links) > 1 else [None]
            named = Path(self.name)  # an upload has its name, not its path, from users
            self._open = partial(
                Demuxer,
                self._file,
                self.name,
                hint=path if path.suffix else named,
                track=track,
                headerless=headerless,
            )
            self._part = self._open(span=self._links[0])
            self._require_short()
        except BaseException:
            self._file.close()
            raise
        self.track, self.warnings = self._part.track, self._part.warnings
        self.duration_s = self._part.duration_s if len(self._links) == 1 else None
        self._clock = Clock(None if self._max_s is None else self._max_s + _TOLERANCE_S)
        self._converter = Converter(self._clock, channel)

    @property
    def gaps(self) -> list[Segment]:  # noqa: D102  # described above
        return self._converter.gaps

    @property
    def channels(self) -> str:  # noqa: D102  # described above
        return self._converter.channels

    @property
    def n_channels(self) -> int:  # noqa: D102  # described above
        return self._converter.n_channels

    def blocks(self, block_s: float = BLOCK_S) -> Generator[Signal, None, None]:
        """Yield the recording as consecutive signals of `block_s` seconds.

        The last block may be shorter. A recording without samples yields no block.

        Raises:
            AudioError: Too many samples are NaN or infinite, nothing could be decoded,
                or it is longer than `max_duration_s`.
        """
        blocks = blocks_of(self._pieces(), block_s)
        with self._file, closing(self):
            while True:
                with capped():
                    block = next(blocks, None)
                if block is None:
                    break
                yield block
            self.warnings += [f"{self.name}: {text}" for text in self._faults()]

    def close(self) -> None:
        """Close the file; `blocks` does so after the last one."""
        self._part.close()
        self._file.close()

    def _pieces(self) -> Iterator[Signal]:
        """Yield signals of the lengths that the conversion returns."""
        for i, span in enumerate(self._links):
            if i and not self._next_part(span):
                break
            self._clock.begin(self._part.start_s, self._part.duration_s)
            for frame in self._part.frames():
                yield from self._converted(frame)
        yield from self._converter.finish()
        self._require_finite(final=True)

    def _next_part(self, span: tuple[int, int] | None) -> bool:
        """Open the next link of a chained file; return False if it is broken."""
        self._part.close()
        try:
            self._part = self._open(span=span)
        except AudioError as error:
            self.warnings.append(str(error))
            return False
        # One list for all parts.
        self._part.warnings = self.warnings
        return True

    def _require_short(self) -> None:
        """Refuse a recording that announces more than `max_duration_s`."""
        said_s, most_s = self._part.duration_s, self._max_s
        if most_s is None or said_s is None or said_s <= most_s + _TOLERANCE_S:
            return
        file = self._file if self._file.seekable() else None
        if announces_duration(file, self._part.format):
            self._part.close()
            raise AudioError(
                f"{self.name}: is {said_s:.0f} s long, more than the {most_s:g} s that "
                "are taken; cut it",
                "too long",
            )

    def _converted(self, frame: AudioFrame) -> Iterator[Signal]:
        rate, n_channels = frame.sample_rate, frame.layout.nb_channels
        if rate < LEAST_HZ:
            raise self._not_converted(n_channels, rate, f"below {LEAST_HZ} Hz")
        try:
            yield from self._converter.push(frame)
        except TooLongError as error:
            raise AudioError(
                f"{self.name}: is longer than the {self._max_s:g} s that are taken; "
                "cut it",
                "too long",
            ) from error
        except av.error.FFmpegError as error:
            reason = reason_of(error)
            raise self._not_converted(n_channels, rate, reason) from error
        self._require_finite()

    def _not_converted(self, n_channels: int, rate: int, reason: str) -> AudioError:
        return AudioError(
            f"{self.name}: {n_channels} channels at {rate} Hz cannot be brought to "
            f"one at {SAMPLE_RATE} Hz ({reason}); pass an undamaged recording",
            "damaged",
        )

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

    def _faults(self) -> Iterator[str]:
        """Yield the faults that only the end of the recording shows."""
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
        part, stream = self._part, self._part.stream
        exact = declares_duration(self._file if seekable else None, part.format)
        if not exact or not stream.duration or stream.time_base is None:
            return None
        # The sound may begin after the picture, and end before it.
        start, end = stream.start_time or 0, stream.duration
        # MP4: FFmpeg counts an empty edit at the beginning in the start and, unless all
        # edits are longer than the sound, in the duration, too.
        if "mp4" not in part.format or start >= end:
            end += start
        wanted_s = float(end * stream.time_base) - (part.start_s or 0)
        read_s = self._clock.position_s
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
