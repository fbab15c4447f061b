"""Conversion of an fp32 graph to fp16, for GPUs of phones.

The fp16 graph has half the bytes. `halve_constants` stores as fp16 what an int8 graph
computes in fp32.

On a CPU onnxruntime casts every matmul back and forth, which takes as long as fp32 or
longer. What fp16 cannot represent stays fp32: the front end, whose values span decades,
constants that are computed, such as positions, and sums over time with everything
behind them, to the probabilities.

onnxruntime's own converter is not used: between two nodes that it is told to leave in
fp32 it casts to fp16 and back (1.32), the samples included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from espressivo.errors import ExportError
from espressivo.training.export.graph.data_movement import producers

if TYPE_CHECKING:
    from collections.abc import Iterable

_FRONT_ENDS = ("mel", "mfcc", "conv.0")
"""Last values of a front end, of which a network has one: a spectrum of 16 decades, or
the normalized first convolution."""

_LEAST_HALVED = 128  # numbers; a Cast takes 100 bytes itself

_SUMS = {"ReduceMean", "ReduceSum"}  # over time, 400 frames


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the graph that computes in fp16; input and output stay float32.

    Args:
        model: Graph in fp32 from `to_onnx`, before tiling.

    Raises:
        ExportError: A weight is beyond fp16's range, or the graph is not ours.
    """
    exact = exact_nodes(model)
    writer = _Fp16Writer(model)
    for node in model.graph.node:
        writer.add(node, exact=node.name in exact)
    return writer.finish()


def exact_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the names of the nodes that stay fp32, see `to_fp16`."""
    made_by = producers(model)
    ends = [value for value in _FRONT_ENDS if value in made_by]
    if not ends:
        raise ExportError(
            f"the graph computes none of {', '.join(_FRONT_ENDS)}, where fp16 may "
            "begin; convert what `to_onnx` returned, before it is quantized or tiled"
        )
    exact = _constant_nodes(model)
    wanted = [made_by[value] for value in ends]
    while wanted:
        node = wanted.pop()
        exact.add(node.name)
        wanted += [made_by[i] for i in node.input if i in made_by]
    summed: set[str] = set()
    for node in model.graph.node:
        behind = summed.intersection(node.input)
        if node.name not in exact and (behind or node.op_type in _SUMS):
            exact.add(node.name)
            summed.update(node.output)
    return exact


def halve_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that stores float32 constants as fp16 where both are equal.

    A Cast restores them, which runtimes compute when they open the graph. Published
    Whisper weights are fp16, and so are the scales of int8 weights.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts = []
    for tensor in halved.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        # What fp16 cannot hold becomes infinite, and is not equal.
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < _LEAST_HALVED or not np.array_equal(half, values):
            continue
        name, stored = tensor.name, f"{tensor.name}.f16"
        tensor.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(
            helper.make_node("Cast", [stored], [name], name, to=TensorProto.FLOAT)
        )
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    onnx.checker.check_model(halved, full_check=True)
    return halved


def _constant_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the names of the nodes that depend on no input of the graph."""
    varying = {value.name for value in model.graph.input}
    constant = set()
    for node in model.graph.node:
        if varying.intersection(node.input):
            varying.update(node.output)
        else:
            constant.add(node.name)
    return constant


class _Fp16Writer:
    """The nodes and initializers of a graph while it is converted."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._weights = {t.name: t for t in model.graph.initializer}
        # Names of every float value by type; a cast is added when it is first needed.
        self._forms = {value: {TensorProto.FLOAT: value} for value in _floats(model)}
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}

    def add(self, node: onnx.NodeProto, *, exact: bool) -> None:
        """Take a node that computes in fp32 if `exact`, else in fp16."""
        kind = TensorProto.FLOAT if exact else TensorProto.FLOAT16
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [self._input(value, kind) for value in node.input]
        self._nodes.append(copy)
        for value in node.output:
            if value in self._forms:
                self._forms[value] = {kind: value}

    def finish(self) -> onnx.ModelProto:
        """Return the checked graph."""
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._tensors.values())
        onnx.checker.check_model(self._model, full_check=True)
        return self._model

    def _input(self, value: str, kind: int) -> str:
        """Return the name of a value in this type, adding a cast if needed."""
        if value not in self._forms:  # lengths, indices, float64
            if value in self._weights:
                self._tensors[value] = self._weights[value]
            return value
        forms = self._forms[value]
        if value in self._weights:
            return self._weight(value, kind)
        if kind not in forms:
            forms[kind] = f"{value}.{'f32' if kind == TensorProto.FLOAT else 'f16'}"
            self._nodes.append(
                helper.make_node("Cast", [value], [forms[kind]], forms[kind], to=kind)
            )
        return forms[kind]

    def _weight(self, name: str, kind: int) -> str:
        if kind == TensorProto.FLOAT:
            self._tensors[name] = self._weights[name]
            return name
        values = numpy_helper.to_array(self._weights[name])
        largest = float(np.abs(values).max(initial=0.0))
        # Put this way, NaN is refused too.
        if not largest <= float(np.finfo(np.float16).max):
            raise ExportError(
                f"{name} reaches {largest:.3g}, fp16 ends at 65504; "
                "export with --precision fp32 or int8"
            )
        fp16 = f"{name}.f16"
        if fp16 not in self._tensors:
            self._tensors[fp16] = numpy_helper.from_array(
                values.astype(np.float16), fp16
            )
        return fp16


def _floats(model: onnx.ModelProto) -> Iterable[str]:
    """List the values of type float32."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    yield from (w.name for w in graph.initializer if w.data_type == TensorProto.FLOAT)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            yield value.name
