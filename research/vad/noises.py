"""Noise for the gaps between clips, and under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.errors import CorpusError
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """A recording without speech."""

    name: str
    signal: Signal


def read_noises(folder: Path) -> list[Noise]:
    """Read all recordings below a folder, without leading and trailing silence.

    Raises:
        CorpusError: The folder holds no recording.
        AudioError: A recording cannot be read.
    """
    paths = sorted(
        p for ending in ("ogg", "wav", "flac") for p in folder.rglob(f"*.{ending}")
    )
    noises = []
    for path in paths:
        signal = load_audio(path)
        some = np.flatnonzero(np.abs(signal) > 1e-4)
        if len(some):
            name = path.relative_to(folder).as_posix()
            noises.append(Noise(name, signal[some[0] : some[-1] + 1]))
    if not noises:
        raise CorpusError(f"{folder}: holds no .ogg, .wav or .flac of noise")
    return noises


def pink_noise(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise [n] whose power falls by 3 dB per octave above 50 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    noise: NDArray[np.float64] = np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 50)), n)
    return noise


def ramp(n: int) -> NDArray[np.float32]:
    """Return a raised-cosine fade-in of n factors."""
    rising = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / max(1, n))
    return rising.astype(np.float32)
