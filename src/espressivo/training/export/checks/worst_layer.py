"""Which layer of a reduced graph is most to blame for what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from espressivo.training.export.checks import parity
from espressivo.training.export.quantize.int4 import quantize_four_bits
from espressivo.training.export.quantize.int8 import quantize_products
from espressivo.training.export.quantize.matmuls import products_of
from espressivo.training.export.session import open_proto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.training.export.quantize.calibration import Calibration
    from espressivo.types import Signal


def worst_product(
    fp32: onnx.ModelProto,
    calibration: Calibration,
    recordings: Sequence[Signal],
    bits: int,
) -> str:
    """Name the product that changes probabilities most when it alone is rounded."""
    wanted = parity.probabilities(fp32, recordings)
    products = products_of(fp32)

    def change(name: str) -> float:
        alone = (
            quantize_products(
                fp32, calibration, [p for p in products if p.name == name]
            )
            if bits == 8
            else quantize_four_bits(
                fp32, calibration, [p.name for p in products if p.name != name]
            )
        )
        found = parity.probabilities(alone, recordings)
        return parity.agreement_of(wanted, found).mean

    changes = {product.name: change(product.name) for product in products}
    worst = max(changes, key=lambda name: changes[name])
    return f"most by {worst} ({changes[worst]:.3f} alone)"


def worst_state(fp32: onnx.ModelProto, other: onnx.ModelProto, signal: Signal) -> str:
    """Name the hidden state that is furthest from the exact graph's."""
    written = [output for node in other.graph.node for output in node.output]
    names = [n for n in written if n.startswith("hidden.") and n.count(".") == 1]
    if not names:
        return "the graph names no states that could be compared"
    states = [_states(model, names, signal) for model in (fp32, other)]
    drift = {
        name: float(np.abs(found - exact).max() / np.abs(exact).max())
        for name, exact, found in zip(names, *states, strict=True)
    }
    worst = max(drift, key=lambda name: drift[name])
    return f"most of all states by {worst} ({drift[worst]:.2g} of its peak)"


def _states(
    model: onnx.ModelProto, names: Sequence[str], signal: Signal
) -> list[NDArray[np.float32]]:
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = [f"{name}.watched" for name in names]
    watched.graph.node.extend(
        helper.make_node("Cast", [name], [output], to=TensorProto.FLOAT)
        for name, output in zip(names, outputs, strict=True)
    )
    found: list[NDArray[np.float32]] = open_proto(watched, outputs).run(
        outputs, {"samples": signal[None]}
    )
    return found
