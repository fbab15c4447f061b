"""Self-attention as ONNX operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from espressivo.training.export.graph.layers import array

if TYPE_CHECKING:
    from torch import nn

    from espressivo.training.export.graph.builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class Attention:
    """The linear layers of a self-attention; a key's bias changes nothing."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    out: nn.Module
    n_heads: int


def emit_attention(graph: GraphBuilder, layers: Attention, x: str, name: str) -> str:
    """Let every frame of x [B, T, width] attend to all: [B, T, width].

    A bias of the key adds the same to all scores of a frame, which softmax takes off.
    """
    query, key, value, out = (
        cast("nn.Linear", layer)
        for layer in (layers.query, layers.key, layers.value, layers.out)
    )
    n_heads, width = layers.n_heads, query.out_features
    # Softmax takes the products divided by sqrt(64): the queries come divided.
    scale = (width // n_heads) ** -0.5
    queries = graph.linear(
        x, array(query.weight).T * scale, array(query.bias) * scale, f"{name}.query"
    )
    keys = graph.linear(x, array(key.weight).T, None, f"{name}.key")
    values = graph.linear(x, array(value.weight).T, array(value.bias), f"{name}.value")

    def heads(of: str, role: str, order: list[int]) -> str:
        apart = graph.op(
            "Reshape", [of, graph.integers(0, 0, n_heads, -1)], f"{name}.{role}.apart"
        )
        return graph.op("Transpose", [apart], f"{name}.{role}.heads", perm=order)

    scores = graph.op(
        "MatMul",
        [heads(queries, "query", [0, 2, 1, 3]), heads(keys, "key", [0, 2, 3, 1])],
        f"{name}.scores",
    )
    shares = graph.op("Softmax", [scores], f"{name}.shares", axis=-1)
    mixed = graph.op(
        "MatMul", [shares, heads(values, "value", [0, 2, 1, 3])], f"{name}.mixed"
    )
    together = graph.op("Transpose", [mixed], f"{name}.together", perm=[0, 2, 1, 3])
    joined = graph.op(
        "Reshape", [together, graph.integers(0, 0, width)], f"{name}.joined"
    )
    return graph.linear(joined, array(out.weight).T, array(out.bias), f"{name}.out")
