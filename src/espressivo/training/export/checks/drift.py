"""Where a graph first leaves the torch network that it was written from."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from espressivo.training.export.session import open_proto
from espressivo.training.networks import (
    HubertNetwork,
    LightSernet,
    StatisticsNetwork,
    WhisperNetwork,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import NDArray

Layers = dict[str, nn.Module]
"""Name of a value of the graph -> the module that returns it, in the order computed."""


def drifting_state(
    network: nn.Module,
    model: onnx.ModelProto,
    samples: NDArray[np.float32],
    heard: NDArray[np.float32],
    largest: float,
) -> str:
    """Say which value is the first to leave torch's, for an error message.

    Args:
        network: Wrote the graph.
        model: The graph.
        samples: What enters the graph [B, time].
        heard: What enters the network, for the same sound.
        largest: Drift that is let pass, as a share of a value's peak.
    """
    written = {output for node in model.graph.node for output in node.output}
    layers = {n: m for n, m in layers_of(network).items() if n in written}
    if not layers:
        return "its states cannot be compared"
    wanted = _run_torch(network, layers, heard)
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
        drift = float(np.abs(state - other).max() / np.abs(state).max())
        if not drift <= largest:  # also when it is not a number
            return f"{name} is the first state to drift, by {drift:.2g} of its peak"
    return f"all states to {name} agree, so what follows them drifts"


@singledispatch
def layers_of(network: nn.Module) -> Layers:
    """Return what can be compared, one implementation a kind of network."""
    del network
    return {}


@layers_of.register
def _(network: WhisperNetwork) -> Layers:
    encoder = network.encoder
    layers = {"mel": network.logmel, "conv1": encoder.conv1, "conv2": encoder.conv2}
    blocks = {f"hidden.{i}": block for i, block in enumerate(encoder.blocks, 1)}
    return layers | blocks | {"embedding": network.pooling}


@layers_of.register
def _(network: HubertNetwork) -> Layers:
    def part(name: str) -> nn.Module:
        return network.encoder.get_submodule(name)

    convolutions = part("feature_extractor.conv_layers").children()
    features = {f"conv.{i}.gelu": layer for i, layer in enumerate(convolutions)}
    entry = {
        "projection": part("feature_projection"),
        "positions.gelu": part("encoder.pos_conv_embed"),
        "hidden.0": part("encoder.layer_norm"),
    }
    blocks = part("encoder.layers").children()
    states = {f"hidden.{i}": block for i, block in enumerate(blocks, 1)}
    return features | entry | states | {"embedding": network.pooling}


@layers_of.register
def _(network: LightSernet) -> Layers:
    paths = {f"paths.{i}": path for i, path in enumerate(network.paths)}
    body = {f"hidden.{i}": block for i, block in enumerate(network.body, 1)}
    return {"mfcc": network.mfcc} | paths | body


@layers_of.register
def _(network: StatisticsNetwork) -> Layers:
    return {"mel": network.logmel}


def _run_torch(
    network: nn.Module, layers: Mapping[str, nn.Module], heard: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return what the modules return; blocks that are not used return nothing."""
    seen: dict[str, NDArray[np.float32]] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            state = output if isinstance(output, Tensor) else output[0]
            seen[name] = state.detach().float().numpy()

        return hook

    hooks = [m.register_forward_hook(keep(name)) for name, m in layers.items()]
    try:
        with torch.inference_mode():
            network.eval()(torch.from_numpy(heard))
    finally:
        for hook in hooks:
            hook.remove()
    return seen
