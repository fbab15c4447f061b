"""Hysteresis: speech probabilities, frame by frame -> segments of speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.speech.detector import FRAME
from espressivo.types import SAMPLE_RATE, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """When a frame begins, continues or ends speech.

    Attributes:
        threshold: A frame at least this probable begins speech.
        release: A frame less probable than this is a pause.
        min_speech_s: Shorter speech is dropped (a click, a cough).
        min_pause_s: A shorter pause does not end a segment.
        pad_s: Added before and after, since onsets are soft; at most half a pause.
    """

    threshold: float = 0.5
    release: float = 0.35
    min_speech_s: float = 0.256
    min_pause_s: float = 0.384
    pad_s: float = 0.096

    def __post_init__(self) -> None:
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

    @property
    def min_speech(self) -> int:
        """In frames."""
        return _frames(self.min_speech_s)

    @property
    def min_pause(self) -> int:
        """In frames, at least 1."""
        return max(1, _frames(self.min_pause_s))

    @property
    def pad(self) -> int:
        """In samples."""
        return round(self.pad_s * SAMPLE_RATE)


def _frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / FRAME)


@dataclass(frozen=True, slots=True)
class SegmenterState:
    """The state of a segmenter between two blocks, in frames.

    Attributes:
        n_frames: Frames seen.
        start: First frame of the open segment; None between segments.
        last: One past the open segment's last frame that is no pause.
    """

    n_frames: int = 0
    start: int | None = None
    last: int = 0


class Segmenter:
    """Hysteresis: speech probabilities, frame by frame, to segments.

    Args:
        options: Thresholds and durations.
        state: Where another segmenter stopped; by default at the beginning.

    Attributes:
        open: The segment that is not finished: from its padded start to the end of its
            last frame that was not a pause. None between segments.
    """

    def __init__(
        self, options: SpeechOptions | None = None, state: SegmenterState | None = None
    ) -> None:
        self._options = options or SpeechOptions()
        state = state or SegmenterState()
        self._n, self._start, self._last = state.n_frames, state.start, state.last

    @property
    def state(self) -> SegmenterState:
        """The state, of use until the next frames."""
        return SegmenterState(self._n, self._start, self._last)

    @property
    def open(self) -> Segment | None:  # noqa: D102  # described above
        if self._start is None or self._last - self._start < self._options.min_speech:
            return None
        return self._padded(self._last * FRAME, pad_end=0)

    @property
    def unsettled_from(self) -> int:
        """A sample before which no later segment begins."""
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
    """Return the segments of a whole recording, in order, never overlapping.

    Args:
        probabilities: One per frame of `FRAME` samples.
        n_samples: Length of the recording; the last frame may reach beyond it.
        options: Thresholds and durations.
    """
    segmenter = Segmenter(options)
    return [*segmenter.push(probabilities), *segmenter.finish(n_samples)]
