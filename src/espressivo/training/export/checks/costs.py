"""Time, memory and operators of the exact graph and the shipped one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from espressivo.bench import OperatorCost, peak_bytes, profile, time_graphs
from espressivo.machine import eight_bit_instructions, processor_name

if TYPE_CHECKING:
    import onnx

_ROUNDS = 21


@dataclass(frozen=True, slots=True)
class GraphCosts:
    """The cost of one window through a graph on one thread.

    Attributes:
        seconds: Median time.
        peak_bytes: Memory that the graph adds to a process; None where the system does
            not report it.
        operators: Each kind of operator that onnxruntime runs, the slowest first.
    """

    seconds: float
    peak_bytes: int | None
    operators: tuple[OperatorCost, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all operators."""
        return sum(operator.macs for operator in self.operators)


@dataclass(frozen=True, slots=True)
class ExportCosts:
    """The costs of both graphs, measured alternately on one window.

    Attributes:
        window_s: Length of the window: the longest that the model takes whole.
        processor: Name of the processor that this was measured on.
        instructions: Its instructions for 8 bits.
        fp32: The exact graph.
        shipped: The graph that is shipped; the same object where that is fp32.
        ratio: Median over rounds of the shipped graph's time over the exact one's.
    """

    window_s: float
    processor: str
    instructions: tuple[str, ...]
    fp32: GraphCosts
    shipped: GraphCosts
    ratio: float


def measure_costs(
    fp32: onnx.ModelProto, shipped: onnx.ModelProto, window_s: float
) -> ExportCosts:
    """Return time, memory and operators; identical graphs are measured once."""
    models = {"fp32": fp32} if shipped is fp32 else {"fp32": fp32, "shipped": shipped}
    graphs = {name: model.SerializeToString() for name, model in models.items()}
    times = time_graphs(graphs, window_s, rounds=_ROUNDS)
    costs = {
        name: GraphCosts(
            median(times[name]),
            peak_bytes(graph, window_s),
            profile(graph, window_s).by_operator(),
        )
        for name, graph in graphs.items()
    }
    rounds = zip(times["fp32"], times.get("shipped", times["fp32"]), strict=True)
    return ExportCosts(
        window_s=window_s,
        processor=processor_name(),
        instructions=eight_bit_instructions(),
        fp32=costs["fp32"],
        shipped=costs.get("shipped", costs["fp32"]),
        # By round: the two of a round met the same load of the machine.
        ratio=median(other / exact for exact, other in rounds),
    )
