"""Ways to make one answer of many windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    _Float = NDArray[np.float64]

    Aggregate: TypeAlias = Callable[[_Float, NDArray[np.int64]], _Float]
    """Probabilities [W, C] and lengths [W] of the windows -> probabilities [C]."""

_TIE = 1e-6


def mean(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Count every window alike."""
    return _average(rows, np.ones(len(lengths)))


def by_duration(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Count windows by their length, as `Report.probabilities` does."""
    return _average(rows, lengths.astype(np.float64))


def vote(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Return the shares of windows whose first choice each emotion is.

    A tie goes to the more probable by `mean`.
    """
    shares = np.bincount(rows.argmax(1), minlength=rows.shape[1]) / len(rows)
    voted = shares + _TIE * mean(rows, lengths)
    return np.asarray(voted / voted.sum())


def by_confidence(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Count windows by `confidence`, whatever their length."""
    del lengths
    return _average(rows, confidence(rows))


def by_both(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Count windows by length times `confidence`."""
    return _average(rows, lengths * confidence(rows))


def confidence(rows: _Float) -> _Float:
    """Return 1 less the entropy over its largest, [W]: 0 unsure, 1 certain."""
    logs = np.log(np.maximum(rows, 1e-12))
    entropy = -(rows * logs).sum(1) / np.log(rows.shape[1])
    return np.asarray(np.clip(1 - entropy, 0.0, 1.0))


def _average(rows: _Float, weights: _Float) -> _Float:
    if not weights.any():
        weights = np.ones(len(rows))
    average = np.average(rows, axis=0, weights=weights)
    return np.asarray(average / average.sum())


AGGREGATIONS: dict[str, Aggregate] = {
    "duration": by_duration,
    "mean": mean,
    "vote": vote,
    "confidence": by_confidence,
    "confidence x duration": by_both,
}
"""By the name that tables give it; the first is what the product does."""
