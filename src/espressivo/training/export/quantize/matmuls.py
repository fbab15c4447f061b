"""Which operators of a graph multiply: what 8 bits are for."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ExportError
from espressivo.training.export.graph.logmel import FRONT_END

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

_LEAST_WEIGHTS = 16_384  # below, a product is too small to be worth rounding


@dataclass(frozen=True, slots=True)
class Product:
    """A product of activations and weights, or of two activations.

    Attributes:
        name: Its layer: `blocks.0.up`.
        node: Name of the node.
        operator: `MatMul`, or `Conv` over [B, channels, T].
        value: Name of what enters.
        weight: Name of its weights, [in, out] or [out, in, size]; None where two
            activations are multiplied.
        second: Name of the other activation, else None.
        output: Name of what leaves.
    """

    name: str
    node: str
    operator: str
    value: str
    weight: str | None
    second: str | None
    output: str


def products_of(model: onnx.ModelProto, keep: Sequence[str] = ()) -> list[Product]:
    """List the products with weights, in the order they are computed.

    The log-mel front end is never among them: its values span sixteen decades.

    Args:
        model: In fp32.
        keep: Patterns of layers that stay fp32: `blocks.3.*`.

    Raises:
        ExportError: A pattern of `keep` names no layer.
    """
    sizes = {w.name: int(np.prod(w.dims)) for w in model.graph.initializer}
    found = [
        _product(node, weight=True)
        for node in model.graph.node
        if node.op_type in {"MatMul", "Conv"}
        and sizes.get(node.input[1], 0) >= _LEAST_WEIGHTS
    ]
    found = [product for product in found if product.name not in FRONT_END]
    for pattern in keep:
        if not any(fnmatchcase(product.name, pattern) for product in found):
            names = ", ".join(product.name for product in found)
            raise ExportError(f"no product is called '{pattern}'; there are: {names}")
    return [p for p in found if not any(fnmatchcase(p.name, k) for k in keep)]


def attention_products_of(model: onnx.ModelProto) -> list[Product]:
    """List attention's products of two activations, scores and mixtures."""
    return [
        _product(node, weight=False)
        for node in model.graph.node
        if node.op_type == "MatMul" and node.name.endswith((".scores", ".mixed"))
    ]


def values_of(products: Iterable[Product]) -> list[str]:
    """List the values that rounding these products needs ranges of, each once."""
    values: dict[str, None] = {}
    for product in products:
        values[product.value] = None
        if product.second is not None:
            values[product.second] = None
        if product.operator == "Conv":  # integer kernels give integers
            values[product.output] = None
    return list(values)


def _product(node: onnx.NodeProto, *, weight: bool) -> Product:
    return Product(
        name=node.name.removesuffix(".product"),
        node=node.name,
        operator=node.op_type,
        value=node.input[0],
        weight=node.input[1] if weight else None,
        second=None if weight else node.input[1],
        output=node.output[0],
    )
