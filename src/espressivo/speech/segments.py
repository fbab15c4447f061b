"""Hysteresis: speech probabilities per frame to segments of speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.speech.detector import FRAME
from espressivo.types import SAMPLE_RATE, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST_S = 3600  # no recording has speech without a pause for longer


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Thresholds and durations of the speech segmentation (hysteresis).

    Attributes:
        threshold: Speech probability at which a segment begins.
        release: Speech probability below which a frame is a pause.
        min_speech_s: Shortest segment, in seconds; shorter ones are dropped (clicks).
        min_pause_s: Shortest pause that ends a segment, in seconds.
        pad_s: Padding before and after a segment, in seconds, since onsets are soft;
            at most half of `min_pause_s`.
    """

    threshold: float = 0.5
    release: float = 0.35
    min_speech_s: float = 0.256
    min_pause_s: float = 0.384
    pad_s: float = 0.096

    def __post_init__(self) -> None:
        for name in ("min_speech_s", "min_pause_s"):
            if not 0 <= getattr(self, name) < _LONGEST_S:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; wanted 0 to {_LONGEST_S} s"
                )
        if not 0 <= self.release <= self.threshold <= 1:
            raise ValueError(
                f"release is {self.release} and threshold {self.threshold}; "
                "wanted 0 <= release <= threshold <= 1"
            )
        if not 0 <= self.pad_s <= self.min_pause_s / 2:
            raise ValueError(
                f"pad_s is {self.pad_s}; wanted 0 to half of min_pause_s "
                f"({self.min_pause_s / 2}), or segments would overlap"
            )

    def __str__(self) -> str:
        return (
            f"threshold {self.threshold:g} and {self.release:g}, speech of "
            f"{self.min_speech_s:g} s, pauses of {self.min_pause_s:g} s, padding of "
            f"{self.pad_s:g} s"
        )

    @property
    def min_speech(self) -> int:
        """Shortest segment, in frames."""
        return _frames(self.min_speech_s)

    @property
    def min_pause(self) -> int:
        """Shortest pause that ends a segment, in frames; at least 1."""
        return max(1, _frames(self.min_pause_s))

    @property
    def pad(self) -> int:
        """Padding on each side, in samples."""
        return round(self.pad_s * SAMPLE_RATE)


def _frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / FRAME)


@dataclass(frozen=True, slots=True)
class SegmenterState:
    """State of a segmenter between two blocks, in frames.

    Attributes:
        n_frames: Number of frames so far.
        start: First frame of the open segment; None between segments.
        last: End (exclusive) of the open segment's last frame that is not a pause.
    """

    n_frames: int = 0
    start: int | None = None
    last: int = 0


class Segmenter:
    """Segments of a stream of speech probabilities, by hysteresis.

    Args:
        options: Thresholds and durations.
        state: State to continue from; None: the beginning of a recording.

    Attributes:
        open: The unfinished segment, from its padded start to the end of its last frame
            that is not a pause. None between segments, and while it is too short.
    """

    def __init__(
        self, options: SpeechOptions | None = None, state: SegmenterState | None = None
    ) -> None:
        self._options = options or SpeechOptions()
        state = state or SegmenterState()
        self._n, self._start, self._last = state.n_frames, state.start, state.last

    @property
    def state(self) -> SegmenterState:
        """Current state; valid until the next frames are pushed."""
        return SegmenterState(self._n, self._start, self._last)

    @property
    def open(self) -> Segment | None:  # noqa: D102  # described above
        if self._start is None or self._last - self._start < self._options.min_speech:
            return None
        return self._padded(self._last * FRAME, pad_end=0)

    @property
    def unsettled_from(self) -> int:
        """Earliest sample at which an open or later segment can begin."""
        first = self._n if self._start is None else self._start
        return max(0, first * FRAME - self._options.pad)

    def push(self, probabilities: Iterable[float]) -> list[Segment]:
        """Return the segments that these frames complete, oldest first."""
        segments: list[Segment] = []
        for p in probabilities:
            if self._start is None:
                if p >= self._options.threshold:
                    self._start, self._last = self._n, self._n + 1
            elif p >= self._options.release:
                self._last = self._n + 1
            elif self._n + 1 - self._last >= self._options.min_pause:
                segments += self._close(limit=None)
            self._n += 1
        return segments

    def finish(self, n_samples: int) -> list[Segment]:
        """Return the segment that the recording's end completes, if one is open."""
        return [] if self._start is None else self._close(limit=n_samples)

    def _close(self, limit: int | None) -> list[Segment]:
        assert self._start is not None
        long_enough = self._last - self._start >= self._options.min_speech
        end = self._last * FRAME
        segment = self._padded(end, self._options.pad, limit)
        self._start = None
        return [segment] if long_enough else []

    def _padded(self, end: int, pad_end: int, limit: int | None = None) -> Segment:
        assert self._start is not None
        start = max(0, self._start * FRAME - self._options.pad)
        end += pad_end
        return Segment(start, end if limit is None else min(end, limit))


def find_segments(
    probabilities: Iterable[float],
    n_samples: int,
    options: SpeechOptions | None = None,
) -> list[Segment]:
    """Return the segments of a whole recording, in order and without overlap.

    Args:
        probabilities: Speech probability of each frame of `FRAME` samples.
        n_samples: Length of the recording; the last frame may end after it.
        options: Thresholds and durations.
    """
    segmenter = Segmenter(options)
    return [*segmenter.push(probabilities), *segmenter.finish(n_samples)]
