"""Network of the bundled models: log-mel, Whisper's encoder, pooling, linear layer."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

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
    HEAD,
    TINY,
    EncoderSize,
    WhisperEncoder,
    halved,
    load_encoder,
    read_size,
)

_Pooling = MeanPooling | StatisticsPooling | AttentivePooling
_POOLINGS: dict[str, Callable[[int], _Pooling]] = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "attentive": AttentivePooling,
}


class WhisperNetwork(EmotionNetwork):
    """Log-mel, Whisper encoder, states joined, pooling over frames, linear layer.

    The states are averaged or concatenated. Padding is masked. The front is the
    spectrogram; if the whole encoder is frozen, it includes the encoder, and the mean
    over frames where that is all that follows: concatenated states under head `mean`.
    """

    def __init__(
        self, config: NetworkConfig, settings: Mapping[str, Any] | None = None
    ) -> None:
        """Build the network with random weights.

        Args:
            config: Its settings. `n_layers` keeps the lowest blocks, all if 0.
            settings: `encoder_settings` of the network that is built again. None reads
                the size from the file `config.weights`; without one it is tiny's.

        Raises:
            ConfigError: A setting is not supported, or a block does not exist.
            TrainingError: The file is not of Whisper's encoder.
        """
        size = _size(config, settings)
        states = _require(config, size.n_blocks)
        n_joined = len(states) if config.join == "concatenate" else 1
        pooling = _POOLINGS[config.head](n_joined * size.width)
        super().__init__(config, pooling.width)
        self.encoder_settings = size.to_settings()
        self.states = states
        self.logmel = LogMel()
        self.encoder = WhisperEncoder(size, config.encoder_dropout)
        self.average: LayerAverage | None = None
        if config.join == "average":
            self.average = LayerAverage(config.state_weights or [1.0] * len(states))
        self.pooling: _Pooling = pooling
        lowest = {"nothing": None, "convolutions": config.n_frozen}
        self._freeze(lowest.get(config.frozen, size.n_blocks))

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return mel frames [B, T, 80] of 10 ms, or states [B, T, S, width] of 20 ms.

        Where the front includes the mean over frames, T is 1.
        """
        mel = self.logmel(samples, lengths)
        counts = None if lengths is None else n_frames(lengths)
        if self.config.frozen != "all":
            return Frames(mel.transpose(1, 2), counts)
        states = torch.stack(self._encode(mel, counts), 2)
        counts = None if counts is None else halved(counts)
        if not self._pools_in_front:
            return Frames(states, counts)
        mask = None if counts is None else valid_mask(counts, states.shape[1])
        means = self.pooling(states.float().flatten(2), mask)
        ones = None if counts is None else torch.ones_like(counts)
        return Frames(means.view(len(means), 1, *states.shape[2:]), ones)

    def pooled(self, frames: Frames) -> Tensor:
        """Return the joined states, pooled over frames [B, embedding]."""
        joined, mask = self.joined_frames(frames)
        pooled: Tensor = self.pooling(joined, mask)
        return pooled

    def joined_frames(self, frames: Frames) -> tuple[Tensor, Tensor | None]:
        """Return joined states [B, T, width or S * width], and their mask [B, T].

        There are 50 frames per second, or one where the front includes their mean.
        """
        values, counts = frames
        if self.config.frozen == "all":
            states = list(values.unbind(2))
        else:
            states = self._encode(values.transpose(1, 2), counts)
            counts = None if counts is None else halved(counts)
        # In float32, also of states from the float16 cache or from autocast.
        exact = [state.float() for state in states]
        joined: Tensor = self.average(exact) if self.average else torch.cat(exact, 2)
        if counts is None:
            return joined, None
        return joined, valid_mask(counts, joined.shape[1])

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

    @property
    def _pools_in_front(self) -> bool:
        # All frames of three states of 512 numbers would be 1.2 MB a clip in the cache.
        config = self.config
        return (config.frozen, config.join, config.head) == (
            *("all", "concatenate"),
            "mean",
        )

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


def _size(config: NetworkConfig, settings: Mapping[str, Any] | None) -> EncoderSize:
    """Return the size of the encoder that is kept; see `WhisperNetwork`."""
    path = Path(config.weights)
    if settings:
        size = EncoderSize.from_settings(settings)
    # An absent file is an error only when it is loaded: runs of tiny encoders that
    # earlier versions trained have no settings, and may have left their file behind.
    elif config.weights and path.is_file():
        size = read_size(path)
    elif config.width:
        size = EncoderSize(config.width, config.n_layers or TINY.n_blocks)
    else:
        size = TINY
    if config.width and (config.width % HEAD or config.width != size.width):
        raise ConfigError(
            f"network.width is {config.width}, not "
            + (
                f"{size.width}, that of the encoder; leave it out"
                if config.weights
                else f"a multiple of {HEAD}"
            )
        )
    if not 0 <= config.n_layers <= size.n_blocks:
        raise ConfigError(
            f"network.n_layers is {config.n_layers}, not 1 to {size.n_blocks}, "
            "the blocks of the encoder, or 0 for all"
        )
    return size.lowest(config.n_layers or size.n_blocks)


def _require(config: NetworkConfig, n_layers: int) -> tuple[int, ...]:
    """Return the states to join; raise an error for unsupported settings."""
    require_choice(config, "head", tuple(_POOLINGS))
    require_choice(config, "join", ("average", "concatenate"))
    require_choice(config, "padding", ("valid",))
    if config.join == "concatenate" and config.state_weights:
        raise ConfigError(
            "network.state_weights are for join = 'average'; leave them out to "
            "concatenate the states"
        )
    return require_states(config, n_layers)
