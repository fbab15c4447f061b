"""Types that every package shares: signal, segment, emotion, estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    """Emotion probabilities of one window.

    Attributes:
        segment: Span of the window in the recording.
        probabilities: One value per emotion, in the model's order; they sum to 1.
        provisional: True while the speech continues, so that the window's bounds may
            still change. Reports contain no provisional estimates.
    """

    segment: Segment
    probabilities: tuple[float, ...]
    provisional: bool = False


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
