"""Sources of values, through operators that only move data: Pad, Slice, Transpose...

Such operators work on 8 bits as on 32, four times as fast, so the input of a matmul is
quantized before it is padded, unfolded or transposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_ONE = {"Slice", "Reshape", "Transpose"}  # move their first input


def moved_inputs(node: onnx.NodeProto) -> list[str]:
    """Return the inputs that a node only moves; none if it computes anything."""
    if node.op_type in _ONE or (node.op_type == "Pad" and len(node.input) == 2):
        return [node.input[0]]
    return list(node.input) if node.op_type == "Concat" else []


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return the node that computes each value, by the name of the value."""
    return {output: node for node in model.graph.node for output in node.output}


def source_of(made_by: dict[str, onnx.NodeProto], value: str) -> str:
    """Return the value that `value` is a moved or zero-padded copy of.

    Args:
        made_by: Result of `producers`.
        value: Its name; its own source where it is computed, or joins several values.
    """
    node = made_by.get(value)
    sources = {source_of(made_by, i) for i in moved_inputs(node)} if node else set()
    return sources.pop() if len(sources) == 1 else value


def biases_behind(model: onnx.ModelProto) -> dict[str, str]:
    """Map values to the constants that are added to them, moved or not."""
    made_by, constants = producers(model), {t.name for t in model.graph.initializer}
    return {
        source_of(made_by, node.input[0]): node.input[1]
        for node in model.graph.node
        if node.op_type == "Add" and node.input[1] in constants
    }
