"""How good predictions are, and how sure one can be of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.training.scores.sums import (
    Floats,
    Labels,
    Probabilities,
    by_speaker,
    percentiles,
    resamples,
    scores_of,
    sums_of,
)
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SCALARS = ("wa", "ua", "macro_f1", "ece", "brier", "log_loss")
"""Names of the scores that are one number each."""

_COVERAGE = (2.5, 97.5)  # percentiles
_HOTTEST = 100.0


@dataclass(frozen=True, slots=True)
class Scores:
    """What the predictions on a set of utterances are worth.

    Attributes:
        wa: Weighted accuracy: the share of utterances that are right.
        ua: Unweighted accuracy: the mean recall of the classes that occur.
        macro_f1: The mean F1 of the classes that occur or are predicted.
        ece: Expected calibration error: how far the top probability is from the share
            of right answers, over 15 equal bins (Guo et al. 2017, eq. 3).
        brier: Squared distance of the probabilities from the truth, 0..2.
        log_loss: Mean of -ln(probability of the truth).
        recall: Per class; NaN for one that does not occur.
        f1: Per class; NaN for one that neither occurs nor is predicted.
    """

    wa: float
    ua: float
    macro_f1: float
    ece: float
    brier: float
    log_loss: float
    recall: tuple[float, ...]
    f1: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better predictions b are than a, on the same utterances.

    Attributes:
        difference: Score of b less score of a.
        interval: Where 95 % of the resampled differences lie.
        p: Two-sided: how often resampling would turn the sign.
    """

    difference: float
    interval: Interval
    p: float


def score(
    labels: Labels, probabilities: Probabilities, weights: Floats | None = None
) -> Scores:
    """Score predictions.

    Args:
        labels: int [N], N > 0.
        probabilities: float [N, C].
        weights: float [N], how much each counts; all the same when None.
    """
    one = sums_of(labels, probabilities, weights).sum(0)[None]  # [1, K]
    values = scores_of(one, probabilities.shape[1])
    return Scores(
        **{name: float(values[name][0]) for name in SCALARS},
        recall=tuple(values["recall"][0].tolist()),
        f1=tuple(values["f1"][0].tolist()),
    )


def confusion_matrix(labels: Labels, probabilities: Probabilities) -> NDArray[np.int64]:
    """Count utterances by class [C, C]: rows actual, columns predicted."""
    n = probabilities.shape[1]
    cells = labels * n + probabilities.argmax(1)
    return np.bincount(cells, minlength=n * n).reshape(n, n).astype(np.int64)


def intervals(
    labels: Labels,
    probabilities: Probabilities,
    speakers: Sequence[str],
    seed: int = 0,
) -> dict[str, Interval]:
    """Give each score of `Scores` but the per-class ones a 95 % interval.

    Whole speakers are drawn with replacement: what varies from speaker to speaker is
    the largest part of the uncertainty. Few speakers make the interval too narrow;
    with one there is none, and the result is empty.

    Args:
        labels: int [N].
        probabilities: float [N, C].
        speakers: One name per utterance.
        seed: Of the resampling.

    Source: percentile bootstrap over clusters, Davison & Hinkley (1997), section 3.8.
    """
    times = resamples(speakers, seed)
    if times is None:
        return {}
    sums = by_speaker(sums_of(labels, probabilities), speakers)
    values = scores_of(times @ sums, probabilities.shape[1])
    return {name: interval_of(values[name]) for name in SCALARS}


def compare(
    labels: Labels,
    a: Probabilities,
    b: Probabilities,
    speakers: Sequence[str],
    seed: int = 0,
) -> dict[str, Difference]:
    """Say how much better predictions b are than a, score by score.

    Both are resampled alike, so what is hard for both cancels out. Empty with a single
    speaker.

    Args:
        labels: int [N].
        a: float [N, C].
        b: float [N, C], of the same utterances in the same order.
        speakers: One name per utterance.
        seed: Of the resampling.
    """
    times = resamples(speakers, seed)
    if times is None:
        return {}
    sums_a, sums_b = (by_speaker(sums_of(labels, p), speakers) for p in (a, b))
    return compare_sums(sums_a, sums_b, times, a.shape[1])


def compare_sums(
    a: Floats, b: Floats, times: Floats, n_classes: int
) -> dict[str, Difference]:
    """As `compare`, from the sums of each speaker.

    Args:
        a: float [S, K], see `sums_of`.
        b: float [S, K], of the same speakers in the same order.
        times: float [R, S], how often each speaker counts in each resample.
        n_classes: C, which K follows from.
    """

    def differences(times: Floats) -> dict[str, Floats]:
        then_a = scores_of(times @ a, n_classes)
        then_b = scores_of(times @ b, n_classes)
        return {name: then_b[name] - then_a[name] for name in SCALARS}

    now, then = differences(np.ones((1, len(a)))), differences(times)
    return {
        name: Difference(
            float(now[name][0]), interval_of(then[name]), _two_sided(then[name])
        )
        for name in SCALARS
    }


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> Floats:
    """Turn logits [N, C] into probabilities [N, C]."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    probabilities: Floats = powers / powers.sum(1, keepdims=True)
    return probabilities


def to_logits(probabilities: Probabilities) -> Floats:
    """Return logits [N, C] whose softmax is `probabilities`."""
    logits: Floats = np.log(np.maximum(probabilities, 1e-12))
    return logits


def fit_temperature(
    logits: NDArray[np.floating[Any]],
    labels: Labels,
    weights: NDArray[np.floating[Any]] | None = None,
) -> float:
    """Find the temperature whose softmax(logits / temperature) has the least log loss.

    Args:
        logits: float [N, C], of speakers who did not train.
        labels: int [N], N > 0.
        weights: float [N], how much each counts; all the same when None.

    Returns:
        0.01..100; near the lower end when all answers are right: no loss is least.

    Source: Guo et al. (2017), section 4.2.
    """
    z = np.asarray(logits, np.float64)
    wanted = np.average(z[np.arange(len(z)), labels], weights=weights)

    def slope(inverse: float) -> float:
        # The loss is convex in 1 / temperature; this is its derivative.
        expected = (softmax(z, 1 / inverse) * z).sum(1)
        return float(np.average(expected, weights=weights) - wanted)

    low, high = -np.log(_HOTTEST), np.log(_HOTTEST)
    for _ in range(60):
        middle = (low + high) / 2
        if slope(float(np.exp(middle))) <= 0:
            low = middle
        else:
            high = middle
    return float(np.exp(-(low + high) / 2))


def to_dict(
    scores: Scores, emotions: Sequence[Emotion] = tuple(Emotion)
) -> dict[str, Any]:
    """Name the classes, and write None for what is not defined."""
    plain = asdict(scores)
    for name in ("recall", "f1"):
        named = zip(emotions, plain[name], strict=True)
        plain[name] = {str(e): None if np.isnan(v) else v for e, v in named}
    return plain


def interval_of(values: Floats) -> Interval:
    """Return where 95 % of resampled values [R] lie, NaN left out."""
    ((low, high),) = percentiles(values[:, None], _COVERAGE)
    return Interval(float(low), float(high))


def _two_sided(differences: Floats) -> float:
    differences = differences.round(12)  # sums of the same numbers differ by less
    # One is added to either count: no finite number of draws proves that p is 0.
    less = (1 + (differences <= 0).sum()) / (1 + len(differences))
    more = (1 + (differences >= 0).sum()) / (1 + len(differences))
    return float(min(1.0, 2 * min(less, more)))
