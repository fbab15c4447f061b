"""What values reach a graph's products on real recordings, and the ranges to keep.

onnxruntime's own calibrators keep histograms of equal shapes only; recordings differ
in length, and that they do is the point of calibrating with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from espressivo.errors import ExportError
from espressivo.training.export.gptq import Inputs, observe_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from espressivo.types import Signal

    _Float: TypeAlias = NDArray[np.float64]

RangeMethod: TypeAlias = Literal["minmax", "percentile", "mse"]

N_BINS = 8192
_PERCENTILE = 99.999
_FRACTIONS: list[float] = np.geomspace(0.02, 1.0, 48).tolist()


@dataclass(frozen=True, slots=True)
class ValueStatistics:
    """What was seen of one value.

    Attributes:
        low: Least.
        high: Greatest.
        mean: Of each channel (last axis) [width].
        counts: Histogram [N_BINS] of all elements from `low` to `high`.
        inputs: How its channels move together.
    """

    low: float
    high: float
    mean: _Float
    counts: _Float
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class Calibration:
    """The ranges to quantize to, and the statistics they came from.

    Attributes:
        ranges: Name of a value -> least and greatest that is kept apart.
        statistics: Name of a value -> what was seen.
        n_recordings: How many recordings were run.
    """

    ranges: dict[str, tuple[float, float]]
    statistics: dict[str, ValueStatistics]
    n_recordings: int


def calibrate(
    model: onnx.ModelProto,
    values: Sequence[str],
    recordings: Sequence[Signal],
    method: RangeMethod = "mse",
) -> Calibration:
    """Run recordings through a graph and choose a range for each of `values`.

    Args:
        model: In fp32.
        values: Names of what is to be quantized, last axis channels.
        recordings: Of varied lengths, each at most as long as the model's window.
        method: All that was seen (`minmax`), all but the outermost 0.001 %
            (`percentile`), or what makes the least squared error (`mse`).

    Raises:
        ExportError: There are no recordings, or none has any sound.
    """
    if not any(signal.any() for signal in recordings):
        raise ExportError(
            f"calibration: {len(recordings)} recordings, all silent; "
            "pass --corpus NAME=DIR with recordings of speech"
        )
    session = _observing_session(model, values)
    edges = dict.fromkeys(values, (np.inf, -np.inf))
    sums: dict[str, _Float] = {}
    rows = dict.fromkeys(values, 0)
    for signal in recordings:
        for name, seen in _observe(session, values, signal):
            low, high = edges[name]
            edges[name] = (min(low, float(seen.min())), max(high, float(seen.max())))
            sums[name] = sums.get(name, 0.0) + seen.sum(0, dtype=np.float64)
            rows[name] += len(seen)
    # A second pass, so that the histogram is exact and does not depend on the order.
    counts = {name: np.zeros(N_BINS) for name in values}
    grams: dict[str, _Float] = {}
    for signal in recordings:
        for name, seen in _observe(session, values, signal):
            counts[name] += np.histogram(seen, N_BINS, edges[name])[0]
            grams[name] = grams.get(name, 0.0) + (seen.T @ seen).astype(np.float64)
    statistics = {
        name: ValueStatistics(
            *edges[name],
            sums[name] / rows[name],
            counts[name],
            observe_inputs(grams[name]),
        )
        for name in values
    }
    ranges = {name: choose_range(seen, method) for name, seen in statistics.items()}
    return Calibration(ranges, statistics, len(recordings))


def choose_range(seen: ValueStatistics, method: RangeMethod) -> tuple[float, float]:
    """Return the range that 256 levels are spread over; zero is always in it."""
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
    return _least_error(low, high, centers, seen.counts)


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
    scale, zero = affine(*ends)
    levels = np.clip(np.round(centers / scale) + zero, 0, 255)
    return float((counts * ((levels - zero) * scale - centers) ** 2).sum())


def affine(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return scale and zero point of 256 levels from `low` <= 0 to `high` >= 0."""
    scale = np.float32(max((high - low) / 255, 1e-8))
    return scale, np.uint8(np.clip(round(-low / float(scale)), 0, 255))


def _observing_session(
    model: onnx.ModelProto, values: Sequence[str]
) -> ort.InferenceSession:
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in values
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(
        observed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _observe(
    session: ort.InferenceSession, values: Sequence[str], signal: Signal
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each value's rows [N, channels] on one recording."""
    outputs = session.run(list(values), {"samples": signal[None]})
    for name, output in zip(values, outputs, strict=True):
        yield name, output.reshape(-1, output.shape[-1])
