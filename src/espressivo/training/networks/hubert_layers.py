"""Transformer blocks of the HuBERT family without what was pruned of them."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from espressivo.errors import TrainingError

PRUNED = ("heads", "neurons")
"""Encoder settings of pruned networks: a list each, of counts by block."""


def pruned_counts(settings: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the heads and neurons that each block kept; empty for a whole encoder.

    Raises:
        TrainingError: The counts do not belong to an encoder of these settings.
    """
    if not any(key in settings for key in PRUNED):
        return {}
    n_blocks = settings["num_hidden_layers"]
    most = (settings["num_attention_heads"], settings["intermediate_size"])
    for key, whole in zip(PRUNED, most, strict=True):
        counts = settings.get(key)
        if (
            not isinstance(counts, list)
            or len(counts) != n_blocks
            or not all(isinstance(n, int) and 0 <= n <= whole for n in counts)
        ):
            raise TrainingError(
                f"encoder settings: {key} is {counts!r}, not {n_blocks} counts from 0 "
                f"to {whole}; prune again into another folder"
            )
    return {key: list(settings[key]) for key in PRUNED}


def cut_blocks(encoder: nn.Module, counts: Mapping[str, list[int]]) -> None:
    """Replace the layers of an encoder's blocks by smaller ones with random weights.

    A block without heads has no attention, one without neurons no feed-forward layer;
    one with neither returns its input, without its norms.

    Args:
        encoder: Encoder of transformers; it is modified.
        counts: What `pruned_counts` returns. Blocks beyond those of `encoder` are
            ignored.
    """
    layers = cast("nn.ModuleList", encoder.get_submodule("encoder.layers"))
    for index, layer in enumerate(list(layers)):
        n_heads, n_neurons = (counts[key][index] for key in PRUNED)
        if not n_heads and not n_neurons:
            layers[index] = _Removed()
            continue
        attention = layer.get_submodule("attention")
        forward = layer.get_submodule("feed_forward")
        if not n_heads:
            layer.add_module("attention", _RemovedAttention())
        elif n_heads != attention.num_heads:
            _cut_attention(attention, n_heads)
        if not n_neurons:
            layer.add_module("feed_forward", _RemovedFeedForward())
        elif n_neurons != cast("nn.Linear", forward.intermediate_dense).out_features:
            width = cast("nn.Linear", forward.output_dense).out_features
            forward.add_module("intermediate_dense", nn.Linear(width, n_neurons))
            forward.add_module("output_dense", nn.Linear(n_neurons, width))


def _cut_attention(attention: nn.Module, n_heads: int) -> None:
    width = cast("int", attention.embed_dim)
    inner = n_heads * cast("int", attention.head_dim)
    for name in ("q_proj", "k_proj", "v_proj"):
        attention.add_module(name, nn.Linear(width, inner))
    attention.add_module("out_proj", nn.Linear(inner, width))
    vars(attention)["num_heads"] = n_heads


class _Removed(nn.Module):
    """A block that was removed: its output is its input."""

    def forward(self, hidden_states: Tensor, **_: Any) -> Tensor:
        return hidden_states


class _RemovedAttention(nn.Module):
    """Attention of a block that has no heads; the block adds its output."""

    def forward(self, hidden_states: Tensor, **_: Any) -> tuple[Tensor, None]:
        return torch.zeros_like(hidden_states), None


class _RemovedFeedForward(nn.Module):
    """Feed-forward layer of a block that has no neurons; the block adds its output."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        return torch.zeros_like(hidden_states)
