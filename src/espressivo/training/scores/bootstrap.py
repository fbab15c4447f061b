"""Bootstrap over speakers: confidence intervals, and paired comparisons.

Source: percentile bootstrap over clusters, Davison & Hinkley (1997), section 3.8. The
ECE has intervals of its own, since its percentiles lie above it: resampling adds noise,
and noise adds to a mean distance (Roelofs et al. 2022; Sun et al. 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.metrics import (
    SCALARS,
    Floats,
    Labels,
    Probabilities,
    bins_from_sums,
    ece_from_sums,
    scores_from_sums,
    utterance_sums,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

N_RESAMPLES = 2000

_COVERAGE = (2.5, 97.5)  # percentiles
_ENDS_Z = 1.96  # standard errors from a normal estimate to an end of its interval

# Five standard errors less leave no gap that may be chance; three more are beyond the
# interval, whose ends are interpolated in between.
_SHRINKAGES = np.linspace(5, -3, 33)


FEW_SPEAKERS = 20
"""Below this number of speakers, intervals come with a caution."""


def few_speakers(n_speakers: int) -> list[str]:
    """Return the caution on intervals over few speakers; empty if there are enough.

    A bootstrap over speakers underestimates the spread of a few. In simulated corpora
    its 95 % intervals hold the true value 91 times of 100 with 24 speakers, 80 with 4
    (docs/tables.md).
    """
    if n_speakers == 1:
        return ["a single speaker, so there are no intervals and no p."]
    if n_speakers < FEW_SPEAKERS:
        return [
            f"only {n_speakers} speakers, so intervals are too narrow and p too small."
        ]
    return []


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
    found = {name: percentile_interval(values[name]) for name in SCALARS}
    return found | {"ece": ece_interval(sums, times)}


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
    found = {
        name: PairedDifference(
            float(observed[name][0]),
            percentile_interval(resampled[name]),
            two_sided(resampled[name]),
        )
        for name in SCALARS
    }
    return found | {"ece": _compare_ece(a, b, times)}


def ece_interval(sums: Floats, times: Floats) -> Interval:
    """Return the 95 % interval of the ECE, by inverting a bootstrap test.

    The ECE is the sum over bins of |gap|, a gap being the difference of confidence and
    accuracy times the bin's share. True gaps are assumed that are the observed ones,
    each nearer to 0 by the same number of its standard errors. The noise of the
    resamples is added to them. Their ECE is in the interval if the observed ECE is
    between the percentiles of these sums. The upper end is never below the observed
    ECE, which is itself too high by chance, most in small sets.

    Args:
        sums: float [S, K], see `sums_by_speaker`; S > 1.
        times: float [R, S], number of times each speaker is drawn in each resample.

    Source: Davison & Hinkley (1997), section 5.5 (inverting a bootstrap test), with the
    soft threshold of Donoho & Johnstone (1994) for the gaps that are assumed.
    """
    n = len(sums)
    (observed,) = _gaps(sums.sum(0)[None])  # [bins]
    # A sum of n draws varies less than one of n new speakers, by (n - 1) / n.
    noise = (_gaps(times @ sums) - observed) * math.sqrt(n / (n - 1))  # [R, bins]
    sizes = np.abs(observed) - _SHRINKAGES[:, None] * noise.std(0)
    assumed = np.sign(observed) * np.maximum(sizes, 0)  # [shrinkages, bins]
    resampled = np.abs(assumed[:, None] + noise).sum(2)  # [shrinkages, R]
    # Higher gaps have higher percentiles, but for the last digits of a quantile.
    lows, highs = np.maximum.accumulate(np.percentile(resampled, _COVERAGE, 1), axis=1)
    ece, assumed_ece = _ece(sums), np.abs(assumed).sum(1)
    low, high = (np.interp(ece, ends, assumed_ece) for ends in (highs, lows))
    return Interval(float(min(low, ece)), float(max(high, ece)))


def _ece(sums: Floats) -> float:
    """Return the ECE of all speakers' sums [S, K] together."""
    return float(ece_from_sums(sums.sum(0)[None])[0])


def _gaps(sums: Floats) -> Floats:
    """Return each bin's confidence less accuracy, times its share [R, bins]."""
    n, confidence, right = bins_from_sums(sums)
    gaps: Floats = (confidence - right) / n.sum(1, keepdims=True)
    return gaps


def _compare_ece(a: Floats, b: Floats, times: Floats) -> PairedDifference:
    """Compare the ECE from the intervals of both, taken as independent.

    Were their correlation used, intervals would miss too often. p is below 0.05 where
    the interval leaves out 0.

    Source: Zou & Donner (2008), Construction of confidence limits about effect
    measures (MOVER), eq. 3; p: Altman & Bland (2011), How to obtain the P value from a
    confidence interval.
    """
    if np.array_equal(a, b):  # the same predictions
        return PairedDifference(0.0, Interval(0.0, 0.0), 1.0)
    ece_a, ece_b = _ece(a), _ece(b)
    ends_a, ends_b = ece_interval(a, times), ece_interval(b, times)
    difference = ece_b - ece_a
    below = math.hypot(ece_b - ends_b.low, ends_a.high - ece_a)
    above = math.hypot(ends_b.high - ece_b, ece_a - ends_a.low)
    # The standard error on the side of 0; without any, a difference is certain.
    error = (below if difference > 0 else above) / _ENDS_Z
    p = math.erfc(abs(difference) / max(error, 1e-12) / math.sqrt(2))
    interval = Interval(difference - below, difference + above)
    return PairedDifference(difference, interval, max(p, 2 / (1 + len(times))))


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
