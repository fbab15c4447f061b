"""Bootstrap over speakers: confidence intervals, and paired comparisons.

Source: percentile bootstrap over clusters, Davison & Hinkley (1997), section 3.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.metrics import (
    SCALARS,
    Floats,
    Labels,
    Probabilities,
    scores_from_sums,
    utterance_sums,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

N_RESAMPLES = 2000

_COVERAGE = (2.5, 97.5)  # percentiles


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Difference of a score between two sets of predictions on the same utterances.

    Attributes:
        difference: Score of b minus score of a.
        interval: 95 % bootstrap interval of the difference.
        p: Two-sided bootstrap p value.
    """

    difference: float
    interval: Interval
    p: float


def intervals(
    labels: Labels,
    probabilities: Probabilities,
    speakers: Sequence[str],
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the 95 % interval of each metric in `SCALARS`.

    Whole speakers are drawn with replacement, since the variance between speakers is
    the largest part of the uncertainty. With few speakers the interval is too narrow;
    with a single one the result is empty.

    Args:
        labels: int [N].
        probabilities: float [N, C].
        speakers: One name per utterance.
        seed: Seed of the resampling.
    """
    times = resample_speakers(speakers, seed)
    if times is None:
        return {}
    sums = sums_by_speaker(utterance_sums(labels, probabilities), speakers)
    values = scores_from_sums(times @ sums, probabilities.shape[1])
    return {name: percentile_interval(values[name]) for name in SCALARS}


def compare(
    labels: Labels,
    a: Probabilities,
    b: Probabilities,
    speakers: Sequence[str],
    seed: int = 0,
) -> dict[str, PairedDifference]:
    """Compare predictions b with a, metric by metric.

    The bootstrap is paired: a and b are resampled alike, so the difficulty that they
    share cancels out. The result is empty with a single speaker.

    Args:
        labels: int [N].
        a: float [N, C].
        b: float [N, C], of the same utterances in the same order.
        speakers: One name per utterance.
        seed: Seed of the resampling.
    """
    times = resample_speakers(speakers, seed)
    if times is None:
        return {}
    # A resample adds up the sums of its speakers, which is faster than scoring it.
    sums_a, sums_b = (
        sums_by_speaker(utterance_sums(labels, p), speakers) for p in (a, b)
    )
    return compare_sums(sums_a, sums_b, times, a.shape[1])


def compare_sums(
    a: Floats, b: Floats, times: Floats, n_classes: int
) -> dict[str, PairedDifference]:
    """Compare as `compare` does, given the sums of each speaker.

    Args:
        a: float [S, K], see `sums_by_speaker`.
        b: float [S, K], of the same speakers in the same order.
        times: float [R, S], number of times each speaker is drawn in each resample.
        n_classes: Number of classes C, which determines K.
    """

    def differences(times: Floats) -> dict[str, Floats]:
        scores_a = scores_from_sums(times @ a, n_classes)
        scores_b = scores_from_sums(times @ b, n_classes)
        return {name: scores_b[name] - scores_a[name] for name in SCALARS}

    observed, resampled = differences(np.ones((1, len(a)))), differences(times)
    return {
        name: PairedDifference(
            float(observed[name][0]),
            percentile_interval(resampled[name]),
            two_sided(resampled[name]),
        )
        for name in SCALARS
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for multiple comparisons (Holm); the order is kept.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Source: Holm (1979), the step-down procedure.
    """
    n = len(p_values)
    adjusted = [0.0] * n
    largest = 0.0
    for rank, i in enumerate(sorted(range(n), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (n - rank) * p_values[i]))
        # A running maximum: a larger p value is never adjusted to a smaller one.
        adjusted[i] = largest
    return adjusted


def sums_by_speaker(sums: Floats, speakers: Sequence[str]) -> Floats:
    """Add up rows [N, K] by speaker; return [S, K], speakers sorted by name."""
    names, index = np.unique(np.asarray(speakers), return_inverse=True)
    total = np.zeros((len(names), sums.shape[1]))
    # Not `total[index] += sums`, which counts a repeated index once.
    np.add.at(total, index, sums)
    return total


def resample_speakers(speakers: Sequence[str], seed: int) -> Floats | None:
    """Draw the number of times each speaker counts [R, S]; None for one speaker."""
    n = len(set(speakers))
    if n < 2:
        return None
    # How often each of n draws hits a speaker; a resample is then one product. The same
    # seed gives both results of a comparison the same resamples.
    draws = np.random.default_rng(seed).multinomial(n, [1 / n] * n, size=N_RESAMPLES)
    return draws.astype(np.float64)


def percentiles(values: Floats, at: Sequence[float]) -> Floats:
    """Return percentiles [K, len(at)] of each column of [R, K]; NaN is left out."""
    # nanpercentile warns about columns that are NaN throughout.
    found: Floats = np.full((values.shape[1], len(at)), np.nan)
    some = ~np.isnan(values).all(0)
    if some.any():
        found[some] = np.nanpercentile(values[:, some], at, axis=0).T
    return found


def percentile_interval(values: Floats) -> Interval:
    """Return the central 95 % interval of resampled values [R]; NaN is left out."""
    ((low, high),) = percentiles(values[:, None], _COVERAGE)
    return Interval(float(low), float(high))


def two_sided(differences: Floats) -> float:
    """Return the two-sided bootstrap p value of resampled differences [R]."""
    differences = differences.round(12)  # sums of the same numbers differ by less
    # One is added to either count: no finite number of draws proves that p is 0.
    less = (1 + (differences <= 0).sum()) / (1 + len(differences))
    more = (1 + (differences >= 0).sum()) / (1 + len(differences))
    return float(min(1.0, 2 * min(less, more)))
