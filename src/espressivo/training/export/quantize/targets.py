"""Quantization targets of an fp32 graph: matmuls, and the operators between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

from espressivo.errors import ExportError
from espressivo.training.export.graph.logmel import FRONT_END

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

TargetKind: TypeAlias = Literal["weights", "attention", "operator"]

_LEAST_WEIGHTS = 16_384  # below, an integer kernel saves less than QDQ costs

# Whether the operators' inputs get QDQ too, besides their outputs: the sum that a
# normalization reads goes on to the next block.
_OPERATORS = {"Gelu": True, "LayerNormalization": False, "Softmax": True}
_BYTES_SAVED = 3  # of 4, by every weight


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


@dataclass(frozen=True, slots=True)
class MatMul:
    """A product of activations and weights, or of two activations.

    Attributes:
        name: Its layer: `blocks.0.up`.
        node: The node's name.
        operator: `MatMul`, or `Conv` over [B, channels, T].
        value: Name of the left input.
        weight: Name of its weights, [in, out] or [out, in, size]; None where two
            activations are multiplied.
        second: Name of the other activation, else None.
        output: Name of the output.
    """

    name: str
    node: str
    operator: str
    value: str
    weight: str | None
    second: str | None
    output: str


@dataclass(frozen=True, slots=True)
class QuantizationTarget:
    """A matmul or a kind of operator that is quantized or stays fp32.

    Attributes:
        name: Its layer: `blocks.0.up`; or a kind of operator: `Softmax`.
        kind: A matmul with weights, a matmul of two activations in attention, or all
            operators of a kind, which compute in fp32 on inputs that were quantized.
        matmul: Computed in integers; None for a kind of operator.
        values: Inputs and outputs of such operators, else none.
        bytes_saved: Bytes saved by quantizing its weights.
    """

    name: str
    kind: TargetKind
    matmul: MatMul | None = None
    values: tuple[str, ...] = ()
    bytes_saved: int = 0


def find_matmuls(model: onnx.ModelProto, keep: Sequence[str] = ()) -> list[MatMul]:
    """List the matmuls with weights, in the order they are computed.

    The log-mel front end is never among them: its values span sixteen decades.

    Args:
        model: Graph in fp32.
        keep: Patterns of layers that stay fp32: `blocks.3.*`.

    Raises:
        ExportError: A pattern of `keep` names no layer.
    """
    sizes = _sizes(model)
    found = [
        _matmul(node, weight=True)
        for node in model.graph.node
        if node.op_type in {"MatMul", "Conv"}
        and sizes.get(node.input[1], 0) >= _LEAST_WEIGHTS
    ]
    return without([m for m in found if m.name not in FRONT_END], keep)


def find_attention_matmuls(model: onnx.ModelProto) -> list[MatMul]:
    """List attention's matmuls of two activations: scores, and mixtures of values."""
    return [
        _matmul(node, weight=False)
        for node in model.graph.node
        if node.op_type == "MatMul" and node.name.endswith((".scores", ".mixed"))
    ]


def find_targets(model: onnx.ModelProto) -> list[QuantizationTarget]:
    """List all targets of an fp32 graph: matmuls in their order, then operators."""
    sizes = _sizes(model)
    weighted = [
        QuantizationTarget(
            m.name, "weights", m, (), _BYTES_SAVED * sizes[m.weight or ""]
        )
        for m in find_matmuls(model)
    ]
    attention = [
        QuantizationTarget(m.name, "attention", m)
        for m in find_attention_matmuls(model)
    ]
    return [*weighted, *attention, *_operator_targets(model)]


def values_to_calibrate(matmuls: Iterable[MatMul]) -> list[str]:
    """List the values whose ranges int8 matmuls need, each once."""
    values: dict[str, None] = {}
    for matmul in matmuls:
        values[matmul.value] = None
        if matmul.second is not None:
            values[matmul.second] = None
        if matmul.operator == "Conv":  # integer kernels give integers
            values[matmul.output] = None
    return list(values)


def without(found: Iterable[_T], keep: Sequence[str]) -> list[_T]:
    """Return the matmuls or targets that no pattern names.

    Args:
        found: All matmuls or targets of the graph.
        keep: Patterns of names: `blocks.3.*`.

    Raises:
        ExportError: A pattern matches nothing.
    """
    every = list(found)
    for pattern in keep:
        # Not `fnmatch`, which ignores case on Windows.
        if not any(fnmatchcase(one.name, pattern) for one in every):
            names = ", ".join(one.name for one in every)
            raise ExportError(f"no layer is called '{pattern}'; there are: {names}")
    return [one for one in every if not any(fnmatchcase(one.name, k) for k in keep)]


def _operator_targets(model: onnx.ModelProto) -> list[QuantizationTarget]:
    """List the kinds of operators that compute in fp32 between the matmuls."""
    values: dict[str, dict[str, None]] = {kind: {} for kind in _OPERATORS}
    computed = {output for node in model.graph.node for output in node.output}
    computed -= {output.name for output in model.graph.output}
    for node in model.graph.node:
        # The last softmax gives the probabilities, which stay fp32.
        if node.op_type in _OPERATORS and node.output[0] in computed:
            read = node.input[0] if _OPERATORS[node.op_type] else ""
            around = [v for v in (read, node.output[0]) if v in computed]
            values[node.op_type] |= dict.fromkeys(around)
    return [
        QuantizationTarget(kind, "operator", values=tuple(found))
        for kind, found in values.items()
        if found
    ]


def _matmul(node: onnx.NodeProto, *, weight: bool) -> MatMul:
    return MatMul(
        name=node.name.removesuffix(".product"),
        node=node.name,
        operator=node.op_type,
        value=node.input[0],
        weight=node.input[1] if weight else None,
        second=None if weight else node.input[1],
        output=node.output[0],
    )


def _sizes(model: onnx.ModelProto) -> dict[str, int]:
    return {w.name: math.prod(w.dims) for w in model.graph.initializer}
