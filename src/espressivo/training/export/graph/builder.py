"""Builder of an ONNX graph; its methods take and return the names of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

OPSET = 20
"""The first opset with Gelu; onnxruntime reads it since 1.17."""

END = int(np.iinfo(np.int32).max)
"""End of a slice that includes the last element."""


class GraphBuilder:
    """A builder that collects ONNX nodes in the order of the calls.

    Values are named after the scope they are made in, so that a name in a report or a
    profile says which layer it belongs to: `blocks.0.mlp.up`.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._taken: set[str] = set()

    def op(
        self,
        kind: str,
        inputs: Sequence[str],
        name: str,
        also: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """Add a node and return its first output's name; `also` names the others."""
        output = self._unique(name)
        outputs = [output, *map(self._unique, also)]
        self._nodes.append(
            helper.make_node(kind, list(inputs), outputs, output, **attributes)
        )
        return output

    def weight(self, values: NDArray[np.floating[Any]], name: str) -> str:
        """Add a float32 initializer under a new name."""
        return self._constant(np.ascontiguousarray(values, np.float32), name)

    def exact(self, values: NDArray[np.float64], name: str) -> str:
        """Add a float64 initializer under a new name, to compute constants from."""
        return self._constant(np.ascontiguousarray(values, np.float64), name)

    def indices(self, values: NDArray[np.integer[Any]], name: str) -> str:
        """Add an int32 initializer under a new name."""
        return self._constant(np.ascontiguousarray(values, np.int32), name)

    def index(self, value: int) -> str:
        """Add an int32 scalar; equal scalars are one initializer."""
        return self._shared(np.asarray(value, np.int32), f"index.{value}")

    def number(self, value: float) -> str:
        """Add a float32 scalar; equal scalars are one initializer."""
        return self._shared(np.float32(value), f"number.{np.float32(value)!s}")

    def integers(self, *values: int) -> str:
        """Add an int64 vector; equal vectors are one initializer."""
        return self._shared(
            np.asarray(values, np.int64), "integers." + "_".join(map(str, values))
        )

    def cut(
        self, value: str, axis: int, span: tuple[int, int], name: str, step: int = 1
    ) -> str:
        """Slice one axis from a start to an end, negative ones from the back."""
        bounds = [self.integers(n) for n in (*span, axis, step)]
        return self.op("Slice", [value, *bounds], name)

    def linear(
        self,
        value: str,
        weight: NDArray[np.floating[Any]],
        bias: NDArray[np.floating[Any]] | None,
        name: str,
    ) -> str:
        """Multiply the last axis by `weight` [in, out] and add `bias` [out]."""
        product = self.op(
            "MatMul", [value, self.weight(weight, f"{name}.weight")], f"{name}.product"
        )
        if bias is None:
            return product
        return self.op("Add", [product, self.weight(bias, f"{name}.bias")], name)

    def gelu(self, value: str, name: str) -> str:
        """Apply the exact GELU as one operator.

        Written out, it would read a dequantized value twice, and onnxruntime would not
        fuse the parts.
        """
        return self.op("Gelu", [value], name)

    def reduce(
        self, kind: str, value: str, axes: Sequence[int], name: str, *, keep: bool
    ) -> str:
        """Apply ReduceMean, ReduceMax or another; `keep` leaves axes of length 1."""
        over = self.integers(*axes)
        return self.op(f"Reduce{kind}", [value, over], name, keepdims=int(keep))

    def finish(
        self,
        name: str,
        producer_version: str,
        inputs: Mapping[str, Sequence[str | int]],
        outputs: Mapping[str, Sequence[str | int]],
    ) -> onnx.ModelProto:
        """Return the checked model.

        Args:
            name: Name of the graph.
            producer_version: Version of espressivo.
            inputs: Name -> shape, all float32; axes left open have names.
            outputs: The same, of values that nodes made.
        """
        graph = helper.make_graph(
            self._nodes,
            name,
            _described(inputs),
            _described(outputs),
            list(self._initializers.values()),
        )
        model = helper.make_model(
            graph,
            producer_name="espressivo",
            producer_version=producer_version,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,  # belongs to opset 20; older runtimes reject newer ones
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def added_to(
        self, model: onnx.ModelProto, outputs: Mapping[str, Sequence[str | int]]
    ) -> onnx.ModelProto:
        """Return a checked copy of a model with these nodes after its own.

        Args:
            model: Model whose values the nodes read.
            outputs: Name -> shape of the outputs that it gets in addition, as in
                `finish`.
        """
        whole = onnx.ModelProto()
        whole.CopyFrom(model)
        taken = {initializer.name for initializer in model.graph.initializer}
        whole.graph.node.extend(self._nodes)
        # Scalars and bounds of the same name have the same value: see `_shared`.
        whole.graph.initializer.extend(
            values for name, values in self._initializers.items() if name not in taken
        )
        whole.graph.output.extend(_described(outputs))
        onnx.checker.check_model(whole, full_check=True)
        return whole

    def _shared(self, values: NDArray[Any] | np.float32, name: str) -> str:
        return name if name in self._initializers else self._constant(values, name)

    def _constant(self, values: NDArray[Any] | np.float32, name: str) -> str:
        name = self._unique(name)
        self._initializers[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _unique(self, name: str) -> str:
        if name in self._taken:
            raise ValueError(f"two values of the graph are called {name}")
        self._taken.add(name)
        return name


def _described(values: Mapping[str, Sequence[str | int]]) -> list[Any]:
    return [
        helper.make_tensor_value_info(value, TensorProto.FLOAT, list(shape))
        for value, shape in values.items()
    ]
