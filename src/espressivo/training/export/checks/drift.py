"""Location of the layer whose output differs from torch or another graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from espressivo.training.export.session import open_proto
from espressivo.training.networks.registry import entry_of, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from espressivo.types import Signal

Layers = dict[str, nn.Module]
"""Name of a value of the graph -> the module that returns it, in the order computed."""


def drifting_state(
    network: nn.Module,
    model: onnx.ModelProto,
    samples: NDArray[np.float32],
    conditioned: NDArray[np.float32],
    largest: float,
) -> str:
    """Return a description of the first value that differs from torch.

    Args:
        network: The network that the graph was written from.
        model: The graph.
        samples: Input of the graph [B, time].
        conditioned: Input of the network, for the same sound.
        largest: Tolerated drift, as a share of a value's peak.
    """
    written = {output for node in model.graph.node for output in node.output}
    layers = {n: m for n, m in _layers(network).items() if n in written}
    if not layers:
        return "its states cannot be compared"
    wanted = _run_torch(network, layers, conditioned)
    session = open_proto(model, layers)
    found = dict(
        zip(layers, session.run(list(layers), {"samples": samples}), strict=True)
    )
    for name in layers:
        state, other = wanted[name], found[name]
        if state.shape != other.shape and state.ndim == 3:
            state = state.swapaxes(1, 2)  # the graph has frames before channels
        if state.shape != other.shape:
            return f"{name} is {other.shape}, not {state.shape}"
        # As a share of the peak, since states of layers differ in scale.
        drift = float(np.abs(state - other).max() / np.abs(state).max())
        if not drift <= largest:  # also when it is not a number
            return f"{name} is the first state to drift, by {drift:.2g} of its peak"
    return f"all states to {name} agree, so what follows them drifts"


def _layers(network: nn.Module) -> Layers:
    """Return the layers to compare; none where the registry names none."""
    entry = entry_of(network)
    return resolve(entry.layers)(network) if entry and entry.layers else {}


def most_changed_state(
    fp32: onnx.ModelProto, other: onnx.ModelProto, signal: Signal
) -> str:
    """Name the hidden state that is furthest from the exact graph's, for a message."""
    written = [output for node in other.graph.node for output in node.output]
    # Whole states: a second dot marks a value inside a block.
    names = [n for n in written if n.startswith("hidden.") and n.count(".") == 1]
    if not names:
        return "the graph names no states that could be compared"
    states = [_states(model, names, signal) for model in (fp32, other)]
    drift = {
        name: float(np.abs(found - exact).max() / np.abs(exact).max())
        for name, exact, found in zip(names, *states, strict=True)
    }
    worst = max(drift, key=lambda name: drift[name])
    return f"most of all states by {worst} ({drift[worst]:.2g} of its peak)"


def _states(
    model: onnx.ModelProto, names: Sequence[str], signal: Signal
) -> list[NDArray[np.float32]]:
    # Through a Cast: a state may be fp16, and `open_proto` declares float32.
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = [f"{name}.watched" for name in names]
    watched.graph.node.extend(
        helper.make_node("Cast", [name], [output], to=TensorProto.FLOAT)
        for name, output in zip(names, outputs, strict=True)
    )
    found: list[NDArray[np.float32]] = open_proto(watched, outputs).run(
        outputs, {"samples": signal[None]}
    )
    return found


def _run_torch(
    network: nn.Module,
    layers: Mapping[str, nn.Module],
    conditioned: NDArray[np.float32],
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of the modules that run; unused blocks have none."""
    seen: dict[str, NDArray[np.float32]] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            state = output if isinstance(output, Tensor) else output[0]
            seen[name] = state.detach().float().numpy()

        return hook

    hooks = [m.register_forward_hook(keep(name)) for name, m in layers.items()]
    try:
        with torch.inference_mode():
            network.eval()(torch.from_numpy(conditioned))
    finally:
        for hook in hooks:
            hook.remove()
    return seen
