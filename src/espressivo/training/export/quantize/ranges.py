"""The range of an activation that 256 levels are spread over, from its histogram.

The range with the least squared error is chosen. It is as good as all values seen
(min-max) or all but the outermost 0.001 % where no value is far out, and it holds where
one is: docs/quantization.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Float: TypeAlias = NDArray[np.float64]

RANGE_METHOD = "mse"
"""How cards and reports name the choice of least squared error."""

# 32 for each level of 8 bits, so that a bin is narrow beside a rounding error.
N_BINS = 8192
_FRACTIONS: list[float] = np.geomspace(0.02, 1.0, 48).tolist()


@dataclass(frozen=True, slots=True)
class Histogram:
    """All elements of one value.

    Attributes:
        low: Least element.
        high: Greatest element.
        counts: Number of elements in N_BINS equal bins from `low` to `high`.
    """

    low: float
    high: float
    counts: _Float


def choose_range(seen: Histogram) -> tuple[float, float]:
    """Return the range (low, high) whose 256 levels have the least squared error.

    Zero is always in it, since padding must stay exact.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    centers = np.linspace(seen.low, seen.high, N_BINS, endpoint=False)
    centers += (seen.high - seen.low) / (2 * N_BINS)
    return _least_error(low, high, centers, seen.counts)


def fake_quantize(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Return values after quantization to u8 and back."""
    scale, zero = affine_parameters(low, high)
    # rint rounds halves to even, as ONNX defines QuantizeLinear.
    levels = np.clip(np.rint(values / scale) + zero, 0, 255)
    back: NDArray[Any] = (levels - zero) * scale
    return back


def affine_parameters(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return scale and zero point of 256 levels from `low` <= 0 to `high` >= 0."""
    # A value that is always 0 must not get a scale of 0.
    scale = np.float32(max((high - low) / 255, 1e-8))
    return scale, np.uint8(np.clip(round(-low / float(scale)), 0, 255))


def _least_error(
    low: float, high: float, centers: _Float, counts: _Float
) -> tuple[float, float]:
    """Return the range with the least squared error.

    Both ends are scaled together, then each alone; a full grid is not needed, since
    the error is smooth.
    """

    def best(tried: list[tuple[float, float]]) -> tuple[float, float]:
        return min(tried, key=lambda ends: _squared_error(ends, centers, counts))

    a, b = best([(low * f, high * f) for f in _FRACTIONS])
    a, b = best([(a, b), *((a, high * f) for f in _FRACTIONS)])
    return best([(a, b), *((low * f, b) for f in _FRACTIONS)])


def _squared_error(ends: tuple[float, float], centers: _Float, counts: _Float) -> float:
    return float((counts * (fake_quantize(centers, *ends) - centers) ** 2).sum())
