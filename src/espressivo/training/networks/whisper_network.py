"""Network of `espressivo-tiny`: log-mel, Whisper's encoder, pooling, linear layer."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from espressivo.errors import ConfigError
from espressivo.training.networks.config import (
    NetworkConfig,
    require_choice,
    require_states,
)
from espressivo.training.networks.heads import (
    AttentivePooling,
    LayerAverage,
    MeanPooling,
    StatisticsPooling,
)
from espressivo.training.networks.logmel import LogMel, n_frames, valid_mask
from espressivo.training.networks.network import EmotionNetwork, Frames
from espressivo.training.networks.whisper import (
    N_LAYERS,
    WIDTH,
    WhisperEncoder,
    halved,
    load_encoder,
)

_Pooling = MeanPooling | StatisticsPooling | AttentivePooling
_POOLINGS: dict[str, Callable[[int], _Pooling]] = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "attentive": AttentivePooling,
}


class WhisperNetwork(EmotionNetwork):
    """Log-mel, Whisper encoder, average of states, pooling over frames, linear layer.

    Padding is masked. The front is the spectrogram; if the whole encoder is frozen, it
    includes the encoder.
    """

    def __init__(self, config: NetworkConfig) -> None:
        n_layers = config.n_layers or N_LAYERS
        states = _require(config, n_layers)
        pooling = _POOLINGS[config.head](WIDTH)
        super().__init__(config, pooling.width)
        self.states = states
        self.logmel = LogMel()
        self.encoder = WhisperEncoder(n_layers, dropout=config.encoder_dropout)
        self.average = LayerAverage(config.state_weights or [1.0] * len(self.states))
        self.pooling: _Pooling = pooling
        lowest = {"nothing": None, "convolutions": config.n_frozen, "all": n_layers}
        self._freeze(lowest[config.frozen])

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return mel frames [B, T, 80] of 10 ms, or states [B, T, S, 384] of 20 ms."""
        mel = self.logmel(samples, lengths)
        counts = None if lengths is None else n_frames(lengths)
        if self.config.frozen != "all":
            return Frames(mel.transpose(1, 2), counts)
        states = self._encode(mel, counts)
        return Frames(
            torch.stack(states, 2), None if counts is None else halved(counts)
        )

    def pooled(self, frames: Frames) -> Tensor:
        """Return the averaged states, pooled over frames [B, width]."""
        average, mask = self.average_frames(frames)
        pooled: Tensor = self.pooling(average, mask)
        return pooled

    def average_frames(self, frames: Frames) -> tuple[Tensor, Tensor | None]:
        """Return averaged states [B, T, 384], 50 per second, and their mask [B, T]."""
        values, counts = frames
        if self.config.frozen == "all":
            states = list(values.unbind(2))
        else:
            states = self._encode(values.transpose(1, 2), counts)
            counts = None if counts is None else halved(counts)
        # In float32, also of states from the float16 cache or from autocast.
        average = self.average([state.float() for state in states])
        if counts is None:
            return average, None
        return average, valid_mask(counts, average.shape[1])

    def front_state(self) -> Mapping[str, Tensor]:
        """Return the encoder's weights if the whole encoder is frozen, else nothing."""
        return self.encoder.state_dict() if self.config.frozen == "all" else {}

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the trained parameters: of the convolutions, then of each block."""
        convolutions = [*self.encoder.conv1.parameters()]
        convolutions += self.encoder.conv2.parameters()
        layers = [convolutions, *(list(b.parameters()) for b in self.encoder.blocks)]
        trained = [[p for p in layer if p.requires_grad] for layer in layers]
        return [layer for layer in trained if layer]

    def fit(self, batches: Iterable[Frames]) -> None:
        """Set the standardization from embeddings of the encoder before fine-tuning."""
        rows = [self.pooled(frames).float() for frames in batches]
        self.standardize.fit(torch.cat(rows))

    def _encode(self, mel: Tensor, counts: Tensor | None) -> list[Tensor]:
        states = self.encoder(mel, counts)
        return [states[index] for index in self.states]

    def _freeze(self, n_blocks: int | None) -> None:
        """Freeze the convolutions and the `n_blocks` lowest blocks; nothing if None."""
        if n_blocks is None:
            return
        frozen: list[nn.Module] = [self.encoder.conv1, self.encoder.conv2]
        for module in [*frozen, *self.encoder.blocks[:n_blocks]]:
            module.requires_grad_(False)


def load_weights(network: WhisperNetwork, weights: str) -> None:
    """Copy the encoder's weights from a safetensors file.

    Raises:
        TrainingError: The file is absent, or belongs to another network.
    """
    load_encoder(network.encoder, Path(weights))


def layers(network: WhisperNetwork) -> dict[str, nn.Module]:
    """Return the modules that the parity check compares with values of the graph."""
    encoder = network.encoder
    front = {"mel": network.logmel, "conv1": encoder.conv1, "conv2": encoder.conv2}
    blocks = {f"hidden.{i}": block for i, block in enumerate(encoder.blocks, 1)}
    return front | blocks | {"embedding": network.pooling}


def _require(config: NetworkConfig, n_layers: int) -> tuple[int, ...]:
    """Return the states to average; raise an error for unsupported settings."""
    if not 1 <= n_layers <= N_LAYERS:
        raise ConfigError(f"network.n_layers is {n_layers}, not 1 to {N_LAYERS}")
    require_choice(config, "head", tuple(_POOLINGS))
    require_choice(config, "padding", ("valid",))
    return require_states(config, n_layers)
