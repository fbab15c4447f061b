"""Ranges, means and second moments of activations, observed on real recordings.

onnxruntime's own histogram calibrators refuse recordings of different lengths, and
windows do differ in length when a model is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper

from espressivo.training.export.quantize.gptq import (
    InputStatistics,
    input_statistics,
)
from espressivo.training.export.quantize.ranges import (
    N_BINS,
    Histogram,
    choose_range,
    fake_quantize,
)
from espressivo.training.export.quantize.targets import find_matmuls
from espressivo.training.export.recordings import require_windows
from espressivo.training.export.session import open_proto

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnxruntime as ort
    from numpy.typing import NDArray

    from espressivo.types import Signal

    _Float: TypeAlias = NDArray[np.float64]


_LARGEST = 2**20  # elements of a value that one recording contributes


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one bool
class CalibratedActivation:
    """The range of one activation, and what quantization does to its mean.

    Attributes:
        low: Lower end of the range, at most 0.
        high: Upper end, at least 0.
        mean: Mean of each channel [width]; empty where two activations are multiplied.
        quantized_mean: The same after quantization.
        inputs: Second moments of the channels, for GPTQ; None if no MatMul with weights
            reads this activation.
    """

    low: float
    high: float
    mean: _Float
    quantized_mean: _Float
    inputs: InputStatistics | None


@dataclass(frozen=True, slots=True)
class ActivationCalibration:
    """Statistics of the activations that enter a graph's matmuls.

    Attributes:
        values: Name of a value -> its statistics.
        n_recordings: Number of recordings that were run.
    """

    values: dict[str, CalibratedActivation]
    n_recordings: int


def collect_activations(
    model: onnx.ModelProto,
    values: Sequence[str],
    recordings: Sequence[Signal],
) -> ActivationCalibration:
    """Run recordings through a graph and choose a range for each of `values`.

    Args:
        model: Graph in fp32.
        values: Names of the activations to be quantized.
        recordings: Signals at 16 kHz, 0.5 to 8 s, of varied lengths.

    Raises:
        ExportError: There are no recordings, one is too short or too long, or none has
            any sound to speak of.
    """
    require_windows(recordings)
    axes = {name: a for name, a in _channel_axes(model).items() if name in values}
    session = open_proto(model, values)
    histograms, grams = _survey(session, values, axes, recordings)
    ranges = {name: choose_range(seen) for name, seen in histograms.items()}
    # A third pass: means after quantization can be taken once the ranges are known.
    n_rows = dict.fromkeys(axes, 0)
    sums: dict[str, Any] = dict.fromkeys(axes, 0)
    for name, rows in _observe(session, list(axes), recordings, axes):
        back = fake_quantize(rows, *ranges[name])
        # Summed in float64: the biases correct small differences of these means.
        sums[name] += np.stack([rows, back]).sum(1, dtype=np.float64)
        n_rows[name] += len(rows)
    nothing = np.zeros(0)
    calibrated = {}
    for name in values:
        if name not in sums:
            calibrated[name] = CalibratedActivation(
                *ranges[name], nothing, nothing, None
            )
            continue
        mean, quantized_mean = sums[name] / n_rows[name]
        inputs = input_statistics(grams[name]) if name in grams else None
        calibrated[name] = CalibratedActivation(
            *ranges[name], mean, quantized_mean, inputs
        )
    return ActivationCalibration(calibrated, len(recordings))


def observe_ranges(
    model: onnx.ModelProto,
    values: Sequence[str],
    recordings: Sequence[Signal],
) -> dict[str, tuple[float, float]]:
    """Return the range of each value, of any shape, without means and moments.

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
        name: choose_range(Histogram(*bounds[name], counts[name])) for name in values
    }


def _survey(
    session: ort.InferenceSession,
    values: Sequence[str],
    axes: Mapping[str, int],
    recordings: Sequence[Signal],
) -> tuple[dict[str, Histogram], dict[str, _Float]]:
    """Return histograms, and Gram matrices of the inputs of MatMul."""
    bounds = _bounds(session, values, recordings)
    # In a second pass, so that histograms are exact and the order does not matter.
    counts: dict[str, Any] = dict.fromkeys(values, 0)
    grams: dict[str, Any] = {name: 0 for name, axis in axes.items() if axis == -1}
    for name, rows in _observe(session, values, recordings, axes):
        counts[name] += np.histogram(rows, N_BINS, bounds[name])[0]
        if name in grams:
            # Added in float64, in which a sum over all recordings loses no digits.
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
    fp32: onnx.ModelProto, quantized: onnx.ModelProto, recordings: Sequence[Signal]
) -> onnx.ModelProto:
    """Return `quantized` with the mean logits of `fp32` over the recordings.

    The bias of each matmul corrects the mean error of that matmul alone. The joint
    error of several layers is corrected here, in the bias of the logits.
    """
    logits = ["logits"]
    means = [
        np.concatenate(
            [rows for _, rows in _observe(session, logits, recordings, {"logits": -1})]
        ).mean(0, dtype=np.float64)
        for session in (open_proto(m, logits) for m in (fp32, quantized))
    ]
    centered = onnx.ModelProto()
    centered.CopyFrom(quantized)
    for tensor in centered.graph.initializer:
        if tensor.name == "logits.bias":
            bias = numpy_helper.to_array(tensor) + (means[0] - means[1])
            tensor.CopyFrom(
                numpy_helper.from_array(bias.astype(np.float32), tensor.name)
            )
    return centered


def _channel_axes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the channel axis of inputs of matmuls, and of outputs of convolutions."""
    axes = {}
    for matmul in find_matmuls(model):
        axes[matmul.value] = -1 if matmul.operator == "MatMul" else 1
        if matmul.operator == "Conv":
            axes[matmul.output] = 1
    return axes


def _observe(
    session: ort.InferenceSession,
    values: Sequence[str],
    recordings: Sequence[Signal],
    axes: Mapping[str, int] | None = None,
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each value, recording by recording; very large ones are subsampled evenly.

    Values with a known channel axis come as rows [N, channels], others as [N, 1].
    """
    if not values:
        return  # a session that is asked for no outputs returns all of them
    axes = axes or {}
    for signal in recordings:
        outputs = session.run(list(values), {"samples": signal[None]})
        for name, output in zip(values, outputs, strict=True):
            # Every n-th row, not a random one: the same run gives the same bytes.
            step = -(-output.size // _LARGEST)
            if name not in axes:
                yield name, output.reshape(-1, 1)[::step]
                continue
            rows = np.moveaxis(output, axes[name], -1)
            rows = rows.reshape(-1, *rows.shape[2:])[::step]
            yield name, rows.reshape(-1, rows.shape[-1])
