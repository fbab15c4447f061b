"""Which layers are best left exact when the file may be somewhat larger."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from espressivo.errors import ExportError
from espressivo.training.export.rounding import products_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import onnx

_BYTES_SAVED = 3  # of 4, of every weight that is rounded


def spend(
    fp32: onnx.ModelProto,
    n_bytes: int,
    largest_bytes: int,
    sensitivity: Mapping[str, float],
    kept: Collection[str] = (),
) -> list[str]:
    """Name the layers to keep in fp32: where a byte takes off most of the change.

    The changes that layers make are about independent, so their squares add up.

    Args:
        fp32: The exact graph.
        n_bytes: Size of the graph with all layers but `kept` in int8.
        largest_bytes: Size that it may grow to.
        sensitivity: Layer -> mean change of a probability with it alone in int8.
        kept: Layers that are exact already.

    Raises:
        ExportError: It is too large as it is.
    """
    spare = largest_bytes - n_bytes
    if spare < 0:
        raise ExportError(
            f"the int8 graph has {n_bytes / 1e6:.2f} MB, more than the "
            f"{largest_bytes / 1e6:.2f} MB allowed; allow more, or train fewer blocks"
        )
    sizes = {w.name: math.prod(w.dims) for w in fp32.graph.initializer}
    cost = {
        product.name: _BYTES_SAVED * sizes[product.weight]
        for product in products_of(fp32)
        if product.name not in kept
    }
    chosen = []
    for name in sorted(cost, key=lambda name: -(sensitivity[name] ** 2) / cost[name]):
        if cost[name] <= spare:
            spare -= cost[name]
            chosen.append(name)
    return chosen
