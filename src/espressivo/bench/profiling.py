"""Profiles: the cost of each node of a graph as onnxruntime runs it."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from espressivo.bench.macs import macs_of
from espressivo.bench.onnx_file import Node, read_graph
from espressivo.bench.window_runner import open_samples_graph, window_runner
from espressivo.model.session import session_options

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIX = "_kernel_time"
_SIDES = ("input", "output")


@dataclass(frozen=True, slots=True)
class NodeCost:
    """One node of the graph that onnxruntime made of a model.

    Attributes:
        name: Name of the node; a node that onnxruntime fused has a new one, or none.
        output: Name of its first output, which tells its layer.
        operator: Kind of operator.
        seconds: Median over runs.
        macs: Multiply-accumulates of products, convolutions and attention.
    """

    name: str
    output: str
    operator: str
    seconds: float
    macs: int


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """All nodes of one kind together."""

    operator: str
    calls: int
    seconds: float
    macs: int


@dataclass(frozen=True, slots=True)
class GraphProfile:
    """The cost of one window, by nodes in the order that they run."""

    nodes: tuple[NodeCost, ...]

    @property
    def seconds(self) -> float:
        """Of all nodes; what onnxruntime does between them is not in it."""
        return sum(node.seconds for node in self.nodes)

    @property
    def macs(self) -> int:
        """Of all nodes."""
        return sum(node.macs for node in self.nodes)

    def by_operator(self) -> tuple[OperatorCost, ...]:
        """Return the kinds of operator, the slowest first."""
        kinds: dict[str, list[NodeCost]] = defaultdict(list)
        for node in self.nodes:
            kinds[node.operator].append(node)
        costs = [
            OperatorCost(
                kind,
                len(nodes),
                sum(node.seconds for node in nodes),
                sum(node.macs for node in nodes),
            )
            for kind, nodes in kinds.items()
        ]
        return tuple(sorted(costs, key=lambda cost: -cost.seconds))


def profile(
    graph: bytes | Path,
    seconds: float = 8.0,
    runs: int = 5,
    *,
    threads: int = 1,
    name: str = "the graph",
) -> GraphProfile:
    """Run one window through a graph and say what each node took.

    Args:
        graph: An ONNX model that takes samples, or its file.
        seconds: Length of the window.
        runs: Medians are over so many, after one that does not count.
        threads: Of onnxruntime.
        name: What error messages call the graph.

    Raises:
        ModelError: It does not load, or does not take such a window.
        ValueError: Fewer than one run.
    """
    if runs < 1:
        raise ValueError(f"runs is {runs}; wanted 1 or more")
    with TemporaryDirectory(prefix="espressivo-profile-") as folder:
        optimized = Path(folder) / "optimized.onnx"
        options = session_options(threads)
        options.optimized_model_filepath = str(optimized)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = open_samples_graph(graph, options, name)
        run = window_runner(session, seconds, name)
        for _ in range(1 + runs):
            run()
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
        nodes, weights = read_graph(optimized.read_bytes())
    return _profile(events, nodes, weights)


def _profile(
    events: list[dict[str, Any]], nodes: list[Node], weights: dict[str, tuple[int, ...]]
) -> GraphProfile:
    first, *rest = _split_runs(events)
    times: dict[int, list[float]] = defaultdict(list)
    for one in rest:
        for place, event in enumerate(one):
            times[place].append(event["dur"] / 1e6)  # microseconds
    # onnxruntime numbers nodes in another order than it saves them, and fused nodes may
    # share a name; those of one name and kind run in the order that they are saved in.
    waiting: dict[tuple[str, str], deque[Node]] = defaultdict(deque)
    for node in nodes:
        waiting[node.name, node.operator].append(node)
    costs = []
    for place, event in enumerate(first):
        args = event["args"]
        name, kind = event["name"].removesuffix(_SUFFIX), args["op_name"]
        queue = waiting[name, kind]
        output, macs = "", 0
        if queue:
            node = queue.popleft()
            ins, outs = (_shapes(args[f"{side}_type_shape"]) for side in _SIDES)
            output, macs = node.outputs[0], macs_of(node, ins, outs, weights)
        costs.append(NodeCost(name, output, kind, median(times[place]), macs))
    return GraphProfile(tuple(costs))


def _split_runs(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    one: list[dict[str, Any]] = []
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_SUFFIX):
            one.append(event)
        elif event["name"] == "model_run":
            yield one
            one = []


def _shapes(typed: list[dict[str, list[int]]]) -> list[tuple[int, ...]]:
    """Read `[{"float": [1, 800, 240]}, ...]`."""
    return [tuple(shape) for value in typed for shape in value.values()]
