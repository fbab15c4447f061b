"""Pooled scores: predictions of several runs, weighted and scored together.

Every row is one run's prediction for one utterance. The weights make each utterance
count once, independent of the number of runs that predicted it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.bootstrap import (
    Interval,
    PairedDifference,
    compare_sums,
    ece_interval,
    percentile_interval,
    percentiles,
    resample_speakers,
    sums_by_speaker,
)
from espressivo.training.scores.metrics import (
    SCALARS,
    Floats,
    Labels,
    Probabilities,
    Scores,
    bins_from_sums,
    confusions_from_sums,
    ratio,
    score,
    scores_from_sums,
    utterance_sums,
)
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, eq=False)  # compared by its arrays
class PooledPredictions:
    """Predictions of one or several runs; each utterance counts once.

    Sums are averaged over runs, not probabilities, which would be an ensemble. WA, UA
    and recall are thus the mean over runs; F1 and ECE are those of all predictions
    together.

    Attributes:
        labels: Actual classes, int [N].
        probabilities: Predictions, float [N, C].
        speakers: Names of the speakers [N].
        weights: One over the number of runs that predicted the utterance, float [N];
            all 1 if None.
    """

    labels: Labels
    probabilities: Probabilities
    speakers: Sequence[str]
    weights: Floats | None = None

    @property
    def sums(self) -> Floats:
        """Sums from which metrics are computed, by speaker [S, K]."""
        rows = utterance_sums(self.labels, self.probabilities, self.weights)
        return sums_by_speaker(rows, self.speakers)

    @property
    def scores(self) -> Scores:
        """Scores of all rows together."""
        return score(self.labels, self.probabilities, self.weights)

    @property
    def confusion(self) -> Floats:
        """Confusion matrix of weighted rows, [C, C]: rows actual, columns predicted."""
        whole = self.sums.sum(0)[None]
        confusion: Floats = confusions_from_sums(whole, self.probabilities.shape[1])[0]
        return confusion

    def intervals(self, seed: int = 0) -> dict[str, Interval]:
        """Return the 95 % interval of every measure, as `bootstrap.intervals` does."""
        times = resample_speakers(self.speakers, seed)
        if times is None:
            return {}
        sums = self.sums
        values = scores_from_sums(times @ sums, self.probabilities.shape[1])
        found = {name: percentile_interval(v) for name, v in _named(values).items()}
        return found | {"ece": ece_interval(sums, times)}

    def reliability(self, seed: int = 0) -> Reliability:
        """Return accuracy against confidence, bin by bin."""
        sums = self.sums
        n, confidence, right = bins_from_sums(sums.sum(0)[None])[:, 0]
        low = high = np.full(len(n), np.nan)  # with one speaker there is no interval
        times = resample_speakers(self.speakers, seed)
        if times is not None:
            some_n, _, some_right = bins_from_sums(times @ sums)
            # A bin may be empty in a resample: percentiles leave out its NaN.
            drawn = percentiles(ratio(some_right, some_n), (2.5, 97.5))
            low, high = drawn[:, 0], drawn[:, 1]
        return Reliability(n, ratio(confidence, n), ratio(right, n), low, high)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability diagram, one value per confidence bin [bins]; NaN in empty bins.

    Attributes:
        n: Number of utterances whose confidence (top probability) is in the bin.
        confidence: Mean confidence.
        right: Accuracy: share of right predictions.
        low: Lower end of the 95 % interval of `right`, over speakers.
        high: Upper end of that interval.
    """

    n: Floats
    confidence: Floats
    right: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation (divisor n - 1; NaN below two values)."""

    mean: float
    sd: float


def measures(scores: Scores) -> dict[str, float]:
    """Return all numbers of `Scores` by name; classes get `recall_anger` and so on."""
    rows = {name: np.asarray([value]) for name, value in asdict(scores).items()}
    return {name: float(value[0]) for name, value in _named(rows).items()}


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation, ignoring NaN (classes absent from a fold).

    >>> spread([0.25, 0.5, 0.75])
    Spread(mean=0.5, sd=0.25)
    """
    known = np.asarray([v for v in values if not np.isnan(v)], np.float64)
    mean = float(known.mean()) if len(known) else float("nan")
    sd = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return Spread(mean, sd)


def compare_pooled(
    a: PooledPredictions, b: PooledPredictions, seed: int = 0
) -> dict[str, PairedDifference]:
    """Compare b with a, metric by metric; both predict the same utterances.

    This is `bootstrap.compare` for any number of runs on either side.

    Raises:
        ValueError: The speakers differ.
    """
    # Sums are in the order of names, so equal sets pair the speakers.
    if set(a.speakers) != set(b.speakers):
        raise ValueError("the pools have different speakers; compare the same ones")
    times = resample_speakers(a.speakers, seed)
    if times is None:
        return {}
    return compare_sums(a.sums, b.sums, times, a.probabilities.shape[1])


def _named(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Name each class column: `recall_anger` and so on."""
    named = {name: values[name] for name in SCALARS}
    for name in ("recall", "f1"):
        named |= {f"{name}_{e}": values[name][:, i] for i, e in enumerate(Emotion)}
    return named
