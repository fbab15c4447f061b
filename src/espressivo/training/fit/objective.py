"""The training objective: emotion loss and an adversarial speaker classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from espressivo.training.fit.loss import focal_loss

if TYPE_CHECKING:
    from espressivo.training.clips.batches import Batch
    from espressivo.training.config import LossConfig
    from espressivo.training.networks.network import EmotionNetwork


class Objective(nn.Module):
    """A network with its emotion loss and an adversarial speaker classifier.

    The adversary learns to identify speakers; through gradient reversal, the network
    learns embeddings that do not identify them. Such embeddings generalize better to
    new speakers.

    Source: Ganin et al. (2016), domain-adversarial training, with speakers as domains.
    """

    alpha: Tensor

    def __init__(
        self,
        network: EmotionNetwork,
        config: LossConfig,
        n_speakers: int,
        alpha: Tensor | None = None,
    ) -> None:
        """Combine a network with its loss.

        Args:
            network: The network, with the initial weights of its encoder.
            config: Settings of the loss.
            n_speakers: Number of classes of the adversary.
            alpha: float [4], weight of each class; all 1 when None.
        """
        super().__init__()
        self.network = network
        self.config = config
        weights = torch.ones(network.classify.out_features) if alpha is None else alpha
        self.register_buffer("alpha", weights, persistent=False)
        self.adversary = None
        if config.adversary:
            width = network.classify.in_features
            self.adversary = nn.Sequential(
                nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, n_speakers)
            )

    def forward(self, batch: Batch, precision: torch.dtype = torch.float32) -> Tensor:
        """Return the loss of a batch, a scalar; matrix products have `precision`."""
        network, config = self.network, self.config
        enabled = precision != torch.float32
        kind = batch.target.device.type
        # Only the embedding is in half precision; logits and loss are float32.
        with torch.autocast(kind, precision if enabled else None, enabled=enabled):
            embedding = network.embedding(batch.frames)
        logits = network.classify(network.dropout(embedding.float()))
        loss = focal_loss(
            logits, batch.target, self.alpha, config.gamma, config.smoothing
        )
        if self.adversary is not None:
            guess = self.adversary(reverse_gradient(embedding.float()))
            # Added, not subtracted: the adversary itself descends, and the reversal
            # turns the sign for the network alone.
            loss = loss + config.adversary * functional.cross_entropy(
                guess, batch.speaker
            )
        return loss


def reverse_gradient(x: Tensor) -> Tensor:
    """Return `x`; the sign of its gradient is reversed."""
    reversed_: Tensor = _Reverse.apply(x)  # type: ignore[no-untyped-call]
    return reversed_


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]
