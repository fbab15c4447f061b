"""A quantizer: an fp32 graph with the calibration of all possible targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from espressivo.training.export.quantize.calibration import (
    ActivationCalibration,
    center_logits,
    collect_activations,
    observe_ranges,
)
from espressivo.training.export.quantize.int8 import quantize_matmuls
from espressivo.training.export.quantize.ranges import affine_parameters
from espressivo.training.export.quantize.targets import values_to_calibrate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from espressivo.training.export.quantize.targets import QuantizationTarget
    from espressivo.types import Signal


@dataclass(frozen=True, slots=True)
class Quantizer:
    """A quantizer of any of the targets that it was calibrated for.

    Attributes:
        fp32: The exact graph.
        recordings: Windows that calibrated it.
        calibration: Statistics of the inputs of matmuls.
        ranges: Ranges of the inputs and outputs of other operators.
    """

    fp32: onnx.ModelProto
    recordings: Sequence[Signal]
    calibration: ActivationCalibration
    ranges: dict[str, tuple[float, float]]

    def quantize(self, targets: Iterable[QuantizationTarget]) -> onnx.ModelProto:
        """Return a copy of the graph with these targets in int8."""
        chosen = list(targets)
        matmuls = [target.matmul for target in chosen if target.matmul is not None]
        quantized = quantize_matmuls(self.fp32, self.calibration, matmuls)
        ranges = {v: self.ranges[v] for target in chosen for v in target.values}
        return add_activation_qdq(quantized, ranges) if ranges else quantized

    def quantize_and_center(
        self,
        targets: Iterable[QuantizationTarget],
        recordings: Sequence[Signal] | None = None,
    ) -> onnx.ModelProto:
        """Return the same with the mean logits of the exact graph restored.

        Args:
            targets: Targets to quantize.
            recordings: Recordings for the means; None selects all calibration
                recordings.
        """
        averaged = self.recordings if recordings is None else recordings
        return center_logits(self.fp32, self.quantize(targets), averaged)


def calibrate_quantizer(
    fp32: onnx.ModelProto,
    targets: Iterable[QuantizationTarget],
    recordings: Sequence[Signal],
) -> Quantizer:
    """Calibrate everything that any of these targets needs.

    Raises:
        ExportError: There are no recordings, or none has any sound.
    """
    every = list(targets)
    values = values_to_calibrate(t.matmul for t in every if t.matmul is not None)
    calibration = collect_activations(fp32, values, recordings)
    others = list(dict.fromkeys(v for target in every for v in target.values))
    ranges = observe_ranges(fp32, others, recordings) if others else {}
    return Quantizer(fp32, recordings, calibration, ranges)


def add_activation_qdq(
    model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]]
) -> onnx.ModelProto:
    """Return a copy in which these values pass QuantizeLinear and DequantizeLinear.

    Operators without integer kernels then read a quarter of the bytes.
    A value whose readers all quantize it already gets nothing added.

    Args:
        model: In fp32, or with matmuls in int8.
        ranges: Value -> its range, see `choose_range`.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    read = {
        value
        for node in graph.node
        if node.op_type != "QuantizeLinear"
        for value in node.input
    }
    wanted = ranges.keys() & read
    nodes: list[onnx.NodeProto] = []
    for node in list(graph.node):
        if node.op_type != "QuantizeLinear":
            names = [f"{v}.carried" if v in wanted else v for v in node.input]
            node.input[:] = names
        nodes.append(node)
        for value in wanted.intersection(node.output):
            nodes += _qdq_pair(graph, value, *ranges[value])
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(changed, full_check=True)
    return changed


def _qdq_pair(
    graph: onnx.GraphProto, value: str, low: float, high: float
) -> list[onnx.NodeProto]:
    scale, zero = affine_parameters(low, high)
    parameters = []
    for name, number in ((f"{value}.step", scale), (f"{value}.zero", zero)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(number), name))
        parameters.append(name)
    levels, back = f"{value}.levels8", f"{value}.carried"
    return [
        helper.make_node("QuantizeLinear", [value, *parameters], [levels], levels),
        helper.make_node("DequantizeLinear", [levels, *parameters], [back], back),
    ]
