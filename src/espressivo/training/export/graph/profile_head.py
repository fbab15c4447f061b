"""The profile head as a graph of its own: `profile.onnx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from espressivo.errors import ExportError
from espressivo.training.export.graph.builder import GraphBuilder
from espressivo.training.export.graph.data_movement import producers
from espressivo.training.fit.profile_head import (
    LEAST,
    LEAST_INFORMATION,
)
from espressivo.version import __version__

if TYPE_CHECKING:
    from espressivo.training.fit.profile_head import ProfileClassifier

EMBEDDING = "embedding"


def with_embedding(model: onnx.ModelProto, width: int) -> onnx.ModelProto:
    """Return a copy with the embedding as a further output, float32 [batch, width].

    Args:
        model: Graph from `to_onnx`, in its shipped precision.
        width: Width of the embedding.

    Raises:
        ExportError: The graph computes no embedding.
    """
    made_by = producers(model)
    if EMBEDDING not in made_by:
        raise ExportError(
            "the graph computes no value named `embedding`, which a profile needs; "
            "this is a defect of the exporter: report it"
        )
    given = onnx.ModelProto()
    given.CopyFrom(model)
    shape = ["batch", width]
    told = helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, shape)
    given.graph.output.append(told)
    kept = [value for value in given.graph.value_info if value.name != EMBEDDING]
    del given.graph.value_info[:]
    given.graph.value_info.extend(kept)
    onnx.checker.check_model(given, full_check=True)
    return given


def profile_head_graph(
    head: ProfileClassifier, temperature: float, name: str
) -> onnx.ModelProto:
    """Return the graph of `ProfileClassifier.probabilities` and `.distances`.

    Inputs, float32: `embedding` [B, width], `probabilities` [B, C] without a profile,
    `count` [P, 1] of earlier windows, `traits` [P, width + C + 1] their mean; P is B,
    or 1 where all rows share a profile. Outputs: `personal` [B, C], `distance` [B, 1]
    from the profile, `trust` [P, 1] in it.

    Args:
        head: The fitted head.
        temperature: Temperature of the plain probabilities.
        name: Name of the graph, as viewers show it.
    """
    n_emotions, width = head.weight.shape
    graph = GraphBuilder()
    mean = graph.cut("traits", 1, (0, width), "mean")
    shares = graph.cut("traits", 1, (width, width + n_emotions), "shares")
    end = width + n_emotions
    undecided = graph.cut("traits", 1, (end, end + 1), "undecided")

    even = _even(graph, head, shares, undecided)
    one = graph.number(1.0)
    more = graph.op("Sub", ["count", one], "beyond.all")
    beyond = graph.op("Max", [more, graph.number(0.0)], "beyond")
    enough = _share_of(graph, beyond, head.patience, "heard")
    trust = graph.op("Mul", [even, enough], "trust")
    rest = graph.op("Sub", [one, even], "one_sided")
    offset = graph.linear(shares, head.discount * head.offsets, None, "offset")
    accounted = graph.op("Mul", [offset, rest], "accounted")
    moved = graph.op("Sub", [mean, graph.weight(head.origin, "origin")], "moved")
    baseline = graph.op("Sub", [moved, accounted], "baseline.all")
    baseline = graph.op("Mul", [baseline, trust], "baseline")

    certain = graph.op("Max", ["probabilities", graph.number(LEAST)], "certain")
    plain = graph.op("Log", [certain], "plain.logits")
    shift = graph.linear(baseline, head.plain.T / temperature, None, "plain.shift")
    plain = graph.op("Sub", [plain, shift], "plain")
    apart = graph.op("Sub", [EMBEDDING, baseline], "apart")
    bias = head.bias - head.weight @ head.origin
    own = graph.linear(apart, head.weight.T, bias, "own")
    wary = graph.op("Sub", [one, trust], "wary")
    parts = [
        graph.op("Mul", [plain, wary], "logits.plain"),
        graph.op("Mul", [own, trust], "logits.own"),
    ]
    logits = graph.op("Add", parts, "logits")
    graph.op("Softmax", [logits], "personal", axis=-1)
    _distance(graph, head, mean)
    return graph.finish(
        name,
        __version__,
        {
            EMBEDDING: ["batch", width],
            "probabilities": ["batch", n_emotions],
            "count": ["profiles", 1],
            "traits": ["profiles", end + 1],
        },
        {
            "personal": ["batch", n_emotions],
            "distance": ["batch", 1],
            "trust": ["profiles", 1],
        },
    )


def _share_of(graph: GraphBuilder, value: str, others: float, name: str) -> str:
    """Add value / (value + others)."""
    both = graph.op("Add", [value, graph.number(others)], f"{name}.of")
    return graph.op("Div", [value, both], name)


def _even(
    graph: GraphBuilder, head: ProfileClassifier, shares: str, undecided: str
) -> str:
    """Add how evenly the emotions are spread, 0 to 1."""
    some = graph.op("Max", [shares, graph.number(LEAST)], "shares.some")
    logs = graph.op("Log", [some], "shares.log")
    each = graph.op("Mul", [shares, logs], "shares.each")
    total = graph.reduce("Sum", each, [1], "shares.total", keep=True)
    whole = graph.op("Neg", [total], "shares.entropy")
    found = graph.op("Sub", [whole, undecided], "information")
    largest = graph.number(float(np.log(len(head.weight))))
    left = graph.op("Sub", [largest, undecided], "information.left")
    least = graph.number(LEAST_INFORMATION)
    possible = graph.op("Max", [left, least], "information.possible")
    share = graph.op("Div", [found, possible], "information.share")
    scaled = graph.op("Div", [share, graph.number(head.spread)], "information.scaled")
    ends = [graph.number(0.0), graph.number(1.0)]
    return graph.op("Clip", [scaled, *ends], "even")


def _distance(graph: GraphBuilder, head: ProfileClassifier, mean: str) -> None:
    apart = graph.op("Sub", [EMBEDDING, mean], "distance.apart")
    along = graph.linear(apart, np.asarray(head.axes).T, None, "distance.along")
    square = graph.op("Mul", [along, along], "distance.square")
    total = graph.reduce("Mean", square, [1], "distance.mean", keep=True)
    known = _share_of(graph, "count", 1.0, "distance.known")
    graph.op("Mul", [total, known], "distance")
