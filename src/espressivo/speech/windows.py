"""Windowing: segments of speech to the windows that the classifier takes.

A segment of at most `window` samples is one window. A segment of up to twice that
length becomes two equal windows. A longer one is cut into full windows until the rest
is at most two windows long. So no tail is too short to classify, and at most two
windows are buffered, however long someone speaks without a pause.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from espressivo.types import Segment, Signal

OFFSET = 0.01
"""Least mean of a window that is an offset, relative to the window's peak."""


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the classifier.

    Attributes:
        segment: Span of the window in the recording.
        signal: Samples of the span, less their offset. If the whole recording is
            shorter than the classifier's minimum, zeros are appended to reach it.
    """

    segment: Segment
    signal: Signal


@dataclass(frozen=True, slots=True, eq=False)
class WindowerState:
    """State of a windower between two blocks.

    Attributes:
        buffer: Newest samples, which later windows may need.
        offset: Start of the buffer in the recording, in samples.
        cut_until: End of the last window of the open segment, in samples.
    """

    buffer: Signal
    offset: int
    cut_until: int


def plan_windows(segment: Segment, window: int) -> list[Segment]:
    """Return the windows of one segment, in order, each at most `window` samples."""
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
    """Windows cut from a signal that arrives in blocks.

    Args:
        window: Longest window, in samples.
        minimum: Shortest input of the classifier, in samples; shorter speech is widened
            evenly into the surrounding signal.
        state: State to continue from; None: the beginning of a recording.
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
        """Current state; valid until the next block is pushed."""
        tape = self._tape
        buffer = tape.between(tape.start, tape.end)
        return WindowerState(buffer, tape.start, self._cut_until)

    @property
    def n_samples(self) -> int:
        """Number of samples pushed so far."""
        return self._tape.end

    def push(self, block: Signal) -> None:
        """Add the recording's next samples."""
        self._tape.push(block)

    def cut_open(self, segment: Segment) -> list[Window]:
        """Return the windows of an open segment whose bounds are already final."""
        start = max(segment.start, self._cut_until)
        windows: list[Window] = []
        while segment.end - start > 2 * self._window:
            windows.append(self._at(Segment(start, start + self._window)))
            start += self._window
            self._cut_until = start
        return windows

    def cut_closed(self, segment: Segment) -> list[Window]:
        """Return the remaining windows of a finished segment."""
        rest = Segment(max(segment.start, self._cut_until), segment.end)
        return [self._at(s) for s in plan_windows(rest, self._window)]

    def peek(self, segment: Segment, least: int) -> Window | None:
        """Return the newest samples of an open segment as a provisional window.

        Args:
            segment: The open segment.
            least: Shortest speech to return, in samples.

        Returns:
            At most `window` samples; None for fewer than `least` or `minimum`.
        """
        start = max(segment.start, self._cut_until, segment.end - self._window)
        span = Segment(start, min(segment.end, self.n_samples))
        return None if span.n_samples < max(least, self._minimum) else self._at(span)

    def forget(self, before: int) -> None:
        """Drop the buffered samples that no later window can contain.

        Args:
            before: Earliest sample of a later segment. `minimum` more samples are kept,
                since a short window may be widened to the left.
        """
        self._tape.forget(max(before, self._cut_until) - self._minimum)

    def _at(self, segment: Segment) -> Window:
        if (missing := self._minimum - segment.n_samples) > 0:
            start = max(0, segment.start - missing // 2)
            end = min(start + self._minimum, self.n_samples)
            segment = Segment(max(0, end - self._minimum), end)
        signal = _centred(self._tape.between(segment.start, segment.end))
        if (missing := self._minimum - len(signal)) > 0:
            signal = np.pad(signal, (0, missing))
        return Window(segment, signal)


def _centred(signal: Signal) -> Signal:
    """Return the signal without its offset, which the models take for loudness."""
    if not len(signal):
        return signal
    offset = signal.mean(dtype=np.float64)
    # The mean of a sound without an offset stays: taking it away would turn digital
    # silence into an offset.
    if abs(offset) < OFFSET * float(np.abs(signal).max()):
        return signal
    return signal - np.float32(offset)


class _Tape:
    """Buffer of the newest samples of a signal, kept as the blocks that arrived.

    Concatenating at every block would copy the whole buffer many times a second.

    Args:
        samples: First block.
        start: Position of the first block in the recording, in samples.
    """

    def __init__(self, samples: Signal, start: int) -> None:
        self.start, self.end = start, start + len(samples)
        self._blocks = deque([samples])
        # Start of the first block; `start` may be later, inside that block.
        self._first = start

    def push(self, block: Signal) -> None:
        self._blocks.append(block.copy())  # a view would keep a large array alive
        self.end += len(block)

    def forget(self, before: int) -> None:
        self.start = min(max(self.start, before), self.end)
        while self._blocks and self._first + len(self._blocks[0]) <= self.start:
            self._first += len(self._blocks.popleft())

    def between(self, start: int, end: int) -> Signal:
        """Return the samples from `start` (or the first one kept) to `end`."""
        parts: list[Signal] = []
        at = self._first
        for block in self._blocks:
            if at < end and at + len(block) > start:
                parts.append(block[max(0, start - at) : end - at])
            at += len(block)
        return np.concatenate([np.zeros(0, np.float32), *parts])
