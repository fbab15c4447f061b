"""Segments of speech -> windows that the classifier takes, from a stream.

A segment of at most `window` samples is one window; up to twice that, two equal
ones; a longer one gives off whole windows until the rest is at most twice that. So no
tail is too short to classify, and at most two windows are kept waiting, however long
someone speaks without a pause.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from espressivo.types import Segment, Signal


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the classifier: its place in the recording, and its samples.

    `signal` holds `segment`'s samples; only when the whole recording is shorter than
    the classifier's minimum is it longer, by zeros at the end.
    """

    segment: Segment
    signal: Signal


@dataclass(frozen=True, slots=True, eq=False)
class WindowerState:
    """The state of a windower between two blocks.

    Attributes:
        buffer: The newest samples, which windows yet to come may need.
        offset: Where the buffer begins in the recording, in samples.
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
        self._tape = _Tape(state.buffer, state.offset)
        self._cut_until = state.cut_until

    @property
    def state(self) -> WindowerState:
        """The state, of use until the next block."""
        tape = self._tape
        buffer = tape.between(tape.start, tape.end)
        return WindowerState(buffer, tape.start, self._cut_until)

    @property
    def n_samples(self) -> int:
        """How much of the recording has passed."""
        return self._tape.end

    def push(self, block: Signal) -> None:
        """Add the recording's next samples."""
        self._tape.push(block)

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
        self._tape.forget(max(before, self._cut_until) - self._minimum)

    def _at(self, segment: Segment) -> Window:
        if (missing := self._minimum - segment.n_samples) > 0:
            start = max(0, segment.start - missing // 2)
            end = min(start + self._minimum, self.n_samples)
            segment = Segment(max(0, end - self._minimum), end)
        signal = self._tape.between(segment.start, segment.end)
        if (missing := self._minimum - len(signal)) > 0:
            signal = np.pad(signal, (0, missing))
        return Window(segment, signal)


class _Tape:
    """The newest samples of a signal, in the blocks in which they came.

    Joining them at every block would copy all that is kept, many times a second.

    Args:
        samples: The first ones.
        start: Where they begin, in samples.
    """

    def __init__(self, samples: Signal, start: int) -> None:
        self.start, self.end = start, start + len(samples)
        self._blocks = deque([samples])
        self._first = start  # of the blocks; `start` lies in the first of them

    def push(self, block: Signal) -> None:
        self._blocks.append(block.copy())  # it may be a part of something large
        self.end += len(block)

    def forget(self, before: int) -> None:
        self.start = min(max(self.start, before), self.end)
        while self._blocks and self._first + len(self._blocks[0]) <= self.start:
            self._first += len(self._blocks.popleft())

    def between(self, start: int, end: int) -> Signal:
        """Return the samples from `start`, or the first that is kept, to `end`."""
        parts: list[Signal] = []
        at = self._first
        for block in self._blocks:
            if at < end and at + len(block) > start:
                parts.append(block[max(0, start - at) : end - at])
            at += len(block)
        return np.concatenate([np.zeros(0, np.float32), *parts])
