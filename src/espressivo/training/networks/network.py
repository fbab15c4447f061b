"""The interface of all networks, which training, caches and evaluation use."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from espressivo.training.networks.config import NetworkConfig
from espressivo.types import Emotion


class Frames(NamedTuple):
    """What a network's frozen front makes of a batch; kept on disk between epochs.

    Attributes:
        values: float [B, T, ...], zero beyond each row's own frames.
        counts: int64 [B], frames of each row that are valid; None: all.
    """

    values: Tensor
    counts: Tensor | None


class Standardize(nn.Module):
    """Shift and scale by what the training recordings showed, fixed before training."""

    mean: Tensor
    scale: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        # Buffers, so that weights files and exported graphs hold them.
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def fit(self, rows: Tensor) -> None:
        """Take mean and deviation of `rows` [N, *shape] as the new zero and one."""
        self.mean.copy_(rows.mean(0))
        # A dimension that never changes must not be divided by 0.
        self.scale.copy_(rows.std(0) + 1e-4)

    def fit_all(self, batches: Iterable[Tensor]) -> None:
        """Fit as `fit` does to the rows [N, *shape] of all batches, held one by one.

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
        """Map [..., *shape] to the same shape."""
        return (rows - self.mean) / self.scale


class EmotionNetwork(nn.Module, ABC):
    """Samples to logits in two steps: a front that nothing trains, and the rest.

    What the front makes of a recording never changes while a network is trained, so it
    is computed once and kept. A network of which nothing is frozen has a front without
    parameters, such as a spectrogram.
    """

    encoder_settings: Mapping[str, Any]
    """What the encoder is built from, where its weights bring that; JSON."""

    def __init__(self, config: NetworkConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.encoder_settings = {}
        self.standardize = Standardize(width)
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(width, len(Emotion))

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits [B, 4].

        Args:
            samples: float32 [B, samples] at 16 kHz, zero-padded on the right, at least
                0.2 s.
            lengths: int64 [B], valid samples of each row; all when None.
        """
        return self.logits(self.front(samples, lengths))

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch norm on, but not where nothing is trained."""
        super().train(mode)
        for module in self.modules():
            parameters = list(module.parameters())
            if parameters and not any(p.requires_grad for p in parameters):
                # This also reaches its dropout, which has no parameters of its own.
                module.eval()
        return self

    def logits(self, frames: Frames) -> Tensor:
        """Return logits [B, 4] of what `front` returned."""
        logits: Tensor = self.classify(self.dropout(self.embedding(frames)))
        return logits

    def embedding(self, frames: Frames) -> Tensor:
        """Return what the classifier sees, [B, width], before dropout."""
        embedding: Tensor = self.standardize(self.pooled(frames))
        return embedding

    @abstractmethod
    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return frames of `samples` as in `forward`; no parameter of it is trained."""

    @abstractmethod
    def pooled(self, frames: Frames) -> Tensor:
        """Return one vector per clip, [B, width], before it is standardized."""

    @abstractmethod
    def front_state(self) -> Mapping[str, Tensor]:
        """Return the weights that `front` uses: with them and the configuration what
        it returns is given. Empty where it has none."""  # noqa: D205, D209 - one thought

    @abstractmethod
    def blocks(self) -> list[list[nn.Parameter]]:
        """Return what is trained of the encoder, block by block, the lowest first."""

    def fit(self, batches: Iterable[Frames]) -> None:
        """Fix statistics of the training recordings before training; none here."""


def count_parameters(network: EmotionNetwork) -> tuple[int, int]:
    """Return how many parameters there are, and how many of them are trained.

    The running statistics of batch norm count among all, as in published counts.
    """
    running = sum(
        buffer.numel()
        for name, buffer in network.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    )
    everything = sum(p.numel() for p in network.parameters()) + running
    return everything, sum(p.numel() for p in network.parameters() if p.requires_grad)
