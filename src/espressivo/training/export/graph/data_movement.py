"""Where a value comes from, through operators that only move numbers about.

Such operators do the same to 8 bits as to 32, four times as fast: what enters a product
is best rounded before it is padded, unfolded or transposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_ONE = {"Slice", "Reshape", "Transpose"}  # move their first input


def moved_inputs(node: onnx.NodeProto) -> list[str]:
    """Return the inputs whose numbers a node moves; none if it does anything else."""
    if node.op_type in _ONE or (node.op_type == "Pad" and len(node.input) == 2):
        return [node.input[0]]
    return list(node.input) if node.op_type == "Concat" else []


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Map each value to the node that makes it."""
    return {output: node for node in model.graph.node for output in node.output}


def source_of(made_by: dict[str, onnx.NodeProto], value: str) -> str:
    """Return the value whose numbers `value` holds, moved and padded with zeros.

    Args:
        made_by: From `producers`.
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
