"""Over what range of a value 256 levels are spread, from all that was seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Float: TypeAlias = NDArray[np.float64]

RangeMethod: TypeAlias = Literal["minmax", "percentile", "mse", "entropy"]

RANGE_METHODS: tuple[RangeMethod, ...] = get_args(RangeMethod)

N_BINS = 8192
_PERCENTILE = 99.999
_FRACTIONS: list[float] = np.geomspace(0.02, 1.0, 48).tolist()
_ENTROPY_BINS = 2049  # odd: the middle one is zero's
_SMOOTHING = 1e-4  # of a bin that holds nothing


@dataclass(frozen=True, slots=True)
class Histogram:
    """All elements of one value.

    Attributes:
        low: Least.
        high: Greatest.
        counts: In N_BINS equal bins from `low` to `high`.
    """

    low: float
    high: float
    counts: _Float


def choose_range(seen: Histogram, method: RangeMethod) -> tuple[float, float]:
    """Return the range that 256 levels are spread over; zero is always in it.

    Args:
        seen: What recordings showed.
        method: All that was seen (`minmax`), all but the outermost 0.001 %
            (`percentile`), what makes the least squared error (`mse`), or what keeps
            the distribution most alike (`entropy`).
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if method == "minmax":
        return low, high
    centers = np.linspace(seen.low, seen.high, N_BINS, endpoint=False)
    centers += (seen.high - seen.low) / (2 * N_BINS)
    if method == "percentile":
        share = np.cumsum(seen.counts) / seen.counts.sum() * 100
        first = int(np.searchsorted(share, 100 - _PERCENTILE))
        last = int(np.searchsorted(share, _PERCENTILE))
        return min(float(centers[first]), 0.0), max(float(centers[last]), 0.0)
    if method == "entropy":
        top = max(-low, high)
        bins = np.histogram(centers, _ENTROPY_BINS, (-top, top), weights=seen.counts)
        end = top * (2 * least_divergence(bins[0]) + 1) / _ENTROPY_BINS
        return max(low, -end), min(high, end)
    return _least_error(low, high, centers, seen.counts)


def round_trip(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Return what is left of values after u8 and back."""
    scale, zero = affine(low, high)
    levels = np.clip(np.rint(values / scale) + zero, 0, 255)
    back: NDArray[Any] = (levels - zero) * scale
    return back


def affine(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return scale and zero point of 256 levels from `low` <= 0 to `high` >= 0."""
    scale = np.float32(max((high - low) / 255, 1e-8))
    return scale, np.uint8(np.clip(round(-low / float(scale)), 0, 255))


def least_divergence(counts: _Float, levels: int = 256) -> int:
    """Return how many bins to keep on either side of zero's.

    For each number, what lies beyond is moved into the outermost bins kept, and the
    relative entropy of that to the same merged into `levels` is taken; the least wins.

    Args:
        counts: In equal bins, as many below zero as above.
        levels: That the bins kept are merged into.

    Source: Migacz (2017), 8-bit inference with TensorRT, GTC S7310, slide 38.
    """
    zero = len(counts) // 2
    tried = range(levels // 2, zero + 1)
    return min(tried, key=lambda n: _divergence(counts, zero - n, zero + n + 1, levels))


def _divergence(counts: _Float, start: int, end: int, levels: int) -> float:
    exact = counts[start:end].copy()
    edges = np.arange(levels) * len(exact) // levels
    held = np.add.reduceat(exact, edges)
    exact[0] += counts[:start].sum()
    exact[-1] += counts[end:].sum()
    filled = np.add.reduceat((exact > 0).astype(np.float64), edges)
    spread = np.divide(held, filled, out=np.zeros(levels), where=filled > 0)
    merged = np.repeat(spread, np.diff(edges, append=len(exact)))
    merged[exact == 0] = 0
    p, q = _smooth(exact), _smooth(merged)
    return float((p * np.log(p / q)).sum())


def _smooth(counts: _Float) -> _Float:
    """Return shares [bins], none of them zero."""
    raised = np.where(counts > 0, counts, _SMOOTHING)
    shares: _Float = raised / raised.sum()
    return shares


def _least_error(
    low: float, high: float, centers: _Float, counts: _Float
) -> tuple[float, float]:
    """Shrink both ends together, then each alone: the error is smooth enough for it."""

    def best(tried: list[tuple[float, float]]) -> tuple[float, float]:
        return min(tried, key=lambda ends: _squared_error(ends, centers, counts))

    a, b = best([(low * f, high * f) for f in _FRACTIONS])
    a, b = best([(a, b), *((a, high * f) for f in _FRACTIONS)])
    return best([(a, b), *((low * f, b) for f in _FRACTIONS)])


def _squared_error(ends: tuple[float, float], centers: _Float, counts: _Float) -> float:
    return float((counts * (round_trip(centers, *ends) - centers) ** 2).sum())
