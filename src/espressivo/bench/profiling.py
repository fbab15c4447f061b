"""Profiles: time and MACs of each node of a graph, as onnxruntime runs it."""

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
    """Cost of one node in the graph optimized by onnxruntime.

    Attributes:
        name: Name of the node; fused nodes have a new name or none.
        output: Name of its first output, which identifies its layer.
        operator: Operator type.
        seconds: Median time over runs, in seconds.
        macs: Multiply-accumulates of matmuls, convolutions and attention.
    """

    name: str
    output: str
    operator: str
    seconds: float
    macs: int


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """Total cost of all nodes with the same operator type.

    Attributes:
        operator: Operator type.
        calls: Number of nodes.
        seconds: Sum of the nodes' times, in seconds.
        macs: Sum of the nodes' multiply-accumulates.
    """

    operator: str
    calls: int
    seconds: float
    macs: int


@dataclass(frozen=True, slots=True)
class GraphProfile:
    """Cost of one window by node, in the order of execution."""

    nodes: tuple[NodeCost, ...]

    @property
    def seconds(self) -> float:
        """Time of all nodes, in seconds; onnxruntime's overhead is not included."""
        return sum(node.seconds for node in self.nodes)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all nodes."""
        return sum(node.macs for node in self.nodes)

    def by_operator(self) -> tuple[OperatorCost, ...]:
        """Return the costs by operator type, the slowest first."""
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
    """Return the profile of a graph on one window of noise.

    Args:
        graph: Content or path of an ONNX file whose input is samples.
        seconds: Length of the window, in seconds.
        runs: Number of runs that medians are taken over, after one warm-up run.
        threads: Number of threads of onnxruntime.
        name: Name of the graph in error messages.

    Raises:
        ModelError: The graph does not load, or does not accept such a window.
        ValueError: `runs` is less than 1.
    """
    if runs < 1:
        raise ValueError(f"runs is {runs}; wanted 1 or more")
    with TemporaryDirectory(prefix="espressivo-profile-") as folder:
        optimized = Path(folder) / "optimized.onnx"
        options = session_options(threads)
        # Saved, since events name the fused nodes that ran, not those of the file.
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
    # The first run warms up; its events only give names and shapes.
    first, *rest = _split_runs(events)
    times: dict[int, list[float]] = defaultdict(list)
    for one in rest:
        for place, event in enumerate(one):
            times[place].append(event["dur"] / 1e6)  # microseconds
    # Events are matched to saved nodes by name and operator type. Indices do not match,
    # since onnxruntime numbers nodes in another order than it saves them. Fused nodes
    # can share a name; those of one name and type run in the order of saving.
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
    """Return the shapes in `[{"float": [1, 800, 240]}, ...]`."""
    return [tuple(shape) for value in typed for shape in value.values()]
