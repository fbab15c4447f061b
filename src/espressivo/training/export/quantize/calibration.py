"""What values reach a graph's products on real recordings, and the ranges to keep.

onnxruntime's own calibrators keep histograms of equal shapes only; recordings differ
in length, and that they do is the point of calibrating with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper

from espressivo.training.export.quantize.gptq import (
    Inputs,
    observe_inputs,
)
from espressivo.training.export.quantize.matmuls import products_of
from espressivo.training.export.quantize.ranges import (
    N_BINS,
    Histogram,
    choose_range,
    round_trip,
)
from espressivo.training.export.recordings import require_windows
from espressivo.training.export.session import open_proto

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnxruntime as ort
    from numpy.typing import NDArray

    from espressivo.training.export.quantize.ranges import RangeMethod
    from espressivo.types import Signal

    _Float: TypeAlias = NDArray[np.float64]


_LARGEST = 2**20  # elements of a value that a recording gives


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one bool
class CalibratedValue:
    """How to round one value, and what that does to it.

    Attributes:
        low: Least that is kept apart, at most 0.
        high: Greatest, at least 0.
        mean: Of each channel [width]; empty where two activations are multiplied.
        rounded_mean: The same, once rounded.
        inputs: How the channels move together; None where no MatMul with weights sums
            over them.
    """

    low: float
    high: float
    mean: _Float
    rounded_mean: _Float
    inputs: Inputs | None


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
        values: Names of what is to be quantized.
        recordings: At 16 kHz, 0.5 to 8 s, of varied lengths.
        method: How a range is chosen, see `choose_range`.

    Raises:
        ExportError: There are no recordings, one is too short or too long, or none has
            any sound to speak of.
    """
    require_windows(recordings)
    axes = {name: a for name, a in _channel_axes(model).items() if name in values}
    session = open_proto(model, values)
    histograms, grams = _survey(session, values, axes, recordings)
    ranges = {name: choose_range(seen, method) for name, seen in histograms.items()}
    # Once more, now that it is known what rounding will do.
    n_rows = dict.fromkeys(axes, 0)
    sums: dict[str, Any] = dict.fromkeys(axes, 0)
    for name, rows in _observe(session, list(axes), recordings, axes):
        back = round_trip(rows, *ranges[name])
        sums[name] += np.stack([rows, back]).sum(1, dtype=np.float64)
        n_rows[name] += len(rows)
    nothing = np.zeros(0)
    calibrated = {}
    for name in values:
        if name not in sums:
            calibrated[name] = CalibratedValue(*ranges[name], nothing, nothing, None)
            continue
        mean, rounded_mean = sums[name] / n_rows[name]
        moving = observe_inputs(grams[name]) if name in grams else None
        calibrated[name] = CalibratedValue(*ranges[name], mean, rounded_mean, moving)
    return Calibration(calibrated, len(recordings))


def observe_ranges(
    model: onnx.ModelProto,
    values: Sequence[str],
    recordings: Sequence[Signal],
    method: RangeMethod = "mse",
) -> dict[str, tuple[float, float]]:
    """Return a range of each value, of any shape; nothing else is learned of it.

    Raises:
        ExportError: There are no recordings, one is too short or too long, or none has
            any sound to speak of.
    """
    require_windows(recordings)
    session = open_proto(model, values)
    bounds = _bounds(session, values, recordings)
    counts: dict[str, Any] = dict.fromkeys(values, 0)
    for name, rows in _observe(session, values, recordings):
        counts[name] += np.histogram(rows, N_BINS, bounds[name])[0]
    return {
        name: choose_range(Histogram(*bounds[name], counts[name]), method)
        for name in values
    }


def _survey(
    session: ort.InferenceSession,
    values: Sequence[str],
    axes: Mapping[str, int],
    recordings: Sequence[Signal],
) -> tuple[dict[str, Histogram], dict[str, _Float]]:
    """Return histograms, and of what enters MatMul the sum of rows' outer products."""
    bounds = _bounds(session, values, recordings)
    # In a second pass, so that histograms are exact and the order does not matter.
    counts: dict[str, Any] = dict.fromkeys(values, 0)
    grams: dict[str, Any] = {name: 0 for name, axis in axes.items() if axis == -1}
    for name, rows in _observe(session, values, recordings, axes):
        counts[name] += np.histogram(rows, N_BINS, bounds[name])[0]
        if name in grams:
            grams[name] += (rows.T @ rows).astype(np.float64)
    found = {name: Histogram(*bounds[name], counts[name]) for name in values}
    return found, grams


def _bounds(
    session: ort.InferenceSession, values: Sequence[str], recordings: Sequence[Signal]
) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest element of each value."""
    bounds = dict.fromkeys(values, (np.inf, -np.inf))
    for name, rows in _observe(session, values, recordings):
        low, high = bounds[name]
        bounds[name] = min(low, float(rows.min())), max(high, float(rows.max()))
    return bounds


def center_logits(
    fp32: onnx.ModelProto, rounded: onnx.ModelProto, recordings: Sequence[Signal]
) -> onnx.ModelProto:
    """Return `rounded` with the mean logits of `fp32` over the recordings.

    Each product's bias makes good what its own rounding does to its mean; what the
    layers do to each other's is left for here.
    """
    logits = ["logits"]
    means = [
        np.concatenate(
            [rows for _, rows in _observe(session, logits, recordings, {"logits": -1})]
        ).mean(0, dtype=np.float64)
        for session in (open_proto(m, logits) for m in (fp32, rounded))
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


def _channel_axes(model: onnx.ModelProto) -> dict[str, int]:
    """Return where the channels are of what products with weights take and give."""
    axes = {}
    for product in products_of(model):
        axes[product.value] = -1 if product.operator == "MatMul" else 1
        if product.operator == "Conv":
            axes[product.output] = 1
    return axes


def _observe(
    session: ort.InferenceSession,
    values: Sequence[str],
    recordings: Sequence[Signal],
    axes: Mapping[str, int] | None = None,
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each value, recording by recording, in even samples of what is very large.

    Those whose channels have a known axis come as rows [N, channels], others as they
    may, [N, 1].
    """
    if not values:
        return  # a session that is asked for nothing gives all
    axes = axes or {}
    for signal in recordings:
        outputs = session.run(list(values), {"samples": signal[None]})
        for name, output in zip(values, outputs, strict=True):
            step = -(-output.size // _LARGEST)
            if name not in axes:
                yield name, output.reshape(-1, 1)[::step]
                continue
            rows = np.moveaxis(output, axes[name], -1)
            rows = rows.reshape(-1, *rows.shape[2:])[::step]
            yield name, rows.reshape(-1, rows.shape[-1])
