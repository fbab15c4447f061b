"""Aggregations of window predictions into one prediction per note."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    _Float = NDArray[np.float64]

    Aggregate: TypeAlias = Callable[[_Float, NDArray[np.int64]], _Float]
    """Maps probabilities [W, C] and lengths [W] of windows to probabilities [C]."""

_TIE = 1e-6


def mean(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Return the unweighted mean over windows."""
    return _average(rows, np.ones(len(lengths)))


def by_duration(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Weight windows by length, as `Report.probabilities` does."""
    return _average(rows, lengths.astype(np.float64))


def vote(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Return the share of windows that predict each emotion.

    Ties are broken by `mean`.
    """
    shares = np.bincount(rows.argmax(1), minlength=rows.shape[1]) / len(rows)
    voted = shares + _TIE * mean(rows, lengths)
    return np.asarray(voted / voted.sum())


def by_confidence(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Weight windows by `confidence`, regardless of length."""
    del lengths
    return _average(rows, confidence(rows))


def by_both(rows: _Float, lengths: NDArray[np.int64]) -> _Float:
    """Weight windows by length times `confidence`."""
    return _average(rows, lengths * confidence(rows))


def confidence(rows: _Float) -> _Float:
    """Return 1 - normalised entropy, [W], from 0 (uniform) to 1 (certain)."""
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
"""Aggregations by their name in tables; the analyzer uses the first."""
