"""fp32 graph -> int8 graph: u8 activations and s8 weights where the products are.

Only what enters a product is rounded; what leaves it stays fp32, so the residual
stream, whose outlying channels would cost the others their resolution, never is.
onnxruntime turns each such product into one integer kernel. A convolution is the
exception: its integer kernel rounds what leaves it too.
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
    round_kernels,
    round_weights,
)
from espressivo.training.export.quantize.matmuls import (
    Product,
    products_of,
)
from espressivo.training.export.quantize.ranges import affine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.export.quantize.calibration import (
        CalibratedValue,
        Calibration,
    )


def quantize(
    model: onnx.ModelProto, calibration: Calibration, keep: Sequence[str] = ()
) -> onnx.ModelProto:
    """Return an int8 copy of the graph: QuantizeLinear and DequantizeLinear, static.

    Weights are symmetric, one scale an output channel, rounded by `round_weights`. What
    rounding changes in a product's mean over the recordings, the bias behind it undoes.
    Padding, unfolding and transposing happen in 8 bits.

    Args:
        model: In fp32, from `to_onnx`.
        calibration: Of its products.
        keep: Patterns of layers that stay fp32.
    """
    return quantize_products(model, calibration, products_of(model, keep))


def quantize_products(
    model: onnx.ModelProto, calibration: Calibration, products: Iterable[Product]
) -> onnx.ModelProto:
    """Return a copy of the graph with these products in int8, see `quantize`."""
    chosen = {product.node: product for product in products}
    rounding = _Rounding(model, calibration)
    for node in model.graph.node:
        if (product := chosen.get(node.name)) is None:
            rounding.add(node)
        else:
            rounding.add_rounded(node, product)
    return rounding.finish()


class _Rounding:
    """The nodes and initializers of a graph while its products are rounded."""

    def __init__(self, model: onnx.ModelProto, calibration: Calibration) -> None:
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
        self._rounded: set[str] = set()
        self._new_bias: dict[str, str] = {}
        self._bias_behind = biases_behind(model)

    def add(self, node: onnx.NodeProto) -> None:
        """Take a node as it is."""
        self._nodes.append(node)

    def add_rounded(self, node: onnx.NodeProto, product: Product) -> None:
        """Take a product's node with its inputs rounded."""
        value = self._activation(product.value, signed=False)
        if product.second is not None:
            # Integer kernels are fastest with signed numbers on the right.
            other = self._activation(product.second, signed=True)
        else:
            other = self._weight(product)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:2] = [value, other]
        if product.node in self._new_bias:
            copy.input.append(self._new_bias[product.node])
        if product.operator == "Conv":
            copy.name = copy.output[0] = f"{product.output}.wide"
        self._nodes.append(copy)
        if product.operator == "Conv":
            self._round_output(product)

    def finish(self) -> onnx.ModelProto:
        """Return the checked graph without what nothing uses any more."""
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
        """Round a value, once for all products it enters, and return its name."""
        source = source_of(self._made_by, value)
        parameters = self._parameters(source, self._seen(value), signed=signed)
        kind = "s8" if signed else "u8"
        result = f"{value}.rounded.{kind}"
        if self._is_new(result):
            levels = self._levels(value, source, parameters, kind)
            self._op("DequantizeLinear", [levels, *parameters], result)
        return result

    def _levels(self, value: str, source: str, parameters: list[str], kind: str) -> str:
        """Return the levels of a value: its source rounded, and moved the same way."""
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
        """Keep what a product gives from being rounded to s8 right behind it.

        onnxruntime would take both for one operator, find no kernel for it, and compute
        the product in fp32 on weights that it rounds back every time: 5 times as long.
        """
        node = self._made_by.get(value)
        if node is None or node.op_type != "MatMul" or node.input[1] not in self._width:
            return value
        nothing = np.zeros(self._width[node.input[1]], np.float32)
        zeros = self._put(f"{value}.nothing", nothing)
        return self._op("Add", [value, zeros], f"{value}.summed")

    def _round_output(self, product: Product) -> None:
        seen = self._seen(product.output)
        parameters = self._parameters(product.output, seen, signed=False)
        wide, levels = f"{product.output}.wide", f"{product.output}.levels"
        self._op("QuantizeLinear", [wide, *parameters], levels)
        self._op("DequantizeLinear", [levels, *parameters], product.output)

    def _weight(self, product: Product) -> str:
        """Store a product's weights as s8, and correct the bias behind it."""
        assert product.weight is not None
        exact = np.asarray(self._array(product.weight), np.float64)
        seen = self._seen(product.value)
        if product.operator == "Conv":
            axis = 0
            levels, scale = round_kernels(exact)
            given = self._seen(product.output)
            back = levels * scale.astype(np.float64).reshape(
                -1, *[1] * (exact.ndim - 1)
            )
            lost = _summed(exact, seen.mean) - _summed(back, seen.rounded_mean)
            self._keep_mean(product, lost + given.mean - given.rounded_mean)
        else:
            axis = 1
            assert seen.inputs is not None
            levels, scale = round_weights(exact, seen.inputs)
            back = levels * np.float64(scale)
            self._keep_mean(product, seen.mean @ exact - seen.rounded_mean @ back)
        del self._tensors[product.weight]
        result = f"{product.weight}.rounded"
        parameters = [
            self._put(f"{product.weight}.scale_s8", scale),
            self._put(f"{product.weight}.zero_s8", np.zeros(len(scale), np.int8)),
        ]
        stored = self._put(f"{product.weight}.s8", levels)
        return self._op("DequantizeLinear", [stored, *parameters], result, axis=axis)

    def _keep_mean(self, product: Product, lost: NDArray[np.float64]) -> None:
        """Add to the bias in or behind a product; an integer convolution's is free."""
        bias = self._bias_in.get(product.node) or self._bias_behind.get(product.output)
        if bias is not None:
            self._put(bias, (self._array(bias) + lost).astype(np.float32))
        elif product.operator == "Conv":
            name = f"{product.name}.kept_mean"
            self._new_bias[product.node] = self._put(name, lost.astype(np.float32))

    def _parameters(
        self, value: str, seen: CalibratedValue, *, signed: bool
    ) -> list[str]:
        """Store scale and zero point of a value's range and return their names."""
        scale: np.float32
        zero: np.uint8 | np.int8
        if signed:
            scale = np.float32(max(-seen.low, seen.high, 1e-8) / 127)
            zero = np.int8(0)
        else:
            scale, zero = affine(seen.low, seen.high)
        kind = "s8" if signed else "u8"
        return [
            self._put(f"{value}.scale_{kind}", np.asarray(scale)),
            self._put(f"{value}.zero_{kind}", np.asarray(zero)),
        ]

    def _seen(self, value: str) -> CalibratedValue:
        found = self._calibration.values.get(value)
        if found is None:
            raise ExportError(
                f"calibration: has no range of '{value}'; "
                "calibrate with the products that are to be rounded"
            )
        return found

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        self._nodes.append(
            helper.make_node(kind, inputs, [output], output, **attributes)
        )
        return output

    def _is_new(self, name: str) -> bool:
        if name in self._rounded:
            return False
        self._rounded.add(name)
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
    """Return what a kernel [out, in of a group, ...] makes of channels' means [out]."""
    n_out, n_in = kernel.shape[:2]
    groups = kernel.reshape(len(mean) // n_in, -1, n_in, math.prod(kernel.shape[2:]))
    sums: NDArray[np.float64] = np.einsum("goit,gi->go", groups, mean.reshape(-1, n_in))
    return sums.reshape(n_out)
