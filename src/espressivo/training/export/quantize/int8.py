"""Static QDQ quantization of a graph: u8 activations and s8 weights in matmuls.

Only the inputs of a matmul are quantized. Its output stays fp32, and so does the
residual stream, whose outlying channels would cost the others their resolution.
onnxruntime turns each such matmul into one integer kernel. A convolution is the
exception: its integer kernel quantizes its output too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from espressivo.errors import ExportError
from espressivo.training.export.graph.data_movement import (
    biases_behind,
    moved_inputs,
    producers,
    source_of,
)
from espressivo.training.export.quantize.gptq import (
    quantize_kernels,
    quantize_weights,
)
from espressivo.training.export.quantize.ranges import affine_parameters
from espressivo.training.export.quantize.targets import MatMul, find_matmuls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.export.quantize.calibration import (
        ActivationCalibration,
        CalibratedActivation,
    )


def quantize(
    model: onnx.ModelProto,
    calibration: ActivationCalibration,
    keep: Sequence[str] = (),
) -> onnx.ModelProto:
    """Return an int8 copy of the graph: static QuantizeLinear and DequantizeLinear.

    Weights are symmetric, one scale per output channel, see `quantize_weights`. The
    bias behind a matmul corrects the mean error over the recordings. Padding, unfolding
    and transposing happen in 8 bits.

    Args:
        model: Graph in fp32 from `to_onnx`.
        calibration: Statistics of the inputs of its matmuls.
        keep: Patterns of layers that stay fp32.
    """
    return quantize_matmuls(model, calibration, find_matmuls(model, keep))


def quantize_matmuls(
    model: onnx.ModelProto,
    calibration: ActivationCalibration,
    matmuls: Iterable[MatMul],
) -> onnx.ModelProto:
    """Return a copy of the graph with these matmuls in int8, see `quantize`."""
    chosen = {matmul.node: matmul for matmul in matmuls}
    writer = _QdqWriter(model, calibration)
    for node in model.graph.node:
        if (matmul := chosen.get(node.name)) is None:
            writer.add(node)
        else:
            writer.add_quantized(node, matmul)
    return writer.finish()


class _QdqWriter:
    """The nodes and initializers of a graph while its matmuls are quantized."""

    def __init__(
        self, model: onnx.ModelProto, calibration: ActivationCalibration
    ) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._calibration = calibration
        self._tensors = {t.name: t for t in model.graph.initializer}
        self._width = {t.name: t.dims[-1] for t in model.graph.initializer if t.dims}
        self._made_by = producers(model)
        self._nodes: list[onnx.NodeProto] = []
        self._bias_in = {
            node.name: node.input[2]
            for node in model.graph.node
            if node.op_type == "Conv" and len(node.input) == 3
        }
        self._written: set[str] = set()
        self._new_bias: dict[str, str] = {}
        self._bias_behind = biases_behind(model)

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node unchanged."""
        self._nodes.append(node)

    def add_quantized(self, node: onnx.NodeProto, matmul: MatMul) -> None:
        """Add a matmul's node with its inputs quantized."""
        value = self._activation(matmul.value, signed=False)
        if matmul.second is not None:
            # Integer kernels are fastest with signed numbers on the right.
            other = self._activation(matmul.second, signed=True)
        else:
            other = self._weight(matmul)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:2] = [value, other]
        if matmul.node in self._new_bias:
            copy.input.append(self._new_bias[matmul.node])
        if matmul.operator == "Conv":
            # The original name goes to the value after QDQ, which the graph reads.
            copy.name = copy.output[0] = f"{matmul.output}.wide"
        self._nodes.append(copy)
        if matmul.operator == "Conv":
            self._quantize_output(matmul)

    def finish(self) -> onnx.ModelProto:
        """Return the checked graph without nodes and weights that nothing uses."""
        graph = self._model.graph
        wanted = {output.name for output in graph.output}
        kept = []
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        del graph.node[:]
        graph.node.extend(reversed(kept))
        del graph.initializer[:]
        graph.initializer.extend(t for n, t in self._tensors.items() if n in wanted)
        onnx.checker.check_model(self._model, full_check=True)
        return self._model

    def _activation(self, value: str, *, signed: bool) -> str:
        """Quantize a value once for all matmuls that read it; return its name."""
        source = source_of(self._made_by, value)
        parameters = self._parameters(source, self._seen(value), signed=signed)
        kind = "s8" if signed else "u8"
        result = f"{value}.rounded.{kind}"
        if self._is_new(result):
            levels = self._levels(value, source, parameters, kind)
            self._op("DequantizeLinear", [levels, *parameters], result)
        return result

    def _levels(self, value: str, source: str, parameters: list[str], kind: str) -> str:
        """Return a value's levels: its source quantized, then moved the same way."""
        levels = f"{value}.{kind}"
        if not self._is_new(levels):
            return levels
        if value == source:
            exact = self._behind_a_sum(value) if kind == "s8" else value
            return self._op("QuantizeLinear", [exact, *parameters], levels)
        node = onnx.NodeProto()
        node.CopyFrom(self._made_by[value])
        node.name = node.output[0] = levels
        for place, moved in enumerate(moved_inputs(self._made_by[value])):
            node.input[place] = self._levels(moved, source, parameters, kind)
        if node.op_type == "Pad":
            node.input.append(parameters[1])  # the level that stands for zero
        self._nodes.append(node)
        return levels

    def _behind_a_sum(self, value: str) -> str:
        """Put an Add of zeros between a matmul and its output's quantization to s8.

        onnxruntime would fuse the two into one operator, find no kernel for it, and
        compute the matmul in fp32 on weights that it dequantizes every time: 5 times as
        long.
        """
        node = self._made_by.get(value)
        if node is None or node.op_type != "MatMul" or node.input[1] not in self._width:
            return value
        nothing = np.zeros(self._width[node.input[1]], np.float32)
        zeros = self._put(f"{value}.nothing", nothing)
        return self._op("Add", [value, zeros], f"{value}.summed")

    def _quantize_output(self, matmul: MatMul) -> None:
        seen = self._seen(matmul.output)
        parameters = self._parameters(matmul.output, seen, signed=False)
        wide, levels = f"{matmul.output}.wide", f"{matmul.output}.levels"
        self._op("QuantizeLinear", [wide, *parameters], levels)
        self._op("DequantizeLinear", [levels, *parameters], matmul.output)

    def _weight(self, matmul: MatMul) -> str:
        """Store a matmul's weights as s8, and correct the bias behind it."""
        assert matmul.weight is not None
        exact = np.asarray(self._array(matmul.weight), np.float64)
        seen = self._seen(matmul.value)
        if matmul.operator == "Conv":
            axis = 0
            levels, scale = quantize_kernels(exact)
            given = self._seen(matmul.output)
            back = levels * scale.astype(np.float64).reshape(
                -1, *[1] * (exact.ndim - 1)
            )
            lost = _summed(exact, seen.mean) - _summed(back, seen.quantized_mean)
            # The output of a convolution is quantized too, and its mean with it.
            self._keep_mean(matmul, lost + given.mean - given.quantized_mean)
        else:
            axis = 1
            assert seen.inputs is not None
            levels, scale = quantize_weights(exact, seen.inputs)
            back = levels * np.float64(scale)
            self._keep_mean(matmul, seen.mean @ exact - seen.quantized_mean @ back)
        del self._tensors[matmul.weight]
        result = f"{matmul.weight}.rounded"
        parameters = [
            self._put(f"{matmul.weight}.scale_s8", scale),
            # One for all weights of a width, of which there are dozens.
            self._put(f"zeros_s8.{len(scale)}", np.zeros(len(scale), np.int8)),
        ]
        stored = self._put(f"{matmul.weight}.s8", levels)
        return self._op("DequantizeLinear", [stored, *parameters], result, axis=axis)

    def _keep_mean(self, matmul: MatMul, lost: NDArray[np.float64]) -> None:
        """Add the lost mean to the bias in or behind a matmul.

        A convolution without bias gets one, which an integer kernel adds for free.
        """
        bias = self._bias_in.get(matmul.node) or self._bias_behind.get(matmul.output)
        if bias is not None:
            self._put(bias, (self._array(bias) + lost).astype(np.float32))
        elif matmul.operator == "Conv":
            name = f"{matmul.name}.kept_mean"
            self._new_bias[matmul.node] = self._put(name, lost.astype(np.float32))

    def _parameters(
        self, value: str, seen: CalibratedActivation, *, signed: bool
    ) -> list[str]:
        """Store scale and zero point of a value's range and return their names."""
        scale: np.float32
        zero: np.uint8 | np.int8
        if signed:
            scale = np.float32(max(-seen.low, seen.high, 1e-8) / 127)
            zero = np.int8(0)
        else:
            scale, zero = affine_parameters(seen.low, seen.high)
        kind = "s8" if signed else "u8"
        return [
            self._put(f"{value}.scale_{kind}", np.asarray(scale)),
            self._put(f"{value}.zero_{kind}", np.asarray(zero)),
        ]

    def _seen(self, value: str) -> CalibratedActivation:
        found = self._calibration.values.get(value)
        if found is None:
            raise ExportError(
                f"calibration: has no range of '{value}'; "
                "calibrate with the matmuls that are to be quantized"
            )
        return found

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        self._nodes.append(
            helper.make_node(kind, inputs, [output], output, **attributes)
        )
        return output

    def _is_new(self, name: str) -> bool:
        if name in self._written:
            return False
        self._written.add(name)
        return True

    def _array(self, name: str) -> NDArray[np.float32]:
        values: NDArray[np.float32] = numpy_helper.to_array(self._tensors[name])
        return values

    def _put(self, name: str, values: NDArray[np.generic]) -> str:
        self._tensors[name] = numpy_helper.from_array(values, name)
        return name


def _summed(
    kernel: NDArray[np.float64], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean output [out] of a kernel [out, in of a group, ...]."""
    n_out, n_in = kernel.shape[:2]
    groups = kernel.reshape(len(mean) // n_in, -1, n_in, math.prod(kernel.shape[2:]))
    sums: NDArray[np.float64] = np.einsum("goit,gi->go", groups, mean.reshape(-1, n_in))
    return sums.reshape(n_out)
