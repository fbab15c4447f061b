"""Conversion of decoded frames to one signal: time stamps, channels, sample rate."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.channels import MIXED, ChannelMixer
from espressivo.audio.clock import TOLERANCE_S
from espressivo.audio.ffmpeg import Planes, Resampler, second
from espressivo.types import SAMPLE_RATE, Segment, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.audio.frame import AudioFrame
    from numpy.typing import NDArray

    from espressivo.audio.clock import Clock

_MOST_GAPS = 1000  # in the report; damaged time stamps have one for each packet


class Converter:
    """One mono signal at 16 kHz from the frames of a recording, in order.

    The rate, the format and the channels may change inside a recording.

    Args:
        clock: Clock that places the frames.
        channel: Index of the one channel that is wanted, as for `ChannelMixer`.

    Attributes:
        gaps: Holes in the time stamps, which are silence in the signal, in order.
        used: Number of samples by channels: mono, mixed, left, right, ...
        reasons: Number of samples by the reason for leaving channels out.
        n_channels: Largest number of channels so far.
        n_samples: Number of decoded samples, at the recording's own rate.
        n_bad: Number of samples that were NaN or infinite, and are 0.
        bad_s: Position of the first of them, in seconds.
    """

    def __init__(self, clock: Clock, channel: int | None = None) -> None:
        self.gaps: list[Segment] = []
        self.used: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.n_channels = self.n_samples = self.n_bad = 0
        self.bad_s = 0.0
        self._clock, self._channel = clock, channel
        self._converted_s = 0.0
        self._rate, self._tick_s = SAMPLE_RATE, 0.0
        self._shape: tuple[int, str, str] | None = None
        self._planes: Planes | None = None
        self._mixer: ChannelMixer | None = None
        self._resampler: Resampler | None = None

    def push(self, frame: AudioFrame) -> Iterator[Signal]:
        """Yield the signals that a frame completes; a hole before it can take hours.

        Raises:
            TooLongError: The frame ends beyond what the clock places.
            av.error.FFmpegError: FFmpeg cannot convert the format of the frame.
        """
        shape = (frame.sample_rate, frame.format.name, frame.layout.name)
        if shape != self._shape:
            yield from self.finish()
            self._shape, self._planes = shape, Planes(frame)
            self._rate, self._tick_s = frame.sample_rate, float(frame.time_base or 0)
            n_channels = frame.layout.nb_channels
            self.n_channels = max(self.n_channels, n_channels)
            self._mixer = ChannelMixer(n_channels, frame.sample_rate, self._channel)
            self._resampler = Resampler(frame.sample_rate)
        # A frame's own time base is a new Fraction each time, which costs more than all
        # else here.
        stamp_s = None if frame.pts is None else frame.pts * self._tick_s
        rate, n = frame.sample_rate, frame.samples
        self.n_samples += n
        begin_s = self._clock.position_s
        placement = self._clock.place(stamp_s, n / rate)
        assert self._planes is not None
        if not placement.silence_s and not placement.skip_s:
            yield from self._through(self._planes.push(frame))
            return
        yield from self._through(self._planes.finish())
        if placement.silence_s:
            yield from self._silence(begin_s, placement.silence_s, frame)
        self._planes = Planes(frame)
        if not placement.skip_s:
            yield from self._through(self._planes.push(frame))
            return
        skipped = round(placement.skip_s * rate)
        alone = Planes(frame)
        rest = [*alone.push(frame), *alone.finish()]
        yield from self._through([np.concatenate(rest, axis=1)[:, skipped:]])

    def finish(self) -> list[Signal]:
        """Return the signals that the end of the recording completes."""
        if self._planes is None or self._mixer is None or self._resampler is None:
            return []
        done = self._through(self._planes.finish())
        done += self._resampler.push(self._mixer.finish())
        done += self._resampler.finish()
        self.used += self._mixer.used
        self.reasons += self._mixer.reasons
        self._planes = self._mixer = self._resampler = None
        return done

    @property
    def channels(self) -> str:
        """Channels in most of the signal: mono, mixed, left, right, channel 3, ..."""
        used = self.used + self._mixer.used if self._mixer else self.used
        return max(used, key=lambda name: used[name], default=MIXED)

    def _silence(
        self, begin_s: float, silence_s: float, frame: AudioFrame
    ) -> Iterator[Signal]:
        begin, end = (round(t * SAMPLE_RATE) for t in (begin_s, begin_s + silence_s))
        if silence_s > TOLERANCE_S and len(self.gaps) < _MOST_GAPS:
            self.gaps.append(Segment(begin, end))
        n, length = round(silence_s * frame.sample_rate), second(frame.sample_rate)
        zeros = np.zeros((frame.layout.nb_channels, length), np.float32)
        for at in range(0, n, length):
            yield from self._through([zeros[:, : n - at]])

    def _through(self, planes: Iterable[NDArray[np.float32]]) -> list[Signal]:
        assert self._mixer is not None
        assert self._resampler is not None
        done: list[Signal] = []
        for each in planes:
            done += self._resampler.push(self._mixer.push(self._finite(each)))
            self._converted_s += each.shape[1] / self._rate
        return done

    def _finite(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = planes.reshape(-1)
        with np.errstate(all="ignore"):
            looks_finite = np.isfinite(flat @ flat)  # the fastest look at all samples
        if looks_finite or (finite := np.isfinite(planes)).all():
            return planes
        if not self.n_bad:
            first = int(finite.all(axis=0).argmin())
            self.bad_s = self._converted_s + first / self._rate
        self.n_bad += int((~finite).any(axis=0).sum())
        return np.where(finite, planes, np.float32(0))
