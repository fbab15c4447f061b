"""The few types that every part of the package shares."""

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
"""Called with how much is done (seconds, or a count) and of how much, if known."""


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
    """Probabilities of one window.

    Attributes:
        segment: The window.
        probabilities: One per emotion, in the model's order; they sum to 1.
        provisional: Whether the speech still goes on, so that its window is not certain
            yet; reports hold no such estimates.
    """

    segment: Segment
    probabilities: tuple[float, ...]
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A recording that could not be read or analysed, and why.

    Attributes:
        id: Name of the recording in its corpus, table or archive.
        path: Where it is, or was looked for; the address of a remote one is text.
        reason: One line for a person to read.
        kind: A word or two to count failures by; empty where nobody counts them.
    """

    id: str
    path: Path | str
    reason: str
    kind: str = ""
