"""Augmentation of training clips, determined by seed, utterance and epoch."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import audiomentations
import numpy as np

from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.training.config import AugmentConfig


class Augment:
    """Random pitch, gain, noise, polarity and speed changes of a training clip.

    The first four are those of the study and come from audiomentations.

    Source: Ismail (2025), section III-C.
    """

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config
        p = config.probability
        low_db, high_db = config.gain_db
        quiet, loud = config.noise
        self._compose = audiomentations.Compose(
            [
                audiomentations.PitchShift(-config.pitch, config.pitch, p=p),
                audiomentations.Gain(low_db, high_db, p=p),
                audiomentations.AddGaussianNoise(quiet, loud, p=p),
                audiomentations.PolarityInversion(p=p),
            ]
        )

    def __call__(self, signal: Signal, seed: int) -> Signal:
        """Return an augmented copy of `signal`; `seed` determines all choices."""
        rng = np.random.default_rng(seed)
        if rng.random() < self.config.speed_probability:
            # A log-uniform draw makes slowing down as likely as speeding up.
            slow, fast = np.log(self.config.speed)
            signal = change_speed(signal, float(np.exp(rng.uniform(slow, fast))))
        with _seeded(int(rng.integers(2**32))):
            varied: Signal = self._compose(signal, SAMPLE_RATE)
        return varied


def change_speed(signal: Signal, factor: float) -> Signal:
    """Return the signal resampled to `factor` times its speed; pitch moves with it.

    Formants move as well, as on a tape that is played faster.
    """
    n_samples = max(1, round(len(signal) / factor))
    positions = np.arange(n_samples) * factor
    played: Signal = np.interp(positions, np.arange(len(signal)), signal).astype(
        np.float32
    )
    return played


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # audiomentations draws from both global generators, which other code uses too.
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
