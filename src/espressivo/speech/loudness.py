"""Loudness of a recording over time, for pictures of it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.types import Signal

STEP = SAMPLE_RATE // 10
"""Samples to a level (0.1 s)."""
FLOOR_DB = -100.0
"""Lowest level, also of digital silence; 16 bits reach -96 dB."""


class LoudnessMeter:
    """Levels of a signal that arrives in blocks of any size; 40 bytes a second."""

    def __init__(self) -> None:
        self._levels = array("f")
        self._rest = np.zeros(0, np.float32)

    def push(self, block: Signal) -> None:
        """Add the next samples [samples]."""
        signal = np.concatenate([self._rest, block])
        n = len(signal) // STEP
        steps = signal[: n * STEP].reshape(n, STEP)
        self._levels.frombytes(_levels(steps).tobytes())
        self._rest = signal[n * STEP :].copy()

    def measure(self) -> NDArray[np.float32]:
        """Return the levels so far, float32 [steps], in dB re full scale.

        Each is the root mean square of `STEP` samples; the last step may be shorter.
        """
        levels = np.array(self._levels, np.float32)
        return (
            np.append(levels, _levels(self._rest[None])) if len(self._rest) else levels
        )


def _levels(steps: Signal) -> NDArray[np.float32]:
    power = np.einsum("ij,ij->i", steps, steps) / steps.shape[1]
    decibels: NDArray[np.float32] = 10 * np.log10(np.maximum(power, 1e-20))
    return np.maximum(decibels, np.float32(FLOOR_DB))
