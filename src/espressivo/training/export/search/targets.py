"""What of a graph could be carried in 8 bits, and what may be left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias

from espressivo.errors import ExportError
from espressivo.training.export.quantize.matmuls import (
    attention_products_of,
    products_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from espressivo.training.export.quantize.matmuls import Product

SiteKind: TypeAlias = Literal["weights", "attention", "operator"]

# Whether what they read is carried in 8 bits too, besides what they write: the sum that
# a normalization reads goes on to the next block.
_OPERATORS = {"Gelu": True, "LayerNormalization": False, "Softmax": True}
_BYTES_SAVED = 3  # of 4, of every weight that is rounded


@dataclass(frozen=True, slots=True)
class Site:
    """One thing that is rounded or left as it is.

    Attributes:
        name: Its layer: `blocks.0.up`; or a kind of operator: `Softmax`.
        kind: A product with weights, a product of two activations in attention, or all
            operators of a kind, which compute in fp32 on what comes to them in 8 bits.
        product: That is computed in integers; None for a kind of operator.
        values: That such operators read and write, else none.
        bytes_saved: By rounding its weights.
    """

    name: str
    kind: SiteKind
    product: Product | None = None
    values: tuple[str, ...] = ()
    bytes_saved: int = 0


def sites_of(model: onnx.ModelProto) -> list[Site]:
    """List all sites of an fp32 graph: products in their order, then operators."""
    sizes = {w.name: math.prod(w.dims) for w in model.graph.initializer}
    weighted = [
        Site(p.name, "weights", p, (), _BYTES_SAVED * sizes[p.weight or ""])
        for p in products_of(model)
    ]
    attention = [Site(p.name, "attention", p) for p in attention_products_of(model)]
    return [*weighted, *attention, *_operators(model)]


def _operators(model: onnx.ModelProto) -> list[Site]:
    """List what computes in fp32 between the products."""
    values: dict[str, dict[str, None]] = {kind: {} for kind in _OPERATORS}
    computed = {output for node in model.graph.node for output in node.output}
    computed -= {output.name for output in model.graph.output}
    for node in model.graph.node:
        # The softmax that gives the answer stays as it is.
        if node.op_type in _OPERATORS and node.output[0] in computed:
            read = node.input[0] if _OPERATORS[node.op_type] else ""
            around = [v for v in (read, node.output[0]) if v in computed]
            values[node.op_type] |= dict.fromkeys(around)
    return [
        Site(kind, "operator", values=tuple(found))
        for kind, found in values.items()
        if found
    ]


def without(sites: Iterable[Site], keep: Sequence[str]) -> list[Site]:
    """Return the sites that no pattern names.

    Args:
        sites: All there are.
        keep: Patterns of names: `blocks.3.*`.

    Raises:
        ExportError: A pattern names none.
    """
    every = list(sites)
    for pattern in keep:
        if not any(fnmatchcase(site.name, pattern) for site in every):
            names = ", ".join(site.name for site in every)
            raise ExportError(f"no product is called '{pattern}'; there are: {names}")
    return [s for s in every if not any(fnmatchcase(s.name, k) for k in keep)]
