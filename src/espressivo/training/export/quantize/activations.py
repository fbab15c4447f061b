"""Values that operators without integer kernels read and write, carried in 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from espressivo.training.export.quantize.ranges import affine

if TYPE_CHECKING:
    from collections.abc import Mapping


def carry(
    model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]]
) -> onnx.ModelProto:
    """Return a copy of the graph in which whoever reads a value gets it from 8 bits.

    Who rounds a value anyway goes on doing so; where all do, nothing is added.

    Args:
        model: In fp32, or with products rounded.
        ranges: Value -> its range, see `choose_range`.
    """
    carried = onnx.ModelProto()
    carried.CopyFrom(model)
    graph = carried.graph
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
            nodes += _round_trip(graph, value, *ranges[value])
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(carried, full_check=True)
    return carried


def _round_trip(
    graph: onnx.GraphProto, value: str, low: float, high: float
) -> list[onnx.NodeProto]:
    scale, zero = affine(low, high)
    parameters = []
    for name, number in ((f"{value}.step", scale), (f"{value}.zero", zero)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(number), name))
        parameters.append(name)
    levels, carried = f"{value}.levels8", f"{value}.carried"
    return [
        helper.make_node("QuantizeLinear", [value, *parameters], [levels], levels),
        helper.make_node("DequantizeLinear", [levels, *parameters], [carried], carried),
    ]
