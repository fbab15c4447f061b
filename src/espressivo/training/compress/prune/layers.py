"""What can be removed of a network: heads, neurons, channels, and whole blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from espressivo.errors import TrainingError
from espressivo.training.networks.hubert import HubertNetwork
from espressivo.training.networks.light_sernet import LightSernet
from espressivo.training.networks.whisper import HEAD, EncoderSize
from espressivo.training.networks.whisper_network import WhisperNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from espressivo.training.networks.network import EmotionNetwork


# Of Whisper's attention: what has a row for each number of a head.
_ROWS = ("query.weight", "query.bias", "key.weight", "value.weight", "value.bias")
# Of a convolution and its batch norm: what has a number for each channel.
_CHANNELS = (
    *("0.weight", "0.bias", "1.weight", "1.bias"),
    *("1.running_mean", "1.running_var"),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a tensor along which the units of a layer lie.

    Attributes:
        tensor: Name of the tensor in the network's state.
        axis: Its axis.
        size: Length of one unit along the axis.
        offset: Where the first unit begins.
    """

    tensor: str
    axis: int
    size: int = 1
    offset: int = 0


@dataclass(frozen=True, slots=True)
class PrunableLayer:
    """A layer of which units can be removed.

    Attributes:
        name: Name in reports, such as `blocks.0.heads`.
        block: Name of the block that it belongs to; empty if it belongs to none.
        n_units: Number of its units: heads, neurons or channels.
        least: Number of units that must stay: 1 if what follows needs an input.
        gated: Name of the module before which units are scaled to measure their
            importance; for channels the module after which they are.
        size: How many numbers of its input are one unit.
        axes: Where the units lie in the network's tensors.
        rest: Prefixes of the tensors that are removed with the last unit.
    """

    name: str
    block: str
    n_units: int
    least: int
    gated: str
    size: int
    axes: tuple[Axis, ...]
    rest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prunable:
    """What can be removed of a network.

    Attributes:
        layers: Layers of which units can be removed.
        blocks: Names of the blocks that can be removed whole.
        counted: Prefixes of the tensors whose parameters a share refers to.
        settings: Function from the units kept, by layer name, to `encoder_settings`.
    """

    layers: tuple[PrunableLayer, ...]
    blocks: tuple[str, ...]
    counted: tuple[str, ...]
    settings: Callable[[Mapping[str, int]], dict[str, Any]]


Kept = dict[str, "NDArray[np.bool_]"]
"""Name of a layer -> whether each of its units is kept, [n_units]."""


def prunable_parts(network: EmotionNetwork) -> Prunable:
    """Return what can be removed of a network.

    Raises:
        TrainingError: Nothing can.
    """
    if isinstance(network, WhisperNetwork):
        parts = _whisper(network)
    elif isinstance(network, HubertNetwork):
        parts = _hubert(network)
    elif isinstance(network, LightSernet):
        parts = _light_sernet(network)
    else:
        raise TrainingError(
            f"network.kind is '{network.config.kind}', which has no heads, neurons, "
            "channels or blocks to remove; prune a transformer or LIGHT-SERNET"
        )
    return parts


def keep_everything(parts: Prunable) -> Kept:
    """Return that all units are kept."""
    return {layer.name: np.ones(layer.n_units, bool) for layer in parts.layers}


def keep_least(parts: Prunable) -> Kept:
    """Return that only the units are kept that must stay."""
    kept = {layer.name: np.zeros(layer.n_units, bool) for layer in parts.layers}
    for layer in parts.layers:
        kept[layer.name][: layer.least] = True
    return kept


def count_kept(network: EmotionNetwork, parts: Prunable, kept: Kept) -> int:
    """Return the number of counted parameters that are left, see `Prunable`."""
    names = {name for name, _ in network.named_parameters()}
    state = {n: t for n, t in network.state_dict().items() if n in names}
    return sum(
        int(np.prod(shape))
        for name, shape in _kept_shapes(parts, kept, state)
        if name.startswith(parts.counted)
    )


def cut_state(
    network: EmotionNetwork, parts: Prunable, kept: Kept
) -> dict[str, Tensor]:
    """Return the network's tensors without what is removed."""
    state = network.state_dict()
    masks: dict[tuple[str, int], NDArray[np.bool_]] = {}
    for layer in parts.layers:
        for axis in layer.axes:
            key = (axis.tensor, axis.axis)
            length = state[axis.tensor].shape[axis.axis]
            mask = masks.setdefault(key, np.ones(length, bool))
            end = axis.offset + layer.n_units * axis.size
            mask[axis.offset : end] = np.repeat(kept[layer.name], axis.size)
    left = {name for name, _ in _kept_shapes(parts, kept, state)}
    state = {name: tensor for name, tensor in state.items() if name in left}
    for (name, axis_), mask in masks.items():
        if name in state:
            chosen = torch.from_numpy(np.flatnonzero(mask)).to(state[name].device)
            state[name] = state[name].index_select(axis_, chosen)
    return {name: tensor.clone() for name, tensor in state.items()}


def _kept_shapes(
    parts: Prunable, kept: Kept, state: Mapping[str, Tensor]
) -> Iterator[tuple[str, list[int]]]:
    """Yield the names and shapes of the tensors that are left."""
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    gone: list[str] = []
    by_block: dict[str, int] = {}
    for layer in parts.layers:
        n_kept = int(kept[layer.name].sum())
        by_block[layer.block] = by_block.get(layer.block, 0) + n_kept
        for axis in layer.axes:
            if axis.tensor in shapes:
                removed = (layer.n_units - n_kept) * axis.size
                shapes[axis.tensor][axis.axis] -= removed
        if not n_kept:
            gone += layer.rest
    gone += [f"{block}." for block, n in by_block.items() if block and not n]
    for name, shape in shapes.items():
        if not name.startswith(tuple(gone)):
            yield name, shape


def _whisper(network: WhisperNetwork) -> Prunable:
    size = EncoderSize.from_settings(network.encoder_settings)
    layers = []
    counts = zip(size.all_heads, size.all_neurons, strict=True)
    for index, (n_heads, n_neurons) in enumerate(counts):
        name, block = f"blocks.{index}", f"encoder.blocks.{index}"
        if n_heads:
            attention = f"{block}.attn"
            modules = (attention, f"{attention}_ln")
            layers.append(
                _heads(name, block, n_heads, size=HEAD, modules=modules, rows=_ROWS)
            )
        if n_neurons:
            layers.append(
                PrunableLayer(
                    name=f"{name}.neurons",
                    block=block,
                    n_units=n_neurons,
                    least=0,
                    gated=f"{block}.mlp.2",
                    size=1,
                    axes=(
                        Axis(f"{block}.mlp.0.weight", 0),
                        Axis(f"{block}.mlp.0.bias", 0),
                        Axis(f"{block}.mlp.2.weight", 1),
                    ),
                    rest=(f"{block}.mlp.", f"{block}.mlp_ln."),
                )
            )

    def settings(units: Mapping[str, int]) -> dict[str, Any]:
        heads, neurons = _block_counts(units, size.n_blocks)
        pruned = EncoderSize(size.width, size.n_blocks, tuple(heads), tuple(neurons))
        return pruned.to_settings()

    return Prunable(tuple(layers), _blocks(layers), ("encoder.blocks.",), settings)


def _hubert(network: HubertNetwork) -> Prunable:
    found = network.encoder_settings
    stack = cast("nn.ModuleList", network.encoder.get_submodule("encoder.layers"))
    layers = []
    for index, module in enumerate(stack):
        name, block = f"blocks.{index}", f"encoder.encoder.layers.{index}"
        parts: dict[str, Any] = dict(module.named_children())
        attention, forward = parts.get("attention"), parts.get("feed_forward")
        if attention is not None and hasattr(attention, "q_proj"):
            rows = tuple(f"{p}_proj.{t}" for p in "qkv" for t in ("weight", "bias"))
            prefix = f"{block}.attention"
            modules = (prefix,)
            layers.append(
                _heads(
                    name,
                    block,
                    attention.num_heads,
                    size=attention.head_dim,
                    modules=modules,
                    rows=rows,
                    out="out_proj",
                )
            )
        if forward is not None and hasattr(forward, "output_dense"):
            prefix = f"{block}.feed_forward"
            layers.append(
                PrunableLayer(
                    name=f"{name}.neurons",
                    block=block,
                    n_units=forward.output_dense.in_features,
                    least=0,
                    gated=f"{prefix}.output_dense",
                    size=1,
                    axes=(
                        Axis(f"{prefix}.intermediate_dense.weight", 0),
                        Axis(f"{prefix}.intermediate_dense.bias", 0),
                        Axis(f"{prefix}.output_dense.weight", 1),
                    ),
                    rest=(f"{prefix}.",),
                )
            )

    def settings(units: Mapping[str, int]) -> dict[str, Any]:
        heads, neurons = _block_counts(units, len(stack))
        # Counts of the blocks above those that `n_layers` keeps; none is built.
        n_more = found["num_hidden_layers"] - len(stack)
        heads += [found["num_attention_heads"]] * n_more
        neurons += [found["intermediate_size"]] * n_more
        return {**found, "heads": heads, "neurons": neurons}

    counted = ("encoder.encoder.layers.",)
    return Prunable(tuple(layers), _blocks(layers), counted, settings)


def _light_sernet(network: LightSernet) -> Prunable:
    """Channels of all convolutions but the last, whose outputs are the embedding."""
    paths = [f"paths.{i}" for i in range(len(network.paths))]
    body = [f"body.{i}" for i in range(len(network.body))]
    state = network.state_dict()
    layers, offset = [], 0
    for index, name in enumerate([*paths, *body[:-1]]):
        n = len(state[f"{name}.0.weight"])
        parallel = index < len(paths)
        after = body[0] if parallel else body[index - len(paths) + 1]
        own = (f"{name}.{tensor}" for tensor in _CHANNELS)
        axes = [Axis(tensor, 0) for tensor in own if tensor in state]
        axes.append(Axis(f"{after}.0.weight", 1, 1, offset if parallel else 0))
        gated = f"{name}.2"  # ReLU
        layers.append(
            PrunableLayer(f"{name}.channels", "", n, 1, gated, 1, tuple(axes))
        )
        offset += n

    def settings(units: Mapping[str, int]) -> dict[str, Any]:
        return {"channels": [units[layer.name] for layer in layers]}

    return Prunable(tuple(layers), (), ("paths.", "body."), settings)


def _heads(
    name: str,
    block: str,
    n_heads: int,
    *,
    size: int,
    modules: tuple[str, ...],
    rows: tuple[str, ...],
    out: str = "out",
) -> PrunableLayer:
    """Return the heads of a block's attention, the first of `modules`."""
    attention = modules[0]
    axes = [Axis(f"{attention}.{row}", 0, size) for row in rows]
    axes.append(Axis(f"{attention}.{out}.weight", 1, size))
    return PrunableLayer(
        name=f"{name}.heads",
        block=block,
        n_units=n_heads,
        least=0,
        gated=f"{attention}.{out}",
        size=size,
        axes=tuple(axes),
        rest=tuple(f"{module}." for module in modules),
    )


def _blocks(layers: list[PrunableLayer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer.block for layer in layers))


def _block_counts(
    units: Mapping[str, int], n_blocks: int
) -> tuple[list[int], list[int]]:
    """Return the heads and the neurons of each block; 0 where there are none."""
    heads, neurons = (
        [units.get(f"blocks.{i}.{kind}", 0) for i in range(n_blocks)]
        for kind in ("heads", "neurons")
    )
    return heads, neurons
