"""A small student: separable convolutions over a log-mel spectrogram.

Source: Liu et al. (2022), ConvNeXt, for the block, here over time and with batch norm,
which an exported graph folds into the convolution; Kriman et al. (2020), QuartzNet, for
separable convolutions on speech.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from espressivo.errors import ConfigError
from espressivo.training.networks.config import (
    NetworkConfig,
    require_choice,
    require_plain,
)
from espressivo.training.networks.heads import StatisticsPooling
from espressivo.training.networks.logmel import (
    HOP,
    N_MELS,
    LogMel,
    n_frames,
    valid_mask,
)
from espressivo.training.networks.network import EmotionNetwork, Frames
from espressivo.training.networks.whisper import halved

FRONT_HOP = 2 * HOP
"""Samples between mel frames: 20 ms, since the spectrum costs as much as the rest."""

KERNEL = 9
"""Frames of 40 ms that a depthwise convolution covers."""

EXPANSION = 2
_WIDTH, _N_BLOCKS = 160, 6


class Block(nn.Module):
    """Depthwise convolution, batch norm, two pointwise layers, and the input added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(
            width, width, KERNEL, padding=KERNEL // 2, groups=width, bias=False
        )
        self.norm = nn.BatchNorm1d(width)
        self.up = nn.Linear(width, EXPANSION * width)
        self.down = nn.Linear(EXPANSION * width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map frames [B, T, width] to frames of the same shape, 0 beyond the mask."""
        convolved = self.norm(self.depthwise(x.transpose(1, 2))).transpose(1, 2)
        y: Tensor = x + self.down(functional.relu(self.up(convolved)))
        return y if mask is None else y * mask


class SeparableNetwork(EmotionNetwork):
    """Log-mel of 20 ms, frames of 40 ms, separable blocks, mean and deviation.

    `config.width` and `config.n_layers` give its size; 160 and 6 if 0. Padding is
    masked.
    """

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights.

        Raises:
            ConfigError: A setting is not supported.
        """
        _require(config)
        width = config.width or _WIDTH
        pooling = StatisticsPooling(width)
        super().__init__(config, pooling.width)
        self.logmel = LogMel(hop=FRONT_HOP)
        self.stem = nn.Conv1d(N_MELS, width, 3, stride=2, padding=1)
        n_blocks = config.n_layers or _N_BLOCKS
        self.layers = nn.ModuleList(Block(width) for _ in range(n_blocks))
        self.pooling = pooling

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return mel frames [B, T, 80], 50 a second."""
        # Mel energies would lose range in float16, and digits in bfloat16.
        with torch.autocast(samples.device.type, enabled=False):
            mel = self.logmel(samples.float(), lengths).transpose(1, 2)
        if lengths is None:
            return Frames(mel, None)
        return Frames(mel, n_frames(lengths, FRONT_HOP))

    def pooled(self, frames: Frames) -> Tensor:
        """Return mean and deviation of the last block's frames, [B, 2 width]."""
        values, counts = frames
        x = functional.relu(self.stem(values.transpose(1, 2))).transpose(1, 2)
        mask = None
        if counts is not None:
            mask = valid_mask(halved(counts), x.shape[1])
            x = x * mask.unsqueeze(-1)
        for block in self.layers:
            x = block(x, None if mask is None else mask.unsqueeze(-1))
        pooled: Tensor = self.pooling(x.float(), mask)
        return pooled

    def front_state(self) -> Mapping[str, Tensor]:
        """Return no weights: the spectrogram has none."""
        return {}

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the trained parameters: of the stem, then of each block."""
        return [list(layer.parameters()) for layer in (self.stem, *self.layers)]


def layers(network: SeparableNetwork) -> dict[str, nn.Module]:
    """Return the modules that the parity check compares with values of the graph."""
    blocks = {f"hidden.{i}": block for i, block in enumerate(network.layers, 1)}
    return {"mel": network.logmel} | blocks | {"embedding": network.pooling}


def _require(config: NetworkConfig) -> None:
    """Raise an error for settings that the network does not support."""
    require_plain(config, but=("width", "n_layers", "head"))
    require_choice(config, "head", ("statistics",))
    require_choice(config, "padding", ("valid",))
    if config.width % 8 or config.width < 0:
        raise ConfigError(
            f"network.width is {config.width}; choose a multiple of 8, or 0 for "
            f"{_WIDTH}"
        )
    if config.n_layers < 0:
        raise ConfigError(
            f"network.n_layers is {config.n_layers}; choose 1 or more, or 0 for "
            f"{_N_BLOCKS}"
        )
