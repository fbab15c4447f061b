"""Impairments of speech: narrow band, clipping and noise, from sums over its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.speech.detector import FRAME
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOTTOM_DB = -120.0  # lowest level and magnitude
N_LEVELS, LEVELS_A_DB = 252, 2  # histogram of frames' levels, up to 6 dB
N_STEPS, STEPS_A_DB = 504, 4  # histogram of samples' magnitudes, up to 6 dB

_LEAST_HEARD = 30  # frames (0.96 s), silenced ones not counted
_LEAST_PAUSES = 30  # frames (0.96 s) from which pauses are preferred to faint speech
_GATED_DB = 60  # pauses this far below the speech are silenced, not recorded

_HZ_A_BIN = SAMPLE_RATE / FRAME
_EDGES = range(80, 218)  # bins (2.5 to 6.8 kHz): above, every resampler rolls off
_CLIFF_DB = 17  # drop within 220 Hz that no voice has, if it has all kinds of sounds
_CLIFF_OF_A_WORD_DB, _A_WORD = 24, 94  # "rain" alone has none; up to 94 frames (3 s)
_FULL_HZ = SAMPLE_RATE // 2

_HEAP = 2.0  # density of magnitudes at a peak, relative to just below it
_FAINT_HEAP, _FLAT_DB = 1.3, 7.5  # the same together with a low crest factor
_LEAST_STEPS = 12  # of 24 in the upper 6 dB: fewer are quantization, unless most is cut


def bandwidth_hz(spectrum: NDArray[np.float64], n_speech: int) -> int:
    """Return the frequency below the steepest cliff, if it is steeper than any voice.

    A dark voice falls off slowly, and so does one behind a wall.

    Args:
        spectrum: Sum of spectra [bins].
        n_speech: Number of frames of speech.
    """
    decibels = 10 * np.log10(spectrum + 1e-12 * spectrum.max() + 1e-30)
    drops = {}
    for k in _EDGES:
        inner = decibels[k - 16 : k - 3].mean()
        drop = inner - decibels[k + 4 : k + 20].mean()
        # Nothing above may come near again: a dip is no edge.
        loudest = np.sort(decibels[k + 4 : 236])[-12:].mean()
        if inner - loudest >= drop - 8:
            drops[k] = drop
    least = _CLIFF_DB if n_speech > _A_WORD else _CLIFF_OF_A_WORD_DB
    if not drops or max(drops.values()) < least:
        return _FULL_HZ
    k = max(drops, key=lambda k: drops[k])
    inner = decibels[k - 32 : k - 10].mean()
    last = max(i for i in range(k - 32, k + 4) if decibels[i] > inner - 6)
    return round(last * _HZ_A_BIN / 100) * 100


def clipped_share(counts: NDArray[np.int64]) -> float:
    """Return the share of samples in a heap of equal magnitudes, if there is one.

    Speech has ever fewer samples towards its peaks. Clipped speech has more again where
    it was cut off, also after it was resampled, coded or made quieter.

    Args:
        counts: Number of samples of one sign at each magnitude.
    """
    n = int(counts.sum())
    if not n:
        return 0.0
    top = int(np.flatnonzero(counts)[-1])
    below = counts[max(top - 8, 0) : top].sum() / 8  # 2 dB
    if counts[top] >= 0.001 * n and counts[top] > 2.5 * below + 3:
        exact = float(counts[top] - below) / n
    else:
        exact = 0.0
    return max(exact, _heap_share(counts, n))


def _heap_share(counts: NDArray[np.int64], n: int) -> float:
    sums = np.concatenate([[0], np.cumsum(counts)])
    peak = int(np.searchsorted(sums, 0.999 * n)) - 1
    at = np.arange(max(peak - 32, 16), min(peak + 3, N_STEPS - 5))
    heap = sums[at + 5] - sums[at - 4]  # 2.25 dB
    below = (sums[at - 4] - sums[at - 16]) * 9 / 12  # 3 dB
    ratios = np.where(heap >= 0.005 * n, heap / (below + 1), 0)
    if not len(ratios) or ratios.max() == 0:
        return 0.0
    best = int(ratios.argmax())
    steps_db = BOTTOM_DB + (np.arange(N_STEPS) + 0.5) / STEPS_A_DB
    crest = steps_db[peak] - decibels_of((counts * 10 ** (steps_db / 10)).sum() / n)
    n_steps = np.count_nonzero(counts[max(peak - 24, 0) : peak])
    if n_steps < _LEAST_STEPS and heap[best] < n / 2:
        return 0.0
    is_flat = crest < _FLAT_DB and ratios[best] >= _FAINT_HEAP
    if ratios[best] < _HEAP and not is_flat:
        return 0.0
    return float(heap[best] * (1 - 1 / ratios[best]) / n)


def snr_db(
    speech: NDArray[np.int64], others: NDArray[np.int64], pauses: NDArray[np.int64]
) -> float | None:
    """Return the speech's mean power, less the noise, relative to the noise's, in dB.

    None if less than a second is heard.

    Args:
        speech: Number of frames of speech at each level.
        others: Number of other frames at each level.
        pauses: Number of those others that are pauses.
    """
    power = mean_power(speech)
    silent = max(1, int((decibels_of(power) - _GATED_DB - BOTTOM_DB) * LEVELS_A_DB))
    others, pauses = others.copy(), pauses.copy()
    others[:silent] = pauses[:silent] = 0
    heard = speech + others
    if heard.sum() < _LEAST_HEARD:
        return None
    if pauses.sum() < _LEAST_PAUSES:
        noise = _percentile(heard, 0.05)
    else:
        # The middle of three: the mean counts sounds that are no noise, the median
        # ignores intermittent noise, and speech has its own faint frames.
        floors = _percentile(speech, 0.05), _percentile(pauses, 0.5), mean_power(pauses)
        noise = sorted(floors)[1]
    return decibels_of(max(power - noise, power / 10) / noise)


def mean_power(counts: NDArray[np.int64]) -> float:
    """Return the mean power of frames from their number at each level."""
    return float((counts * _powers()).sum() / counts.sum())


def decibels_of(ratio: float) -> float:
    """Return a ratio of powers in dB."""
    return float(10 * np.log10(ratio))


def _percentile(counts: NDArray[np.int64], share: float) -> float:
    at = np.searchsorted(np.cumsum(counts), share * counts.sum(), "right")
    return float(_powers()[at])


def _powers() -> NDArray[np.float64]:
    """Return the power in the middle of each level."""
    middles = BOTTOM_DB + (np.arange(N_LEVELS) + 0.5) / LEVELS_A_DB
    powers: NDArray[np.float64] = 10 ** (middles / 10)
    return powers
