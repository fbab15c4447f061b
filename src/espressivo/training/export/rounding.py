"""fp32 graph -> int8 graph: u8 activations and s8 weights where the products are.

Only what enters a product with weights is rounded; what leaves it stays fp32, so the
residual stream, whose outlying channels would cost the others their resolution, never
is. onnxruntime turns each such product into one integer kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from espressivo.errors import ExportError
from espressivo.training.export.calibration import affine
from espressivo.training.export.frontend import FRONT_END
from espressivo.training.export.gptq import round_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.export.calibration import Calibration

_LEAST_WEIGHTS = 16_384  # below, a product is too small to be worth rounding


@dataclass(frozen=True, slots=True)
class Product:
    """A product of activations and weights.

    Attributes:
        name: Its layer: `blocks.0.up`.
        node: Name of the node.
        value: Name of what enters.
        weight: Name of its weights [in, out].
    """

    name: str
    node: str
    value: str
    weight: str


def products_of(model: onnx.ModelProto, keep: Sequence[str] = ()) -> list[Product]:
    """List the products that `quantize` rounds, in the order they are computed.

    The log-mel front end is never among them: its values span sixteen decades.

    Args:
        model: In fp32.
        keep: Patterns of layers that stay fp32: `blocks.3.*`.

    Raises:
        ExportError: A pattern of `keep` names no layer.
    """
    sizes = {w.name: int(np.prod(w.dims)) for w in model.graph.initializer}
    found = [
        Product(node.name.removesuffix(".product"), node.name, *node.input)
        for node in model.graph.node
        if node.op_type == "MatMul" and sizes.get(node.input[1], 0) >= _LEAST_WEIGHTS
    ]
    found = [product for product in found if product.name not in FRONT_END]
    for pattern in keep:
        if not any(fnmatchcase(product.name, pattern) for product in found):
            names = ", ".join(product.name for product in found)
            raise ExportError(f"no product is called '{pattern}'; there are: {names}")
    return [p for p in found if not any(fnmatchcase(p.name, k) for k in keep)]


def quantize(
    model: onnx.ModelProto, calibration: Calibration, keep: Sequence[str] = ()
) -> onnx.ModelProto:
    """Return an int8 copy of the graph: QuantizeLinear and DequantizeLinear, static.

    Weights are symmetric, one scale an output channel, rounded by `round_weights`. What
    rounding changes in a product's mean over the recordings, the bias behind it undoes.

    Args:
        model: In fp32, from `to_onnx`.
        calibration: Of the values that enter its products.
        keep: Patterns of layers that stay fp32.
    """
    return quantize_products(model, calibration, products_of(model, keep))


def quantize_products(
    model: onnx.ModelProto, calibration: Calibration, products: Iterable[Product]
) -> onnx.ModelProto:
    """Return a copy of the graph with these products in int8, see `quantize`."""
    chosen = {product.node: product for product in products}
    rounding = _Rounding(model, calibration)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if (product := chosen.get(node.name)) is None:
            nodes.append(node)
            continue
        if product.value not in calibration.values:
            raise ExportError(
                f"calibration: has no range of '{product.value}'; "
                "calibrate with the values of products_of(model)"
            )
        value, more = rounding.activation(product.value)
        nodes += more
        weight, more = rounding.weight(product)
        nodes += more
        nodes.append(
            helper.make_node("MatMul", [value, weight], node.output, node.name)
        )
    return rounding.finish(nodes)


class _Rounding:
    """The initializers of a graph while its products are rounded."""

    def __init__(self, model: onnx.ModelProto, calibration: Calibration) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._calibration = calibration
        self._tensors = {t.name: t for t in model.graph.initializer}
        self._rounded: set[str] = set()
        self._bias_after = {
            node.input[0]: node.input[1]
            for node in model.graph.node
            if node.op_type == "Add" and node.input[1] in self._tensors
        }

    def activation(self, value: str) -> tuple[str, list[onnx.NodeProto]]:
        """Round a value, once for all products it enters."""
        result = f"{value}.rounded"
        if value in self._rounded:
            return result, []
        self._rounded.add(value)
        seen = self._calibration.values[value]
        scale, zero = affine(seen.low, seen.high)
        parameters = [
            self._put(f"{value}.scale_u8", np.asarray(scale)),
            self._put(f"{value}.zero_u8", np.asarray(zero)),
        ]
        return result, _round_trip(value, f"{value}.u8", result, parameters)

    def weight(self, product: Product) -> tuple[str, list[onnx.NodeProto]]:
        """Store a product's weights as s8, and correct the bias behind it."""
        exact = np.asarray(self._array(product.weight), np.float64)  # [in, out]
        seen = self._calibration.values[product.value]
        levels, scale = round_weights(exact, seen.inputs)
        self._keep_mean(
            product,
            seen.mean @ exact - seen.rounded_mean @ (levels * np.float64(scale)),
        )
        del self._tensors[product.weight]
        stored, result = f"{product.weight}.s8", f"{product.weight}.rounded"
        parameters = [
            self._put(f"{product.weight}.scale_s8", scale),
            self._put(f"{product.weight}.zero_s8", np.zeros(len(scale), np.int8)),
        ]
        node = helper.make_node(
            "DequantizeLinear",
            [self._put(stored, levels), *parameters],
            [result],
            result,
            axis=1,
        )
        return result, [node]

    def finish(self, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
        """Return the checked graph."""
        graph = self._model.graph
        del graph.node[:]
        graph.node.extend(nodes)
        del graph.initializer[:]
        graph.initializer.extend(self._tensors.values())
        onnx.checker.check_model(self._model, full_check=True)
        return self._model

    def _keep_mean(self, product: Product, lost: NDArray[np.float64]) -> None:
        bias = self._bias_after.get(product.node)
        if bias is not None:
            self._put(bias, (self._array(bias) + lost).astype(np.float32))

    def _array(self, name: str) -> NDArray[np.float32]:
        values: NDArray[np.float32] = numpy_helper.to_array(self._tensors[name])
        return values

    def _put(self, name: str, values: NDArray[np.generic]) -> str:
        self._tensors[name] = numpy_helper.from_array(values, name)
        return name


def _round_trip(
    value: str, levels: str, result: str, parameters: list[str]
) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [value, *parameters], [levels], levels),
        helper.make_node("DequantizeLinear", [levels, *parameters], [result], result),
    ]
