"""Tiling over time of a part of a graph, so that its values stay in the CPU cache.

The first convolution of the HuBERT family outputs 13 million numbers for 8 s, which
move to memory and back for its GELU and again for quantization. Tiling does not change
the results.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from espressivo.training.export.graph.builder import END

_N_TILES = 16  # of 8 s: 3 MB of float32 each
_FIRST, _LAST = "conv.0.ones", ("conv.0.gelu.u8", "conv.0.gelu")


def tile_convolution(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose first convolution runs in tiles, if it is HuBERT's.

    Args:
        model: Graph from `to_onnx`, quantized or not.
    """
    made = {output for node in model.graph.node for output in node.output}
    last = next((name for name in _LAST if name in made), None)
    return tile(model, _FIRST, last) if _FIRST in made and last else model


def tile(
    model: onnx.ModelProto, first: str, last: str, n_tiles: int = _N_TILES
) -> onnx.ModelProto:
    """Return a copy that computes the nodes between two values in tiles of time.

    Args:
        model: Any graph.
        first: Name of a value [B, T, ...].
        last: Name of a value [B, T, ...] of which each frame depends on that frame of
            `first` only.
        n_tiles: Number of tiles.

    Raises:
        ValueError: Something else uses a value in between.
    """
    between = _between(model, first, last)
    tiles = _Tiles(first, last, n_tiles)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.name not in between:
            nodes.append(node)
        elif last in node.output:
            nodes += tiles.nodes(list(between.values()))
    tiled = onnx.ModelProto()
    tiled.CopyFrom(model)
    del tiled.graph.node[:]
    tiled.graph.node.extend(nodes)
    tiled.graph.initializer.extend(tiles.constants())
    onnx.checker.check_model(tiled, full_check=True)
    return tiled


def _between(
    model: onnx.ModelProto, first: str, last: str
) -> dict[str, onnx.NodeProto]:
    """Return the nodes by which `last` follows from `first`, in order, by name."""
    behind = {first}
    for node in model.graph.node:
        if behind.intersection(node.input):
            behind.update(node.output)
    wanted, found = {last}, []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output) and behind.intersection(node.input):
            found.append(node)
            wanted.update(value for value in node.input if value != first)
    inside = {node.name: node for node in reversed(found)}
    hidden = {o for node in found for o in node.output} - {last}
    for node in model.graph.node:
        if node.name not in inside and hidden.intersection(node.input):
            raise ValueError(f"{node.name} uses a value between {first} and {last}")
    return inside


class _Tiles:
    """Nodes that split a value into tiles, and nodes that join the results."""

    def __init__(self, first: str, last: str, n_tiles: int) -> None:
        self._first, self._last, self._n = first, last, n_tiles
        self._numbers: set[int] = set()

    def nodes(self, between: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Return everything in place of the nodes that are `between`."""
        tiled = {self._first}.union(*(node.output for node in between))
        each = f"{self._first}.tiles.each"  # frames, rounded down
        time = f"{self._first}.tiles.time"
        made = [
            _op("Shape", [self._first], time, start=1, end=2),
            _op("Div", [time, self._number(self._n)], each),
        ]
        for index in range(self._n):
            made += self._cut(index, each)
            for node in between:
                copy = onnx.NodeProto()
                copy.CopyFrom(node)
                copy.name = _of_tile(node.name, index)
                for values in (copy.input, copy.output):
                    values[:] = [
                        _of_tile(v, index) if v in tiled else v for v in values
                    ]
                made.append(copy)
        results = [_of_tile(self._last, index) for index in range(self._n)]
        return [*made, _op("Concat", results, self._last, axis=1)]

    def constants(self) -> list[onnx.TensorProto]:
        """Return the numbers that the nodes need."""
        return [
            numpy_helper.from_array(np.array([number], np.int64), self._number(number))
            for number in sorted(self._numbers)
        ]

    def _cut(self, index: int, each: str) -> list[onnx.NodeProto]:
        """Return the nodes that cut out a tile; the last has all remaining frames."""
        name = _of_tile(self._first, index)
        nodes = [_op("Mul", [each, self._number(index)], f"{name}.start")]
        end = self._number(END)
        if index < self._n - 1:
            end = f"{name}.end"
            nodes.append(_op("Mul", [each, self._number(index + 1)], end))
        span = [self._first, f"{name}.start", end, self._number(1)]
        return [*nodes, _op("Slice", span, name)]

    def _number(self, value: int) -> str:
        self._numbers.add(value)
        return f"tile.number.{value}"


def _of_tile(name: str, index: int) -> str:
    return f"{name}.tile.{index}"


def _op(kind: str, inputs: list[str], output: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], output, **attributes)
