"""The few types that every part of the package shares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second (Hz) of every signal inside the package."""

Signal: TypeAlias = NDArray[np.float32]
"""Mono audio [samples] at `SAMPLE_RATE`, full scale being 1."""


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
        """Where the span begins, in seconds."""
        return self.start / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """Where the span ends, in seconds."""
        return self.end / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the classifier says about one window.

    Attributes:
        segment: The window.
        probabilities: One per emotion, in the model's order; they sum to 1.
        provisional: Whether it is of speech that still goes on, before its window is
            certain; reports hold none of these.
    """

    segment: Segment
    probabilities: tuple[float, ...]
    provisional: bool = False
