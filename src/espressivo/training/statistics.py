"""How good predictions are, and how sure one can be of it.

All figures follow from sums over utterances, so that a bootstrap over speakers adds
up each speaker's sums instead of scoring again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels: TypeAlias = NDArray[np.integer[Any]]
"""[N], each the index of an emotion."""
Probabilities: TypeAlias = NDArray[np.floating[Any]]
"""[N, C], rows sum to 1."""
_Float: TypeAlias = NDArray[np.float64]

N_BINS = 15
N_RESAMPLES = 2000
_LEAST_PROBABILITY = 1e-12
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


def score(labels: Labels, probabilities: Probabilities) -> Scores:
    """Score predictions.

    Args:
        labels: int [N], N > 0.
        probabilities: float [N, C].
    """
    one = _sums(labels, probabilities).sum(0)[None]  # [1, K]
    values = _scores(one, probabilities.shape[1])
    return Scores(
        **{name: float(values[name][0]) for name in _SCALARS},
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
    times = _resamples(speakers, seed)
    if times is None:
        return {}
    sums = _by_speaker(_sums(labels, probabilities), speakers)
    values = _scores(times @ sums, probabilities.shape[1])
    return {name: _interval(values[name]) for name in _SCALARS}


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
    times = _resamples(speakers, seed)
    if times is None:
        return {}
    now_a, now_b = score(labels, a), score(labels, b)
    n = a.shape[1]
    then_a = _scores(times @ _by_speaker(_sums(labels, a), speakers), n)
    then_b = _scores(times @ _by_speaker(_sums(labels, b), speakers), n)
    return {
        name: Difference(
            getattr(now_b, name) - getattr(now_a, name),
            _interval(then_b[name] - then_a[name]),
            _two_sided(then_b[name] - then_a[name]),
        )
        for name in _SCALARS
    }


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> _Float:
    """Turn logits [N, C] into probabilities [N, C]."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    probabilities: _Float = powers / powers.sum(1, keepdims=True)
    return probabilities


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


_SCALARS = ("wa", "ua", "macro_f1", "ece", "brier", "log_loss")


def _sums(labels: Labels, probabilities: Probabilities) -> _Float:
    """Lay out what all scores are sums of, [N, C * C + 3 * bins + 2].

    Confusion matrix; per bin of confidence how many, how sure, how often right; squared
    distance; log loss.
    """
    p = np.asarray(probabilities, np.float64)
    n, n_classes = p.shape
    rows = np.arange(n)
    predicted = p.argmax(1)
    confusion = np.zeros((n, n_classes * n_classes))
    confusion[rows, labels * n_classes + predicted] = 1
    sure = p[rows, predicted]
    # Bins are open on the left, as in the source.
    at = np.clip(np.ceil(sure * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    bins = np.zeros((n, 3, N_BINS))
    bins[rows, 0, at] = 1
    bins[rows, 1, at] = sure
    bins[rows, 2, at] = predicted == labels
    truth = np.eye(n_classes)[labels]
    brier = np.square(p - truth).sum(1)
    loss = -np.log(np.maximum(p[rows, labels], _LEAST_PROBABILITY))
    return np.hstack([confusion, bins.reshape(n, -1), brier[:, None], loss[:, None]])


def _scores(sums: _Float, n_classes: int) -> dict[str, _Float]:
    """Turn R rows of sums into scores [R], per class [R, C]."""
    n_cells = n_classes * n_classes
    confusion = sums[:, :n_cells].reshape(-1, n_classes, n_classes)
    n, sure, right = sums[:, n_cells:-2].reshape(-1, 3, N_BINS).swapaxes(0, 1)
    total = confusion.sum((1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    actual, predicted = confusion.sum(2), confusion.sum(1)
    recall = _ratio(hits, actual)
    f1 = _ratio(2 * hits, actual + predicted)
    return {
        "wa": hits.sum(1) / total,
        "ua": np.nanmean(recall, axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "ece": np.abs(sure - right).sum(1) / n.sum(1),
        "brier": sums[:, -2] / total,
        "log_loss": sums[:, -1] / total,
        "recall": recall,
        "f1": f1,
    }


def _ratio(part: _Float, whole: _Float) -> _Float:
    ratio: _Float = np.full(part.shape, np.nan)
    return np.divide(part, whole, out=ratio, where=whole > 0)


def _by_speaker(sums: _Float, speakers: Sequence[str]) -> _Float:
    names, index = np.unique(np.asarray(speakers), return_inverse=True)
    total = np.zeros((len(names), sums.shape[1]))
    np.add.at(total, index, sums)
    return total


def _resamples(speakers: Sequence[str], seed: int) -> _Float | None:
    """Draw how often each speaker counts [R, S]; None when there is only one."""
    n = len(set(speakers))
    if n < 2:
        return None
    draws = np.random.default_rng(seed).multinomial(n, [1 / n] * n, size=N_RESAMPLES)
    return draws.astype(np.float64)


def _interval(values: _Float) -> Interval:
    low, high = np.percentile(values, _COVERAGE)
    return Interval(float(low), float(high))


def _two_sided(differences: _Float) -> float:
    # One is added to either count: no finite number of draws proves that p is 0.
    less = (1 + (differences <= 0).sum()) / (1 + len(differences))
    more = (1 + (differences >= 0).sum()) / (1 + len(differences))
    return float(min(1.0, 2 * min(less, more)))
