"""Segments of speech -> windows that the classifier takes, from a stream.

A segment of at most `window` samples is one window; up to twice that, two equal
ones; a longer one gives off whole windows until that holds for the rest. So no tail
is too short to say anything, and no more than two windows are ever kept waiting,
however long someone speaks without a pause.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espressivo.types import Segment, Signal


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the classifier: where it lies and what is heard there.

    `signal` holds `segment`'s samples; only when the whole recording is shorter than
    the classifier's minimum is it longer, by zeros at the end.
    """

    segment: Segment
    signal: Signal


@dataclass(frozen=True, slots=True, eq=False)
class WindowerState:
    """What a windower knows between two blocks.

    Attributes:
        buffer: The newest samples, which windows yet to come may need.
        offset: Where it begins in the recording, in samples.
        cut_until: End of the last window of the open segment, in samples.
    """

    buffer: Signal
    offset: int
    cut_until: int


def plan_windows(segment: Segment, window: int) -> list[Segment]:
    """Cut one segment into windows of at most `window` samples, in order."""
    start = segment.start
    windows: list[Segment] = []
    while segment.end - start > 2 * window:
        windows.append(Segment(start, start + window))
        start += window
    middle = start + (segment.end - start + 1) // 2
    if segment.end - start > window:
        return [*windows, Segment(start, middle), Segment(middle, segment.end)]
    return [*windows, Segment(start, segment.end)]


class Windower:
    """Cut windows out of a signal as it passes by.

    Args:
        window: Longest window, in samples.
        minimum: Shortest that the classifier takes; shorter speech is widened evenly
            into what surrounds it.
        state: Where another windower stopped; by default at the beginning.
    """

    def __init__(
        self, window: int, minimum: int, state: WindowerState | None = None
    ) -> None:
        if not 0 < minimum <= window:
            raise ValueError(f"minimum is {minimum}, not in 1..{window} (the window)")
        self._window, self._minimum = window, minimum
        state = state or WindowerState(np.zeros(0, np.float32), 0, 0)
        self._buffer = state.buffer
        self._offset, self._cut_until = state.offset, state.cut_until

    @property
    def state(self) -> WindowerState:
        """What it knows; the buffer is never changed, but replaced."""
        return WindowerState(self._buffer, self._offset, self._cut_until)

    @property
    def n_samples(self) -> int:
        """How much of the recording has passed."""
        return self._offset + len(self._buffer)

    def push(self, block: Signal) -> None:
        """Add the recording's next samples."""
        self._buffer = np.concatenate([self._buffer, block])

    def cut_open(self, segment: Segment) -> list[Window]:
        """Return the windows that are certain while `segment` still goes on."""
        start = max(segment.start, self._cut_until)
        windows: list[Window] = []
        while segment.end - start > 2 * self._window:
            windows.append(self._at(Segment(start, start + self._window)))
            start += self._window
            self._cut_until = start
        return windows

    def cut_closed(self, segment: Segment) -> list[Window]:
        """Return the rest of a finished segment's windows."""
        rest = Segment(max(segment.start, self._cut_until), segment.end)
        return [self._at(s) for s in plan_windows(rest, self._window)]

    def peek(self, segment: Segment, least: int) -> Window | None:
        """Return the newest samples of an open segment, at most a window of them.

        Args:
            segment: The speech that still goes on.
            least: None is returned for fewer samples than this, or than the minimum.
        """
        start = max(segment.start, self._cut_until, segment.end - self._window)
        span = Segment(start, min(segment.end, self.n_samples))
        return None if span.n_samples < max(least, self._minimum) else self._at(span)

    def forget(self, before: int) -> None:
        """Drop the samples that no window can reach any more.

        Args:
            before: No window yet to come begins before this sample, but for what is
                added to make it long enough.
        """
        keep_from = max(before, self._cut_until) - self._minimum
        drop = min(max(0, keep_from - self._offset), len(self._buffer))
        self._buffer = self._buffer[drop:].copy()
        self._offset += drop

    def _at(self, segment: Segment) -> Window:
        if (missing := self._minimum - segment.n_samples) > 0:
            start = max(0, segment.start - missing // 2)
            end = min(start + self._minimum, self.n_samples)
            segment = Segment(max(0, end - self._minimum), end)
        signal = self._buffer[segment.start - self._offset : segment.end - self._offset]
        if (missing := self._minimum - len(signal)) > 0:
            signal = np.pad(signal, (0, missing))
        return Window(segment, signal)
