"""The training objective: losses of emotions and dimensions, adaptation, adversary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from espressivo.training.config import AdaptationConfig
from espressivo.training.fit.adaptation import (
    Adaptation,
    Step,
    domain_classifier,
    make_adaptation,
    reverse_gradient,
)
from espressivo.training.fit.loop import TrainedObjective
from espressivo.training.fit.loss import concordance_loss, focal_losses

if TYPE_CHECKING:
    from espressivo.training.clips.batches import Batch
    from espressivo.training.config import LossConfig, Task
    from espressivo.training.networks.network import EmotionNetwork


class Objective(TrainedObjective["Batch"]):
    """A network with its losses, domain adaptation and a speaker adversary.

    The adversary learns to identify speakers; through gradient reversal, the network
    learns embeddings that do not identify them. Such embeddings generalize better to
    new speakers.

    Source: Ganin et al. (2016), domain-adversarial training, with speakers as domains.
    """

    alpha: Tensor
    dimension_weights: Tensor | None

    def __init__(
        self,
        network: EmotionNetwork,
        config: LossConfig,
        n_speakers: int,
        alpha: Tensor | None = None,
        adaptation: Adaptation | None = None,
        *,
        task: Task = "emotions",
    ) -> None:
        """Combine a network with its loss.

        Args:
            network: The network, with the initial weights of its encoder.
            config: Settings of the loss.
            n_speakers: Number of classes of the adversary.
            alpha: float [4], weight of each class; all 1 when None.
            adaptation: Method of domain adaptation; none when None.
            task: What is learned, see `ExperimentConfig`.
        """
        super().__init__()
        self.network = network
        self.config = config
        self.task = task
        weights = torch.ones(network.classify.out_features) if alpha is None else alpha
        self.register_buffer("alpha", weights, persistent=False)
        shares = config.dimension_weights
        self.register_buffer(
            "dimension_weights",
            torch.tensor(shares) if shares else None,
            persistent=False,
        )
        self.adaptation = adaptation or make_adaptation(
            AdaptationConfig(), network, n_domains=1, n_steps=1
        )
        self.adversary = None
        if config.adversary:
            width = network.classify.in_features
            self.adversary = domain_classifier(width, n_speakers)

    def forward(self, batch: Batch, precision: torch.dtype = torch.float32) -> Tensor:
        """Return the loss of a batch, a scalar; matrix products have `precision`."""
        network, config, adaptation = self.network, self.config, self.adaptation
        enabled = precision != torch.float32
        kind = batch.target.device.type
        frames = adaptation.frames(batch.frames, batch.domain)
        # Only the embedding is in half precision; logits and loss are float32.
        with torch.autocast(kind, precision if enabled else None, enabled=enabled):
            embedding = network.embedding(frames)
        embedding = adaptation.embedding(embedding.float(), batch.domain)
        dropped = network.dropout(embedding)
        loss = self._emotion_loss(batch, embedding, dropped)
        if self.task == "dimensions":
            loss = loss + self._dimension_loss(batch, dropped)
        elif self.task == "both":
            loss = config.emotions * loss
            loss = loss + config.dimensions * self._dimension_loss(batch, dropped)
        if self.adversary is not None:
            guess = self.adversary(reverse_gradient(embedding[: len(batch.target)]))
            loss = loss + config.adversary * functional.cross_entropy(
                guess, batch.speaker
            )
        return loss

    def _emotion_loss(self, batch: Batch, embedding: Tensor, dropped: Tensor) -> Tensor:
        """Return the focal loss with its adaptation, a scalar.

        Args:
            batch: The batch.
            embedding: float [B, width].
            dropped: The same after dropout.
        """
        config, n_labelled = self.config, len(batch.target)
        known = batch.target >= 0
        if not known.all():  # never with domain adaptation, see `uses_rated`
            return self._known_emotion_loss(batch, known, dropped)
        if self.task == "dimensions":
            # The classifier learns what the embedding tells of emotions anyway.
            dropped = dropped.detach()
        logits = self.network.classify(dropped)
        losses = focal_losses(
            logits[:n_labelled],
            batch.target,
            self.alpha,
            config.gamma,
            config.smoothing,
            votes=batch.votes,
        )
        features = embedding if self.adaptation.aligns_embedding else logits
        step = Step(losses, batch.target, features, logits, batch.domain)
        loss: Tensor = self.adaptation(step)
        return loss

    def _known_emotion_loss(
        self, batch: Batch, known: Tensor, dropped: Tensor
    ) -> Tensor:
        """Return the focal loss of the clips that have an emotion, bool `known` [B]."""
        if self.task == "dimensions":
            dropped = dropped.detach()
        losses = focal_losses(
            self.network.classify(dropped[known]),
            batch.target[known],
            self.alpha,
            self.config.gamma,
            self.config.smoothing,
            votes=None if batch.votes is None else batch.votes[known],
        )
        return losses.sum() / known.sum().clamp(min=1)

    def _dimension_loss(self, batch: Batch, dropped: Tensor) -> Tensor:
        """Return 1 - CCC of the rated clips, a scalar; `dropped` is [B, width]."""
        head, rated = self.network.dimensions, batch.ratings
        assert head is not None
        assert rated is not None
        predicted = head(dropped[: len(rated)]).sigmoid()
        return concordance_loss(predicted, rated, self.dimension_weights)
