"""Scores as ratios of sums over utterances: what `statistics` is built on.

A bootstrap over speakers then adds up each speaker's sums instead of scoring again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels: TypeAlias = NDArray[np.integer[Any]]
"""[N], each the index of an emotion."""
Probabilities: TypeAlias = NDArray[np.floating[Any]]
"""[N, C], rows sum to 1."""
Floats: TypeAlias = NDArray[np.float64]

N_BINS = 15
N_RESAMPLES = 2000
_LEAST_PROBABILITY = 1e-12


def sums_of(
    labels: Labels, probabilities: Probabilities, weights: Floats | None = None
) -> Floats:
    """Lay out what all scores are sums of, [N, C * C + 3 * bins + 2].

    Confusion matrix; per bin of confidence how many, how sure, how often right; squared
    distance; log loss.

    Args:
        labels: int [N].
        probabilities: float [N, C].
        weights: float [N], how much each row counts; all 1 when None.
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
    sums = np.hstack([confusion, bins.reshape(n, -1), brier[:, None], loss[:, None]])
    return sums if weights is None else sums * weights[:, None]


def scores_of(sums: Floats, n_classes: int) -> dict[str, Floats]:
    """Turn R rows of sums into scores [R], per class [R, C]."""
    confusion = confusions_of(sums, n_classes)
    n, sure, right = bins_of(sums)
    total = confusion.sum((1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    actual, predicted = confusion.sum(2), confusion.sum(1)
    recall = ratio(hits, actual)
    f1 = ratio(2 * hits, actual + predicted)
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


def confusions_of(sums: Floats, n_classes: int) -> Floats:
    """Return the confusion matrices [R, C, C] within rows of sums."""
    cells = sums[:, : n_classes * n_classes]
    return cells.reshape(-1, n_classes, n_classes)


def bins_of(sums: Floats) -> Floats:
    """Return how many, how sure and how often right [3, R, bins], by confidence."""
    bins = sums[:, -2 - 3 * N_BINS : -2]
    return bins.reshape(-1, 3, N_BINS).swapaxes(0, 1)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where there is nothing to divide by."""
    quotient: Floats = np.full(part.shape, np.nan)
    return np.divide(part, whole, out=quotient, where=whole > 0)


def by_speaker(sums: Floats, speakers: Sequence[str]) -> Floats:
    """Add up each speaker's sums [S, K], speakers sorted by name."""
    names, index = np.unique(np.asarray(speakers), return_inverse=True)
    total = np.zeros((len(names), sums.shape[1]))
    np.add.at(total, index, sums)
    return total


def resamples(speakers: Sequence[str], seed: int) -> Floats | None:
    """Draw how often each speaker counts [R, S]; None when there is only one."""
    n = len(set(speakers))
    if n < 2:
        return None
    draws = np.random.default_rng(seed).multinomial(n, [1 / n] * n, size=N_RESAMPLES)
    return draws.astype(np.float64)


def percentiles(values: Floats, at: Sequence[float]) -> Floats:
    """Return percentiles [K, len(at)] of each column of [R, K], NaN left out."""
    found: Floats = np.full((values.shape[1], len(at)), np.nan)
    some = ~np.isnan(values).all(0)
    if some.any():
        found[some] = np.nanpercentile(values[:, some], at, axis=0).T
    return found
