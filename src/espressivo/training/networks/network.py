"""Interface of all networks, for training, caches, evaluation and export."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from espressivo.training.networks.config import NetworkConfig, require_dimensions
from espressivo.types import Emotion


class Frames(NamedTuple):
    """Output of a network's front for a batch; cached on disk between epochs.

    Attributes:
        values: Frames, float [B, T, ...]; zero beyond the valid frames of a row.
        counts: Number of valid frames per row, int64 [B]; all if None.
    """

    values: Tensor
    counts: Tensor | None


class Standardize(nn.Module):
    """Standardize by statistics of the training recordings, fixed before training."""

    mean: Tensor
    scale: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        # Buffers, so that weights files and exported graphs hold them.
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def fit(self, rows: Tensor) -> None:
        """Set mean and deviation of the standardization from `rows` [N, *shape]."""
        self.mean.copy_(rows.mean(0))
        # A dimension that never changes must not be divided by 0.
        self.scale.copy_(rows.std(0) + 1e-4)

    def fit_all(self, batches: Iterable[Tensor]) -> None:
        """Fit as `fit` does, to the rows [N, *shape] of batches that are read once.

        Source: Chan et al. (1979), merging of means and sums of squares.
        """
        # In float64: there may be millions of rows, all frames of all recordings.
        n, mean, squares = 0, self.mean.double() * 0, self.mean.double() * 0
        for rows in batches:
            shift = rows.mean(0).double() - mean
            total = n + len(rows)
            squares += rows.var(0, correction=0).double() * len(rows)
            squares += shift**2 * (n * len(rows) / total)
            mean += shift * (len(rows) / total)
            n = total
        self.mean.copy_(mean)
        self.scale.copy_((squares / max(1, n - 1)).sqrt() + 1e-4)

    def forward(self, rows: Tensor) -> Tensor:
        """Return standardized rows of the same shape [..., *shape]."""
        return (rows - self.mean) / self.scale


class Background(nn.Module):
    """Logits no lower than that of a further class: sound that is not speech.

    A classifier of four emotions is sure of one of them whatever it hears. Here the
    probability of the further class is shared equally by the emotions, so that noise
    and silence get even probabilities: softmax over C + 1 classes, the last being
    divided by C and added to the others.

    Off until `fit` is called: then nothing changes the logits.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(width))
        self.register_buffer("bias", torch.tensor(-torch.inf))

    @property
    def is_fitted(self) -> bool:
        """Whether the logits have a floor."""
        return bool(self.bias.isfinite())

    def fit(self, weight: Tensor, bias: float, n_classes: int) -> None:
        """Set the logit of the further class, `weight` [width] and `bias`."""
        self.weight.copy_(weight)
        self.bias.fill_(bias - math.log(n_classes))

    def forward(self, logits: Tensor, embedding: Tensor) -> Tensor:
        """Return logits [B, C] for logits [B, C] and embeddings [B, width]."""
        if not self.is_fitted:
            return logits
        floor = embedding @ self.weight + self.bias
        return torch.logaddexp(logits, floor.unsqueeze(1))


class EmotionNetwork(nn.Module, ABC):
    """Interface of all networks: `front`, then the trained layers.

    `front` has no trained parameters, so its output is computed once per recording and
    cached. It is a transform such as a spectrogram, or frozen layers of the encoder.
    """

    encoder_settings: Mapping[str, Any]
    """Architecture of the encoder, as JSON values; empty if the kind determines it."""

    def __init__(self, config: NetworkConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.encoder_settings = {}
        self.standardize = Standardize(width)
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(width, len(Emotion))
        self.background = Background(width)
        require_dimensions(config)
        n_dimensions = len(config.dimensions)
        # After the classifier, whose initial weights must not depend on it.
        self.dimensions = nn.Linear(width, n_dimensions) if n_dimensions else None

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits [B, 4].

        Args:
            samples: float32 [B, samples] at 16 kHz, zero-padded on the right, at least
                0.2 s.
            lengths: Number of valid samples per row, int64 [B]; all if None.
        """
        return self.logits(self.front(samples, lengths))

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch norm to training mode, except in frozen modules."""
        super().train(mode)
        for module in self.modules():
            parameters = list(module.parameters())
            if parameters and not any(p.requires_grad for p in parameters):
                # This also reaches its dropout, which has no parameters of its own.
                module.eval()
        return self

    def logits(self, frames: Frames) -> Tensor:
        """Return logits [B, 4] of the output of `front`."""
        return self.outputs(frames)[0]

    def levels(self, frames: Frames) -> Tensor:
        """Return the dimensions [B, D] of the output of `front`, from 0 to 1.

        D is the number of `config.dimensions`; the order is theirs.
        """
        return self.outputs(frames)[1]

    def outputs(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """Return logits [B, 4] and dimensions [B, D] of the output of `front`."""
        embedding = self.embedding(frames)
        dropped = self.dropout(embedding)
        logits: Tensor = self.background(self.classify(dropped), embedding)
        if self.dimensions is None:
            return logits, embedding[:, :0]
        return logits, self.dimensions(dropped).sigmoid()

    def embedding(self, frames: Frames) -> Tensor:
        """Return the input of the classifier [B, width], before dropout."""
        embedding: Tensor = self.standardize(self.pooled(frames))
        return embedding

    @abstractmethod
    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return frames of `samples` (see `forward`), without trained parameters."""

    @abstractmethod
    def pooled(self, frames: Frames) -> Tensor:
        """Return one vector per clip, [B, width], before it is standardized."""

    @abstractmethod
    def front_state(self) -> Mapping[str, Tensor]:
        """Return the weights of `front`, a part of the cache key; empty without any."""

    @abstractmethod
    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the trained parameters of the encoder by block, the lowest first."""

    def fit(self, batches: Iterable[Frames]) -> None:
        """Set statistics of the training recordings before training; here none."""


def count_parameters(network: EmotionNetwork) -> tuple[int, int]:
    """Return the number of parameters, and of those that are trained.

    The first number includes running statistics of batch norm, as published counts do.
    """
    running = sum(
        buffer.numel()
        for name, buffer in network.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    )
    everything = sum(p.numel() for p in network.parameters()) + running
    return everything, sum(p.numel() for p in network.parameters() if p.requires_grad)
