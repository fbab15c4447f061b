"""Importance of units: how far the network's output moves if one is removed.

A gate of 1 scales every unit. To first order, removing unit u moves an output o by
do/dg_u, the derivative by its gate, so that the squared distance is |do/dg_u|^2. For a
random v of covariance 1 its expectation is that of (d(v o)/dg_u)^2, which one backward
pass gives for all units and all recordings of a batch.

No labels are needed, and the output is compared with itself: the gradient of the
distillation loss would be 0 at the network that is to be pruned.

Source: Michel et al. (2019), section 4.1 (gates of heads); Molchanov et al. (2019),
eq. 8 (first-order importance, squared, of gates); Hutchinson (1990) for the random v.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from espressivo.training.compress.prune.layers import Prunable, PrunableLayer
    from espressivo.training.networks.network import EmotionNetwork, Frames

N_PROBES = 8
"""Random directions of the output for each batch of recordings."""


@dataclass(frozen=True, slots=True)
class OutputScale:
    """Square roots of the summed variances of an unpruned network's outputs.

    Attributes:
        embedding: That of the embedding, over recordings.
        logits: That of the logits.
    """

    embedding: float
    logits: float


@torch.no_grad()
def measure_scale(network: EmotionNetwork, batches: Sequence[Frames]) -> OutputScale:
    """Return the scale of a network's outputs on calibration recordings."""
    embeddings = torch.cat([network.embedding(frames) for frames in batches])
    logits = torch.cat([network.logits(frames) for frames in batches])
    # Of a constant output the scale must not be 0.
    found = ((part.var(0).sum() + 1e-12).sqrt() for part in (embeddings, logits))
    return OutputScale(*map(float, found))


def scaled_outputs(
    network: EmotionNetwork, frames: Frames, scale: OutputScale
) -> Tensor:
    """Return embedding and logits [B, width + 4] in units of their variance.

    The squared distance of two networks' outputs is the share of the embedding's
    variance that they do not have in common, plus that of the logits.
    """
    embedding = network.embedding(frames)
    logits = network.background(network.classify(embedding), embedding)
    return torch.cat([embedding / scale.embedding, logits / scale.logits], 1)


def measure_importance(
    network: EmotionNetwork,
    parts: Prunable,
    batches: Sequence[Frames],
    scale: OutputScale,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Return the importance of each unit [n_units] and block [1], by name.

    It is the mean over recordings of the squared distance by which the outputs move.

    Args:
        network: The network in evaluation mode; its gradients are not touched.
        parts: What can be removed of it.
        batches: Calibration recordings.
        scale: Units of the outputs.
        seed: Seed of the random directions.
    """
    random = torch.Generator().manual_seed(seed)
    totals = {layer.name: np.zeros(layer.n_units) for layer in parts.layers}
    totals |= {block: np.zeros(1) for block in parts.blocks}
    n_rows = 0
    for frames in batches:
        n = len(frames.values)
        device = frames.values.device
        gates = {
            name: torch.ones(n, len(total), device=device, requires_grad=True)
            for name, total in totals.items()
        }
        with _gated(network, parts, gates):
            outputs = scaled_outputs(network, frames, scale)
        for probe in range(N_PROBES):
            v = torch.randn(outputs.shape, generator=random).to(device)
            found = torch.autograd.grad(
                (outputs * v).sum(),
                list(gates.values()),
                retain_graph=probe < N_PROBES - 1,
                allow_unused=True,  # blocks above the highest state in use
            )
            for name, gradient in zip(gates, found, strict=True):
                if gradient is not None:
                    squares = gradient.double().square().sum(0) / N_PROBES
                    totals[name] += squares.cpu().numpy()
        n_rows += n
    return {name: total / n_rows for name, total in totals.items()}


@contextmanager
def _gated(
    network: EmotionNetwork, parts: Prunable, gates: dict[str, Tensor]
) -> Iterator[None]:
    """Multiply units, and what blocks add, by gates [B, n_units]."""
    with ExitStack() as hooks:
        for layer in parts.layers:
            hooks.callback(_gate_layer(network, layer, gates[layer.name]).remove)
        for block in parts.blocks:
            hooks.callback(_gate_block(network, block, gates[block]).remove)
        yield


def _gate_layer(network: EmotionNetwork, layer: PrunableLayer, gate: Tensor) -> Any:
    module = network.get_submodule(layer.gated)
    if not layer.block:  # channels [B, C, T, F]
        return module.register_forward_hook(
            lambda _module, _args, output: output * gate[:, :, None, None]
        )
    wide = gate.repeat_interleave(layer.size, 1).unsqueeze(1)  # [B, 1, inner]
    return module.register_forward_pre_hook(lambda _module, args: (args[0] * wide,))


def _gate_block(network: EmotionNetwork, block: str, gate: Tensor) -> Any:
    def scale(_: Any, args: tuple[Tensor, ...], output: Any) -> Any:
        x = args[0]
        state = output if isinstance(output, Tensor) else output[0]
        scaled = x + gate.unsqueeze(1) * (state - x)
        return scaled if isinstance(output, Tensor) else (scaled, *output[1:])

    return network.get_submodule(block).register_forward_hook(scale)
