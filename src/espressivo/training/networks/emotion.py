"""The network of `espressivo-tiny`: samples in, logits out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from espressivo.training.networks.heads import (
    AttentivePooling,
    LayerAverage,
    MeanPooling,
    StatisticsPooling,
)
from espressivo.training.networks.logmel import LogMel, n_frames, valid_mask
from espressivo.training.networks.whisper import (
    N_LAYERS,
    WIDTH,
    WhisperEncoder,
    halved,
)
from espressivo.types import Emotion

SHORTEST = 3200  # samples; shorter clips are padded to this before they come here


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What the network is made of.

    Attributes:
        n_layers: Transformer blocks kept of Whisper's encoder, 1 to 4.
        states: Hidden states averaged; 0 is the input to the first block. All if empty.
        state_weights: What each counts at first; alike if empty.
        pooling: Mean over frames; or mean and deviation, where all frames count the
            same, or as much as a learned score says.
        dropout: Share of the pooled embedding hidden from the classifier in training.
        encoder_dropout: The same, on what each sub-block adds.
    """

    n_layers: int = N_LAYERS
    states: tuple[int, ...] = ()
    state_weights: tuple[float, ...] = ()
    pooling: Literal["mean", "statistics", "attentive"] = "statistics"
    dropout: float = 0.2
    encoder_dropout: float = 0.0


class Standardize(nn.Module):
    """Shift and scale by what the training recordings showed, fixed before training."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, rows: Tensor) -> None:
        """Take mean and deviation of `rows` [N, width] as the new zero and one."""
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(rows.std(0) + 1e-4)

    def forward(self, rows: Tensor) -> Tensor:
        """Map [B, width] to the same shape."""
        return (rows - self.mean) / self.scale


_Pooling = MeanPooling | StatisticsPooling | AttentivePooling
_POOLINGS: dict[str, Callable[[int], _Pooling]] = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "attentive": AttentivePooling,
}


class EmotionNetwork(nn.Module):
    """Log-mel, Whisper encoder, average of its states, pooling over frames, linear."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.states = config.states or tuple(range(config.n_layers + 1))
        self.logmel = LogMel()
        self.encoder = WhisperEncoder(config.n_layers, dropout=config.encoder_dropout)
        self.average = LayerAverage(config.state_weights or [1.0] * len(self.states))
        self.pooling: _Pooling = _POOLINGS[config.pooling](WIDTH)
        width = self.pooling.width
        self.standardize = Standardize(width)
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(width, len(Emotion))

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits [B, 4], the same however far rows are padded.

        Args:
            samples: float32 [B, samples] at 16 kHz, any level, at least 0.2 s.
            lengths: int64 [B], valid samples of each row; all when None.
        """
        logits: Tensor = self.classify(self.dropout(self.embedding(samples, lengths)))
        return logits

    def embedding(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return what the classifier sees, [B, width], before dropout."""
        frames, mask = self.frames(samples, lengths)
        embedding: Tensor = self.standardize(self.pooling(frames, mask))
        return embedding

    def frames(
        self, samples: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return averaged states [B, T, 384], 50 a second, and their mask [B, T]."""
        mel = self.logmel(samples, lengths)
        counts = None if lengths is None else n_frames(lengths)
        states = self.encoder(mel, counts)
        average = self.average([states[i].float() for i in self.states])
        if counts is None:
            return average, None
        return average, valid_mask(halved(counts), average.shape[1])


def build_network(config: NetworkConfig) -> EmotionNetwork:
    """Return an untrained network.

    Raises:
        ValueError: A layer was asked for that the encoder does not have.
    """
    if not 1 <= config.n_layers <= N_LAYERS:
        raise ValueError(f"n_layers is {config.n_layers}, not 1 to {N_LAYERS}")
    if extra := [i for i in config.states if not 0 <= i <= config.n_layers]:
        raise ValueError(f"states {extra} do not exist with {config.n_layers} layers")
    n_states = len(config.states) or config.n_layers + 1
    if config.state_weights and len(config.state_weights) != n_states:
        raise ValueError(
            f"there are {len(config.state_weights)} state_weights, not {n_states}"
        )
    return EmotionNetwork(config)
