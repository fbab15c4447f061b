"""Reader of ONNX files without the package `onnx`: nodes and shapes of weights.

onnxruntime saves its optimized graph as an ONNX file, of which a few protobuf fields
are needed. The runtime therefore does not depend on onnx and protobuf.

Source: https://protobuf.dev/programming-guides/encoding and onnx.proto3.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    Field: TypeAlias = int | memoryview

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a graph.

    Attributes:
        name: Name of the node; may be empty.
        operator: Operator type, such as `MatMul`.
        inputs: Names of the input values.
        outputs: Names of the output values.
        attributes: Integer attributes by name; other attributes are left out.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def read_graph(model: bytes) -> tuple[list[Node], dict[str, tuple[int, ...]]]:
    """Return a model's nodes in order, and the shape of each of its weights.

    Nodes in branches of `If` and in bodies of loops are left out.
    """
    # Numbers of GraphProto: 1 node, 5 initializer.
    fields = _graph(model)
    nodes = [_node(_view(node)) for node in fields[1]]
    shapes = dict(_shape(_view(tensor)) for tensor in fields[5])
    return nodes, shapes


def weight_files(model: bytes) -> set[str]:
    """Return the names of files beside a model with its external weights."""
    entries = [
        _fields(_view(entry))
        for tensor in _graph(model)[5]
        for entry in _fields(_view(tensor))[13]  # external_data: keys and values
    ]
    return {_text(e[2]) for e in entries if _text(e[1]) == "location"}


def _graph(model: bytes) -> dict[int, list[Field]]:
    graph = _fields(memoryview(model))[7]  # ModelProto.graph
    return _fields(_view(graph[0]))


def _node(message: memoryview) -> Node:
    fields = _fields(message)
    return Node(
        # Numbers of NodeProto: 1 input, 2 output, 3 name, 4 op_type, 5 attribute.
        name=_text(fields[3]),
        operator=_text(fields[4]),
        inputs=tuple(_text([value]) for value in fields[1]),
        outputs=tuple(_text([value]) for value in fields[2]),
        attributes=dict(_attribute(_view(value)) for value in fields[5]),
    )


def _attribute(message: memoryview) -> tuple[str, tuple[int, ...]]:
    # Numbers of AttributeProto: 1 name, 3 i, 8 ints; of TensorProto: 1 dims, 8 name.
    fields = _fields(message)
    return _text(fields[1]), _whole_numbers([*fields[3], *fields[8]])


def _shape(tensor: memoryview) -> tuple[str, tuple[int, ...]]:
    fields = _fields(tensor)
    return _text(fields[8]), _whole_numbers(fields[1])


def _fields(message: memoryview) -> dict[int, list[Field]]:
    """Return the values of a message by field number; a missing field gives []."""
    found: dict[int, list[Field]] = defaultdict(list)
    for number, value in _walk(message):
        found[number].append(value)
    return found


def _walk(message: memoryview) -> Iterator[tuple[int, Field]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        # A key is the field's number and, in its three lowest bits, the wire type.
        kind = key & 7
        value: Field
        if kind == _VARINT:
            value, at = _varint(message, at)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if size is None:
                size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        yield key >> 3, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        # Seven bits a byte, the lowest first; the highest bit says that more follow.
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _whole_numbers(values: list[Field]) -> tuple[int, ...]:
    numbers: list[int] = []
    for value in values:
        if isinstance(value, int):
            numbers.append(value)
            continue
        at = 0  # packed encoding: consecutive varints in one field
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(number)
    return tuple(numbers)


def _view(value: Field) -> memoryview:
    assert isinstance(value, memoryview)
    return value


def _text(values: list[Field]) -> str:
    return bytes(_view(values[0])).decode() if values else ""
