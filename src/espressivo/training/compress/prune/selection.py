"""Selection of the units that are removed, and the network without them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.compress.prune.layers import (
    Kept,
    Prunable,
    count_kept,
    cut_state,
    keep_everything,
)
from espressivo.training.networks import build_network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.networks import NetworkConfig
    from espressivo.training.networks.network import EmotionNetwork


def trainable(config: NetworkConfig) -> NetworkConfig:
    """Return the settings of the same network with nothing frozen.

    Which layers are frozen decides where the front ends, and no tensor.
    """
    return replace(config, frozen="nothing", n_frozen=0, encoder_dropout=0.0)


def rebuild(
    config: NetworkConfig, settings: Mapping[str, Any], state: Mapping[str, Tensor]
) -> EmotionNetwork:
    """Return the network of these settings and tensors, in evaluation mode."""
    network = build_network(config, settings or None)
    network.load_state_dict(dict(state))
    return network.eval()


def without(network: EmotionNetwork, parts: Prunable, kept: Kept) -> EmotionNetwork:
    """Return a copy of a network without the units that are not kept."""
    settings = parts.settings({name: int(units.sum()) for name, units in kept.items()})
    pruned = rebuild(network.config, settings, cut_state(network, parts, kept))
    return pruned.to(network.classify.weight.device)


def choose_kept(
    network: EmotionNetwork,
    parts: Prunable,
    importance: Mapping[str, NDArray[np.float64]],
    n_parameters: int,
) -> Kept:
    """Return which units to keep so that at most `n_parameters` counted ones are left.

    Units and blocks are removed in the order of their importance for each parameter,
    the least first.
    """
    kept = keep_everything(parts)
    n_before = count_kept(network, parts, kept)
    order: list[tuple[float, str, int]] = []
    for layer in parts.layers:
        one_less = kept | {layer.name: np.arange(layer.n_units) > 0}
        size = n_before - count_kept(network, parts, one_less)
        scores = importance[layer.name] / size
        order += [(float(score), layer.name, unit) for unit, score in enumerate(scores)]
    members = {
        block: [layer.name for layer in parts.layers if layer.block == block]
        for block in parts.blocks
    }
    for block, names in members.items():
        none = {name: np.zeros_like(kept[name]) for name in names}
        size = n_before - count_kept(network, parts, kept | none)
        order.append((float(importance[block][0]) / size, block, -1))
    least = {layer.name: layer.least for layer in parts.layers}
    order.sort()

    def without_first(n: int) -> Kept:
        left = keep_everything(parts)
        for _, name, unit in order[:n]:
            if name in members:
                for member in members[name]:
                    left[member][:] = False
            elif left[name].sum() > least[name]:
                left[name][unit] = False
        return left

    n_removed = bisect_left(
        range(len(order)),
        True,
        key=lambda n: count_kept(network, parts, without_first(n)) <= n_parameters,
    )
    return without_first(n_removed)
