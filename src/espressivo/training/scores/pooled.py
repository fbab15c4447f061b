"""Several runs on the same utterances, scored as one; and several numbers as one.

Every row is one run's answer to one utterance, and counts so much that each utterance
counts once, however many seeds answered it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.statistics import (
    SCALARS,
    Difference,
    Interval,
    Scores,
    compare_sums,
    interval_of,
    score,
)
from espressivo.training.scores.sums import (
    Floats,
    Labels,
    Probabilities,
    bins_of,
    by_speaker,
    confusions_of,
    percentiles,
    ratio,
    resamples,
    scores_of,
    sums_of,
)
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, eq=False)  # compared by its arrays
class Pool:
    """Answers of one run or several, which together count each utterance once.

    Sums are averaged over runs, probabilities never: two seeds that disagree are not
    an ensemble. WA, UA and recall are then the mean over runs; F1 and ECE are those of
    all answers together.

    Attributes:
        labels: int [N].
        probabilities: float [N, C].
        speakers: [N] names.
        weights: float [N], 1 over the number of runs that answered the utterance; all
            1 when None.
    """

    labels: Labels
    probabilities: Probabilities
    speakers: Sequence[str]
    weights: Floats | None = None

    @property
    def sums(self) -> Floats:
        """What the scores are sums of, by speaker [S, K]."""
        rows = sums_of(self.labels, self.probabilities, self.weights)
        return by_speaker(rows, self.speakers)

    @property
    def scores(self) -> Scores:
        """Scores of all together."""
        return score(self.labels, self.probabilities, self.weights)

    @property
    def confusion(self) -> Floats:
        """Count utterances by class [C, C]: rows actual, columns predicted."""
        whole = self.sums.sum(0)[None]
        confusion: Floats = confusions_of(whole, self.probabilities.shape[1])[0]
        return confusion

    def intervals(self, seed: int = 0) -> dict[str, Interval]:
        """Give every measure of `measures` a 95 % interval, as `intervals` does."""
        times = resamples(self.speakers, seed)
        if times is None:
            return {}
        values = scores_of(times @ self.sums, self.probabilities.shape[1])
        return {name: interval_of(v) for name, v in _named(values).items()}

    def reliability(self, seed: int = 0) -> Reliability:
        """Compare how sure the answers are with how often they are right, by bin."""
        sums = self.sums
        n, sure, right = bins_of(sums.sum(0)[None])[:, 0]
        low = high = np.full(len(n), np.nan)
        times = resamples(self.speakers, seed)
        if times is not None:
            some_n, _, some_right = bins_of(times @ sums)
            drawn = percentiles(ratio(some_right, some_n), (2.5, 97.5))
            low, high = drawn[:, 0], drawn[:, 1]
        return Reliability(n, ratio(sure, n), ratio(right, n), low, high)


@dataclass(frozen=True, eq=False)
class Reliability:
    """What the expected calibration error sums up, [bins] each; NaN where empty.

    Attributes:
        n: Utterances whose top probability lies in the bin.
        sure: Their mean top probability.
        right: The share that is right.
        low: Lower end of the 95 % interval of `right`, over speakers.
        high: Its upper end.
    """

    n: Floats
    sure: Floats
    right: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation (divisor n - 1; NaN below two values)."""

    mean: float
    sd: float


def measures(scores: Scores) -> dict[str, float]:
    """Name every number of `Scores`; per class as `recall_anger` and `f1_anger`."""
    rows = {name: np.asarray([value]) for name, value in asdict(scores).items()}
    return {name: float(value[0]) for name, value in _named(rows).items()}


def spread(values: Sequence[float]) -> Spread:
    """Sum values up; those that are NaN (a class absent from a fold) are left out.

    >>> spread([0.25, 0.5, 0.75])
    Spread(mean=0.5, sd=0.25)
    """
    known = np.asarray([v for v in values if not np.isnan(v)], np.float64)
    mean = float(known.mean()) if len(known) else float("nan")
    sd = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return Spread(mean, sd)


def compare_pools(a: Pool, b: Pool, seed: int = 0) -> dict[str, Difference]:
    """Say how much better pool b is than a; both answer the same utterances.

    As `compare`, for any number of runs on either side.

    Raises:
        ValueError: The speakers differ.
    """
    if set(a.speakers) != set(b.speakers):
        raise ValueError("the pools have different speakers; compare the same ones")
    times = resamples(a.speakers, seed)
    if times is None:
        return {}
    return compare_sums(a.sums, b.sums, times, a.probabilities.shape[1])


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for how many there are; the order stays.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Source: Holm (1979), the step-down procedure.
    """
    n = len(p_values)
    adjusted = [0.0] * n
    largest = 0.0
    for rank, i in enumerate(sorted(range(n), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (n - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _named(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Name the columns of what is per class."""
    named = {name: values[name] for name in SCALARS}
    for name in ("recall", "f1"):
        named |= {f"{name}_{e}": values[name][:, i] for i, e in enumerate(Emotion)}
    return named
