"""Sensitivity analysis: measured change and time saved for each target."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

from espressivo.bench import profile, time_graphs
from espressivo.training.export.checks import parity
from espressivo.training.export.graph.data_movement import (
    moved_inputs,
    producers,
    source_of,
)
from espressivo.training.export.graph.tiling import tile_convolution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from espressivo.bench import GraphProfile
    from espressivo.training.export.options import StepProgress
    from espressivo.training.export.quantize.quantizer import Quantizer
    from espressivo.training.export.quantize.targets import MatMul, QuantizationTarget
    from espressivo.training.export.search.measurements import Measurements
    from espressivo.types import Signal

LEAST_GAIN = 0.002
"""Share of the fp32 graph's time below which a gain is measurement noise."""

_EXACT_SECONDS = "seconds of the fp32 graph"
_ROUNDS = 11

# Suffixes of the values that int8.py makes of an activation, and tiling.py of a tile.
_QUANTIZED = (".u8", ".s8", ".summed", ".rounded.u8", ".rounded.s8")
_TILE = re.compile(r"\.tile\.\d+$")


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of quantizing one target.

    Attributes:
        change: Mean over recordings of the largest change of a probability, with
            nothing else quantized.
        seconds: Time saved on a window of 8 s; below 0 where it costs time.
        share: The same, as a share of the fp32 graph's time.
    """

    change: float
    seconds: float
    share: float

    @property
    def saves_time(self) -> bool:
        """Whether the time saved exceeds the measurement noise."""
        return self.share >= LEAST_GAIN


@dataclass(frozen=True)
class Sensitivity:
    """A measurement of quantization effects that reuses stored results.

    Attributes:
        quantizer: Calibrated quantizer of the graph.
        recordings: Windows on which changes are measured.
        known: Measurements so far.
        progress: Called with the name of each measurement.
    """

    quantizer: Quantizer
    recordings: Sequence[Signal]
    known: Measurements
    progress: StepProgress

    def effects(self, targets: Sequence[QuantizationTarget]) -> dict[str, Effect]:
        """Return the change and time saved of each target quantized alone."""
        changes, shares = self.changes(targets), self.shares(targets)
        whole = self.known[_EXACT_SECONDS]
        return {
            name: Effect(change, shares[name] * whole, shares[name])
            for name, change in changes.items()
        }

    def changes(self, targets: Sequence[QuantizationTarget]) -> dict[str, float]:
        """Return target -> mean change of a probability with it alone quantized."""
        names = {target.name: f"change by {target.name}" for target in targets}
        for done, target in enumerate(targets):
            if names[target.name] not in self.known:
                self.progress(f"what {target.name} changes", done, len(targets))
                change = self._change(self.quantizer.quantize([target]))
                self.known.put({names[target.name]: change})
        return {target: self.known[name] for target, name in names.items()}

    def change_together(self, targets: Sequence[QuantizationTarget]) -> float:
        """Return the mean change of a probability with all these quantized."""
        # Hashed: hundreds of names would be too long for a key.
        together = "\n".join(sorted(target.name for target in targets))
        digest = hashlib.sha256(together.encode()).hexdigest()[:16]
        name = f"change by {len(targets)} together, {digest}"
        if name not in self.known:
            self.progress(f"what {len(targets)} together change")
            model = self.quantizer.quantize_and_center(targets, self.recordings)
            self.known.put({name: self._change(model)})
        return self.known[name]

    def shares(self, targets: Sequence[QuantizationTarget]) -> dict[str, float]:
        """Return target -> share of the fp32 graph's time that it saves."""
        names = {target.name: f"time saved by {target.name}" for target in targets}
        # All or none: one int8 graph with all matmuls is profiled.
        if not all(name in self.known for name in (*names.values(), _EXACT_SECONDS)):
            shares, seconds = self._time(targets)
            saved = {names[target]: share for target, share in shares.items()}
            self.known.put(saved | {_EXACT_SECONDS: seconds})
        return {target: self.known[name] for target, name in names.items()}

    @cached_property
    def _exact(self) -> NDArray[np.float32]:
        return parity.probabilities(self.quantizer.fp32, self.recordings)

    def _change(self, model: onnx.ModelProto) -> float:
        found = parity.probabilities(model, self.recordings)
        return parity.agreement_of(self._exact, found).mean

    def _time(
        self, targets: Sequence[QuantizationTarget]
    ) -> tuple[dict[str, float], float]:
        """Time matmuls by profiles, other operators by graphs with and without QDQ."""
        self.progress("how long each matmul takes")
        weighted = [target for target in targets if target.matmul is not None]
        # Tiled, since the graph that is shipped is.
        fp32 = tile_convolution(self.quantizer.fp32)
        int8 = tile_convolution(self.quantizer.quantize(weighted))
        matmuls = [target.matmul for target in weighted if target.matmul]
        shares, seconds = shares_saved(fp32, int8, matmuls)
        others = [target for target in targets if target.matmul is None]
        self.progress("how long other operators take")
        graphs = {"fp32": fp32, "int8": int8}
        for target in others:
            # On top of int8 matmuls, beside which such operators will run.
            graph = self.quantizer.quantize([*weighted, target])
            graphs[target.name] = tile_convolution(graph)
        times = time_graphs(
            {name: graph.SerializeToString() for name, graph in graphs.items()},
            rounds=_ROUNDS,
        )
        for target in others:
            rounds = zip(times["fp32"], times["int8"], times[target.name], strict=True)
            shares[target.name] = median(
                (without - qdq) / exact for exact, without, qdq in rounds
            )
        return shares, seconds


def shares_saved(
    exact: onnx.ModelProto,
    quantized: onnx.ModelProto,
    matmuls: Sequence[MatMul],
    rounds: int = 5,
) -> tuple[dict[str, float], float]:
    """Return what each matmul saves, as a share of all time, and that in seconds.

    A matmul's time is that of its node, of padding and unfolding its input, and of
    quantizing it; an input of several matmuls is shared among them. The two graphs are
    profiled in turn, so that a busy machine slows both alike.

    Args:
        exact: The fp32 graph.
        quantized: The same graph with `matmuls` in int8.
        matmuls: Matmuls of `exact`.
        rounds: Profiles of each graph; medians count.

    Returns:
        Matmul -> share of the exact graph's time; that time, of a window of 8 s on one
        thread.
    """
    owners = owners_of(exact, matmuls)
    graphs = [model.SerializeToString() for model in (exact, quantized)]
    saved: dict[str, list[float]] = defaultdict(list)
    seconds = []
    for _ in range(rounds):
        before, after = (profile(graph, runs=3) for graph in graphs)
        seconds.append(before.seconds)
        spent, spent_after = _by_owner(before, owners), _by_owner(after, owners)
        for matmul in matmuls:
            gain = spent[matmul.name] - spent_after[matmul.name]
            saved[matmul.name].append(gain / before.seconds)
    return {name: median(shares) for name, shares in saved.items()}, median(seconds)


def owners_of(
    exact: onnx.ModelProto, matmuls: Iterable[MatMul]
) -> dict[str, tuple[str, ...]]:
    """Map values of both graphs to the matmuls whose nodes compute or move them."""
    made_by = producers(exact)
    owners: dict[str, list[str]] = defaultdict(list)
    for matmul in matmuls:
        owned = {matmul.output: None, matmul.name: None}
        owned |= {f"{matmul.output}{end}": None for end in (".wide", ".levels")}
        owned |= {f"{matmul.weight}.rounded": None}
        for entering in filter(None, (matmul.value, matmul.second)):
            source = source_of(made_by, entering)
            moved = [*_moved(made_by, entering, source)]
            owned |= dict.fromkeys(moved)
            owned |= {f"{v}{end}": None for v in [source, *moved] for end in _QUANTIZED}
        for value in owned:
            owners[value].append(matmul.name)
    return {value: tuple(names) for value, names in owners.items()}


def _moved(
    made_by: dict[str, onnx.NodeProto], value: str, source: str
) -> Iterator[str]:
    """Yield the values from `source` (excluded) to `value` (included), backwards."""
    if value == source:
        return
    yield value
    for before in moved_inputs(made_by[value]):
        yield from _moved(made_by, before, source)


def _by_owner(
    found: GraphProfile, owners: dict[str, tuple[str, ...]]
) -> dict[str, float]:
    spent: dict[str, float] = defaultdict(float)
    for node in found.nodes:
        output = _TILE.sub("", node.output)
        if node.operator.startswith("QLinear"):  # quantizes its own output
            output = output.removesuffix(".u8").removesuffix(".s8")
        names = owners.get(output, ())
        for name in names:
            spent[name] += node.seconds / len(names)
    return spent
