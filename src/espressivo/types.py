"""Types that every package shares: signal, segment, emotion, estimate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE_RATE = 16_000
"""Samples per second (Hz) of every signal inside the package."""

Signal: TypeAlias = NDArray[np.float32]
"""Mono audio [samples] at `SAMPLE_RATE`, full scale being 1."""

Progress: TypeAlias = Callable[[float, float | None], None]
"""Callback with the amount done (seconds or a count) and the total; None: unknown."""


class Emotion(StrEnum):
    """The four classes, in the order that every table and model uses."""

    ANGER = "anger"
    HAPPINESS = "happiness"
    NEUTRAL = "neutral"
    SADNESS = "sadness"


class Dimension(StrEnum):
    """Continuous dimensions of emotion, each from 0 to 1; 0.5 is neutral.

    Source: Russell (1980), A circumplex model of affect; Mehrabian and Russell (1974)
    for dominance.
    """

    AROUSAL = "arousal"
    VALENCE = "valence"
    DOMINANCE = "dominance"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A span of a recording, in samples at `SAMPLE_RATE`, end exclusive."""

    start: int
    end: int

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return self.end - self.start

    @property
    def start_s(self) -> float:
        """Start of the span, in seconds."""
        return self.start / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """End of the span (exclusive), in seconds."""
        return self.end / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Estimate:
    """Emotion probabilities, and dimensions, of one window.

    Attributes:
        segment: Span of the window in the recording.
        probabilities: Probability of each emotion, in the model's order; they sum to 1.
        provisional: True while the speech continues, so that the window's bounds may
            still change. Reports contain no provisional estimates.
        dimensions: Arousal and the like, 0 to 1, in the model's order; None if the
            model has none.
    """

    segment: Segment
    probabilities: dict[Emotion, float] = field(hash=False)
    provisional: bool = False
    dimensions: dict[Dimension, float] | None = field(default=None, hash=False)

    @property
    def emotion(self) -> Emotion:
        """Most probable emotion; of equal ones the first."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


def to_estimates(
    spans: Sequence[Segment],
    emotions: Sequence[Emotion],
    probabilities: NDArray[np.floating],
    dimensions: Sequence[Dimension] = (),
    levels: NDArray[np.floating] | None = None,
) -> tuple[Estimate, ...]:
    """Return the estimates of W windows, in order.

    Args:
        spans: Spans of the windows.
        emotions: Names of the columns of `probabilities`.
        probabilities: [W, emotions].
        dimensions: Names of the columns of `levels`.
        levels: Values of the dimensions [W, dimensions]; None if there are none.
    """
    rows = [dict(zip(emotions, row, strict=True)) for row in probabilities.tolist()]
    named: list[dict[Dimension, float] | None] = [None] * len(rows)
    if dimensions and levels is not None:
        named = [dict(zip(dimensions, row, strict=True)) for row in levels.tolist()]
    return tuple(
        Estimate(span, row, dimensions=values)
        for span, row, values in zip(spans, rows, named, strict=True)
    )


def to_rows(estimates: Sequence[Estimate]) -> NDArray[np.float32]:
    """Return the probabilities of W estimates, float32 [W, emotions]."""
    return np.array([[*e.probabilities.values()] for e in estimates], np.float32)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Sums over a stream's older windows, which the report no longer lists.

    Attributes:
        n_windows: Number of windows in the sums.
        n_speech: Speech before the report's first segment, in samples.
        until: End of the last window in the sums, in samples.
        n_classified: Total length of the windows in the sums, in samples.
        sums: Sums of probability times length in samples, one per emotion.
        sums_without: The same sums without adaptation; empty if there was none.
        sums_dimensions: Sums of dimension times length in samples; empty if the model
            has none.
    """

    n_windows: int = 0
    n_speech: int = 0
    until: int = 0
    n_classified: int = 0
    sums: tuple[float, ...] = ()
    sums_without: tuple[float, ...] = ()
    sums_dimensions: tuple[float, ...] = ()

    def with_window(self, window: Estimate, without: Estimate | None) -> Earlier:
        """Return the sums with one more window.

        Args:
            window: Estimate of the next window in order.
            without: Estimate of the same window without adaptation; None if there was
                none.
        """
        n = window.segment.n_samples
        plain = without and _added(self.sums_without, without.probabilities.values(), n)
        levels = (window.dimensions or {}).values()
        return replace(
            self,
            n_windows=self.n_windows + 1,
            until=window.segment.end,
            n_classified=self.n_classified + n,
            sums=_added(self.sums, window.probabilities.values(), n),
            sums_without=plain or (),
            sums_dimensions=_added(self.sums_dimensions, levels, n),
        )


def _added(
    sums: tuple[float, ...], values: Collection[float], n_samples: int
) -> tuple[float, ...]:
    sums = sums or (0.0,) * len(values)
    return tuple(s + v * n_samples for s, v in zip(sums, values, strict=True))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A recording that could not be read or analysed, with the reason.

    Attributes:
        id: Name of the recording in its corpus, table or archive.
        path: Path of the file; the URL of a remote recording, as text.
        reason: Cause of the failure, one line for a person to read.
        kind: Category of the failure in one or two words; empty if not categorized.
    """

    id: str
    path: Path | str
    reason: str
    kind: str = ""
