"""Metrics of predictions: accuracy, recall, F1, calibration error, Brier, log loss.

Every metric is a ratio of sums over utterances. `utterance_sums` returns the summands,
one row per utterance, and `scores_from_sums` turns sums of rows into metrics. A
bootstrap over speakers only adds up rows again.
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
"""Index of an emotion for each utterance [N]; -1 without one, which scores nothing."""
Probabilities: TypeAlias = NDArray[np.floating[Any]]
"""Probability of each class [N, C]; rows sum to 1."""
Floats: TypeAlias = NDArray[np.float64]

SCALARS = ("wa", "ua", "macro_f1", "ece", "brier", "log_loss")
"""Names of the metrics that are a single number."""

# As many as in the tables of Guo et al. (2017).
N_BINS = 15
"""Number of equal bins of confidence, for the expected calibration error."""

_LEAST_PROBABILITY = 1e-12  # keeps the logarithm finite


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics of the predictions on a set of utterances.

    Attributes:
        wa: Weighted accuracy: the share of utterances classified correctly.
        ua: Unweighted accuracy: the mean recall of the classes that occur.
        macro_f1: The mean F1 of the classes that occur or are predicted.
        ece: Expected calibration error: mean distance between confidence and accuracy
            over 15 equal bins (Guo et al. 2017, eq. 3).
        brier: Brier score: mean squared distance of the probabilities from the actual
            class, 0..2.
        log_loss: Mean of -ln(probability of the actual class).
        recall: Recall of each class; NaN for a class that does not occur.
        f1: F1 of each class; NaN for a class that neither occurs nor is predicted.
    """

    wa: float
    ua: float
    macro_f1: float
    ece: float
    brier: float
    log_loss: float
    recall: tuple[float, ...]
    f1: tuple[float, ...]


def labels_of(emotions: Sequence[str]) -> NDArray[np.intp]:
    """Return the index of each emotion in `Emotion`; -1 for an empty name.

    Raises:
        KeyError: A name is none of the four, and not empty.
    """
    order = {"": -1} | {str(emotion): i for i, emotion in enumerate(Emotion)}
    return np.array([order[name] for name in emotions], np.intp)


def score(
    labels: Labels, probabilities: Probabilities, weights: Floats | None = None
) -> Scores:
    """Score predictions.

    Args:
        labels: int [N], N > 0.
        probabilities: float [N, C].
        weights: Weight of each utterance, float [N]; equal if None.
    """
    total = utterance_sums(labels, probabilities, weights).sum(0)[None]  # [1, K]
    values = scores_from_sums(total, probabilities.shape[1])
    return Scores(
        **{name: float(values[name][0]) for name in SCALARS},
        recall=tuple(values["recall"][0].tolist()),
        f1=tuple(values["f1"][0].tolist()),
    )


def confusion_matrix(labels: Labels, probabilities: Probabilities) -> NDArray[np.int64]:
    """Count utterances by class [C, C]: rows actual, columns predicted."""
    n = probabilities.shape[1]
    cells = (labels * n + probabilities.argmax(1))[np.asarray(labels) >= 0]
    return np.bincount(cells, minlength=n * n).reshape(n, n).astype(np.int64)


def scores_to_dict(
    scores: Scores, emotions: Sequence[Emotion] = tuple(Emotion)
) -> dict[str, Any]:
    """Return scores as JSON values: classes by name, None for undefined values."""
    plain = asdict(scores)
    for name in ("recall", "f1"):
        named = zip(emotions, plain[name], strict=True)
        plain[name] = {str(e): None if np.isnan(v) else v for e, v in named}
    return plain


def utterance_sums(
    labels: Labels, probabilities: Probabilities, weights: Floats | None = None
) -> Floats:
    """Return the summands of all metrics, one row per utterance.

    A row [C * C + 3 * bins + 2] has the confusion matrix; for each bin of confidence
    the count, the confidence and whether the prediction is right; the squared distance;
    and the log loss.

    Args:
        labels: int [N].
        probabilities: float [N, C].
        weights: Weight of each row, float [N]; all 1 if None.
    """
    # Models give float32, in which sums over thousands of rows lose digits.
    p = np.asarray(probabilities, np.float64)
    n, n_classes = p.shape
    rows = np.arange(n)
    predicted = p.argmax(1)
    confusion = np.zeros((n, n_classes * n_classes))
    confusion[rows, labels * n_classes + predicted] = 1
    confidence = p[rows, predicted]
    # Bins are open on the left, as in the source.
    at = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    bins = np.zeros((n, 3, N_BINS))
    bins[rows, 0, at] = 1
    bins[rows, 1, at] = confidence
    bins[rows, 2, at] = predicted == labels
    truth = np.eye(n_classes)[labels]
    brier = np.square(p - truth).sum(1)
    loss = -np.log(np.maximum(p[rows, labels], _LEAST_PROBABILITY))
    sums = np.hstack([confusion, bins.reshape(n, -1), brier[:, None], loss[:, None]])
    sums[np.asarray(labels) < 0] = 0
    return sums if weights is None else sums * weights[:, None]


def scores_from_sums(sums: Floats, n_classes: int) -> dict[str, Floats]:
    """Turn R rows of sums into metrics, [R] each, or [R, C] for metrics by class."""
    confusion = confusions_from_sums(sums, n_classes)
    total = confusion.sum((1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    actual, predicted = confusion.sum(2), confusion.sum(1)
    recall = ratio(hits, actual)
    # 2 TP / (2 TP + FP + FN): defined as soon as a class occurs or is predicted.
    f1 = ratio(2 * hits, actual + predicted)
    return {
        "wa": ratio(hits.sum(1), total),
        # A resample may lack a class; the mean is then over those that it has.
        "ua": _mean_known(recall),
        "macro_f1": _mean_known(f1),
        "ece": ece_from_sums(sums),
        "brier": ratio(sums[:, -2], total),
        "log_loss": ratio(sums[:, -1], total),
        "recall": recall,
        "f1": f1,
    }


def ece_from_sums(sums: Floats) -> Floats:
    """Return the expected calibration error of R rows of sums [R]."""
    n, confidence, right = bins_from_sums(sums)
    # A bin of n rows weighs n times, which leaves a difference of two sums.
    return ratio(np.abs(confidence - right).sum(1), n.sum(1))


def confusions_from_sums(sums: Floats, n_classes: int) -> Floats:
    """Return the confusion matrices [R, C, C] that rows of sums contain."""
    cells = sums[:, : n_classes * n_classes]
    return cells.reshape(-1, n_classes, n_classes)


def bins_from_sums(sums: Floats) -> Floats:
    """Return count, summed confidence and number right per bin [3, R, bins]."""
    bins = sums[:, -2 - 3 * N_BINS : -2]
    return bins.reshape(-1, 3, N_BINS).swapaxes(0, 1)


def _mean_known(rows: Floats) -> Floats:
    """Return the mean of each row [R, C] without NaN; NaN if it has nothing else."""
    return ratio(np.nansum(rows, axis=1), (~np.isnan(rows)).sum(1).astype(float))


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return `part / whole`, and NaN where `whole` is 0."""
    quotient: Floats = np.full(part.shape, np.nan)
    return np.divide(part, whole, out=quotient, where=whole > 0)
