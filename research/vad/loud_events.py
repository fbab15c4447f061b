"""Loud events before speech, and offsets under it, all synthetic."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Sound: TypeAlias = NDArray[np.float64]


def tone(hz: tuple[float, ...], duration_s: float, peak_db: float) -> Sound:
    """Return a sum of sines, faded in and out over 5 ms."""
    t = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    fade = np.clip(np.minimum(t, t[::-1]) / 0.005, 0, 1)
    waves = np.sum([np.sin(2 * np.pi * f * t) for f in hz], axis=0) / len(hz)
    sound: Sound = 10 ** (peak_db / 20) * fade * waves
    return sound


def slam(decay_s: float, duration_s: float) -> Sound:
    """Return dull noise at full scale that decays exponentially: a slammed door."""
    t = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(5).standard_normal(len(t))
    noise = np.convolve(noise, np.ones(12) / 12, "same") * np.exp(-t / decay_s)
    sound: Sound = noise / np.abs(noise).max()
    return sound


def _pulses(sounds: list[Sound], pause_s: float) -> Sound:
    pause = np.zeros(round(pause_s * SAMPLE_RATE))
    return np.concatenate([part for sound in sounds for part in (sound, pause)])


def _ring_back() -> Sound:
    return _pulses([tone((440, 480), 1.0, -6)] * 2, 2.0)


def _dial() -> Sound:
    keys = [(697.0, 1209.0), (770.0, 1336.0), (852.0, 1477.0), (941.0, 1336.0)]
    return _pulses([tone(pair, 0.12, -4) for pair in keys], 0.1)


def _click() -> Sound:
    return np.where(np.arange(400) < 40, 0.95, 0.0)


def _noise_burst() -> Sound:
    return 0.2 * np.random.default_rng(6).standard_normal(SAMPLE_RATE // 2)


EVENTS: dict[str, Callable[[], Sound]] = {
    "beep of 0.15 s": partial(tone, (1000.0,), 0.15, -3),
    "beep of 1 s": partial(tone, (1000.0,), 1.0, -3),
    "tone of 3 s": partial(tone, (440.0,), 3.0, -10),
    "slammed door": partial(slam, 0.08, 0.6),
    "slam in a hall": partial(slam, 0.25, 1.5),
    "click": _click,
    "dialling": _dial,
    "ring-back": _ring_back,
    "noise burst": _noise_burst,
}


def _constant(value: float, n: int) -> Sound:
    return np.full(n, value)


def _sine(hz: float, size: float, n: int) -> Sound:
    wave: Sound = size * np.sin(2 * np.pi * hz * np.arange(n) / SAMPLE_RATE)
    return wave


def _steps(n: int) -> Sound:
    values = np.random.default_rng(7).uniform(-0.3, 0.3, n // SAMPLE_RATE + 1)
    return np.repeat(values, SAMPLE_RATE)[:n]


OFFSETS: dict[str, Callable[[int], Sound]] = {
    "offset 0": partial(_constant, 0.0),
    "offset 0.01": partial(_constant, 0.01),
    "offset 0.1": partial(_constant, 0.1),
    "offset -0.5": partial(_constant, -0.5),
    "drift of 0.3 at 0.3 Hz": partial(_sine, 0.3, 0.3),
    "rumble of 0.3 at 2 Hz": partial(_sine, 2.0, 0.3),
    "rumble of 0.1 at 10 Hz": partial(_sine, 10.0, 0.1),
    "steps of up to 0.3 each second": _steps,
}
