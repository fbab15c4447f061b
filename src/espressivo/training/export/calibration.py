"""What values reach a graph's products on real recordings, and the ranges to keep.

onnxruntime's own calibrators keep histograms of equal shapes only; recordings differ
in length, and that they do is the point of calibrating with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

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


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one bool
class CalibratedValue:
    """How to round one value, and what that does to it.

    Attributes:
        low: Least that is kept apart, at most 0.
        high: Greatest, at least 0.
        mean: Of each channel (last axis) [width].
        rounded_mean: The same, once rounded.
        inputs: How the channels move together.
    """

    low: float
    high: float
    mean: _Float
    rounded_mean: _Float
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class Calibration:
    """What recordings said about the values that enter a graph's products.

    Attributes:
        values: By name.
        n_recordings: How many recordings were run.
    """

    values: dict[str, CalibratedValue]
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
    histograms, grams = _survey(session, values, recordings)
    ranges = {name: choose_range(seen, method) for name, seen in histograms.items()}
    # Once more, now that it is known what rounding will do.
    n_rows = dict.fromkeys(values, 0)
    sums: dict[str, Any] = dict.fromkeys(values, 0)
    for name, rows in _observe(session, values, recordings):
        back = round_trip(rows, *ranges[name])
        sums[name] += np.stack([rows, back]).sum(1, dtype=np.float64)
        n_rows[name] += len(rows)
    calibrated = {}
    for name in values:
        mean, rounded_mean = sums[name] / n_rows[name]
        inputs = observe_inputs(grams[name])
        calibrated[name] = CalibratedValue(*ranges[name], mean, rounded_mean, inputs)
    return Calibration(calibrated, len(recordings))


def _survey(
    session: ort.InferenceSession, values: Sequence[str], recordings: Sequence[Signal]
) -> tuple[dict[str, Histogram], dict[str, _Float]]:
    """Return each value's histogram, and the sum of its rows' outer products."""
    low = dict.fromkeys(values, np.inf)
    high = dict.fromkeys(values, -np.inf)
    for name, rows in _observe(session, values, recordings):
        low[name] = min(low[name], float(rows.min()))
        high[name] = max(high[name], float(rows.max()))
    # In a second pass, so that histograms are exact and the order does not matter.
    counts: dict[str, Any] = dict.fromkeys(values, 0)
    grams: dict[str, Any] = dict.fromkeys(values, 0)
    for name, rows in _observe(session, values, recordings):
        counts[name] += np.histogram(rows, N_BINS, (low[name], high[name]))[0]
        grams[name] += (rows.T @ rows).astype(np.float64)
    found = {name: Histogram(low[name], high[name], counts[name]) for name in values}
    return found, grams


def center_logits(
    fp32: onnx.ModelProto, rounded: onnx.ModelProto, recordings: Sequence[Signal]
) -> onnx.ModelProto:
    """Return `rounded` with the mean logits of `fp32` over the recordings.

    Each product's bias makes good what its own rounding does to its mean; what the
    layers do to each other's is left for here.
    """
    means = [
        np.concatenate(
            [rows for _, rows in _observe(session, ["logits"], recordings)]
        ).mean(0, dtype=np.float64)
        for session in (_observing_session(m, ["logits"]) for m in (fp32, rounded))
    ]
    centered = onnx.ModelProto()
    centered.CopyFrom(rounded)
    for tensor in centered.graph.initializer:
        if tensor.name == "logits.bias":
            bias = numpy_helper.to_array(tensor) + (means[0] - means[1])
            tensor.CopyFrom(
                numpy_helper.from_array(bias.astype(np.float32), tensor.name)
            )
    return centered


def choose_range(seen: Histogram, method: RangeMethod) -> tuple[float, float]:
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


def round_trip(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Return what is left of values after u8 and back."""
    scale, zero = affine(low, high)
    levels = np.clip(np.rint(values / scale) + zero, 0, 255)
    back: NDArray[Any] = (levels - zero) * scale
    return back


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
    session: ort.InferenceSession, values: Sequence[str], recordings: Sequence[Signal]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each value's rows [N, channels], recording by recording."""
    for signal in recordings:
        outputs = session.run(list(values), {"samples": signal[None]})
        for name, output in zip(values, outputs, strict=True):
            yield name, output.reshape(-1, output.shape[-1])
