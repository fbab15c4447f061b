"""Time stamps of decoded frames: where a hole becomes silence, and what overlaps.

Source: FFmpeg's `aresample=async=1` (libswresample), which fills and trims likewise. A
jump backwards is different here: it begins another part (recordings put together), and
all of it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE_S = 0.1
"""Largest difference that is no hole: stamps in milliseconds jitter, decoders delay."""

_FIRST_S = 0.001  # the same, before the first frame
# A longer hole must lie within the declared duration, which writers that were
# interrupted left too short.
_PLAUSIBLE_S = 600.0
_ROUNDING_S = 1.0  # declared durations are rounded
# Damaged stamps claim years, or a hole at each frame. All holes together are at most a
# day, and half an hour or so many times as long as the sound.
_LONGEST_HOLES_S = 24 * 3600.0
_SHORT_HOLES_S = 1800.0
_TIMES_LONGER = 100
# Opus of calls has a hole for each 0.4 s of silence, but not more.
_CORRECTIONS, _CORRECTIONS_A_SECOND = 1000, 5


class TooLongError(Exception):
    """More was placed than the clock's `most_s`."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What comes before a frame, in seconds.

    Attributes:
        silence_s: Hole before the frame.
        skip_s: Beginning of the frame that lies before the end of the last one.
    """

    silence_s: float = 0.0
    skip_s: float = 0.0


_NEXT = Placement()


class Clock:
    """Clock of a recording: it compares its samples with its time stamps.

    Args:
        most_s: Length beyond which nothing is placed; None: any.

    Attributes:
        position_s: Length of what was placed so far.
    """

    def __init__(self, most_s: float | None = None) -> None:
        self._most_s = most_s
        self.position_s = 0.0
        self.begin(None, None)
        self._holes_s = 0.0
        self._n_corrections = 0  # holes and overlaps

    def begin(self, start_s: float | None, duration_s: float | None) -> None:
        """Begin a container, which follows the one before.

        Args:
            start_s: Time stamp of its beginning; None: that of the first frame.
            duration_s: Declared duration, within which holes are believed; None:
                unknown.
        """
        self._start_s, self._duration_s = start_s, duration_s
        self._shift_s = self.position_s
        self._stamp_s: float | None = None  # expected stamp of the next frame

    def place(self, stamp_s: float | None, length_s: float) -> Placement:
        """Return what comes before the next frame, and advance the clock.

        Args:
            stamp_s: Time stamp of the frame; None: it follows the last one.
            length_s: Length of the frame.

        Raises:
            TooLongError: The frame ends beyond `most_s`.
        """
        placement = _NEXT if stamp_s is None else self._compare(stamp_s)
        skip_s = min(placement.skip_s, length_s)
        self.position_s += placement.silence_s + length_s - skip_s
        if self._most_s is not None and self.position_s > self._most_s:
            raise TooLongError
        if stamp_s is not None:
            self._stamp_s = stamp_s
        if self._stamp_s is not None:
            self._stamp_s += length_s
        return placement

    def _compare(self, stamp_s: float) -> Placement:
        if self._start_s is None:
            # Frames before this one had no stamps.
            self._start_s = stamp_s - (self.position_s - self._shift_s)
        is_first = self._stamp_s is None
        if self._stamp_s is not None and stamp_s < self._stamp_s - TOLERANCE_S:
            self._follow(stamp_s)
        late_s = stamp_s - self._start_s + self._shift_s - self.position_s
        # The beginning has no jitter: a tenth of a second there would move all.
        tolerance_s = _FIRST_S if is_first else TOLERANCE_S
        if abs(late_s) > tolerance_s:
            self._n_corrections += 1
            if self._n_corrections > self._most_corrections:
                self._follow(stamp_s)
                return _NEXT
        if late_s > tolerance_s:
            if self._is_hole(late_s, stamp_s - self._start_s):
                self._holes_s += late_s
                return Placement(silence_s=late_s)
            self._follow(stamp_s)
        elif late_s < -tolerance_s:
            return Placement(skip_s=-late_s)
        return _NEXT

    def _follow(self, stamp_s: float) -> None:
        """Let the next frame follow the last one, whatever its stamp says."""
        assert self._start_s is not None
        self._shift_s = self.position_s - (stamp_s - self._start_s)

    @property
    def _sound_s(self) -> float:
        return self.position_s - self._holes_s

    @property
    def _most_corrections(self) -> float:
        return _CORRECTIONS + _CORRECTIONS_A_SECOND * self._sound_s

    def _is_hole(self, late_s: float, end_s: float) -> bool:
        longest_s = max(_SHORT_HOLES_S, _TIMES_LONGER * self._sound_s)
        if self._holes_s + late_s > min(longest_s, _LONGEST_HOLES_S):
            return False
        if self._duration_s is None or late_s < _PLAUSIBLE_S:
            return True
        return end_s < self._duration_s + _ROUNDING_S
