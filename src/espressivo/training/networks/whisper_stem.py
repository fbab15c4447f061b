"""The two convolutions below Whisper's transformer, and statistics of their outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from espressivo.errors import ConfigError, TrainingError
from espressivo.training.networks.config import (
    NetworkConfig,
    require_choice,
    require_plain,
)
from espressivo.training.networks.heads import StatisticsPooling
from espressivo.training.networks.logmel import N_MELS, LogMel, n_frames, valid_mask
from espressivo.training.networks.network import EmotionNetwork, Frames
from espressivo.training.networks.tensors import require_tensors
from espressivo.training.networks.whisper import TINY, halved, read_size

N_CONVOLUTIONS = 2


class WhisperStem(EmotionNetwork):
    """Log-mel, Whisper's convolutions, mean and deviation of each one's output.

    The convolutions are not trained; a closed form is fitted to the statistics, which
    the front computes. `config.n_layers` keeps the first convolution alone if 1.
    Padding is masked.
    """

    def __init__(
        self, config: NetworkConfig, settings: Mapping[str, Any] | None = None
    ) -> None:
        """Build the network with random weights.

        Args:
            config: Its settings.
            settings: `encoder_settings` of the network that is built again. None reads
                the width from the file `config.weights`; without one it is tiny's.

        Raises:
            ConfigError: A setting is not supported.
            TrainingError: The file or the settings are not of Whisper's encoder.
        """
        _require(config)
        width = _width(config, settings)
        n_layers = config.n_layers or N_CONVOLUTIONS
        super().__init__(config, 2 * n_layers * width)
        self.encoder_settings = {"width": width}
        self.logmel = LogMel()
        self.conv1 = nn.Conv1d(N_MELS, width, 3, padding=1)
        self.conv2 = (
            nn.Conv1d(width, width, 3, stride=2, padding=1) if n_layers > 1 else None
        )
        self.pooling = StatisticsPooling(width)
        for layer in self.convolutions:
            layer.requires_grad_(False)

    @property
    def convolutions(self) -> list[nn.Conv1d]:
        """The convolutions in use, the lowest first."""
        return [layer for layer in (self.conv1, self.conv2) if layer is not None]

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return the statistics as one frame, [B, 1, 2 width for each convolution]."""
        x = self.logmel(samples, lengths)
        counts = None if lengths is None else n_frames(lengths)
        found = []
        for number, layer in enumerate(self.convolutions):
            x = functional.gelu(layer(x))
            if number and counts is not None:
                counts = halved(counts)
            mask = None if counts is None else valid_mask(counts, x.shape[-1])
            if mask is not None:
                # A bias makes padding non-zero, and the next kernel would carry it in.
                x = x * mask.unsqueeze(1)
            found.append(self.pooling(x.transpose(1, 2).float(), mask))
        rows = torch.cat(found, 1).unsqueeze(1)
        ones = None if lengths is None else torch.ones_like(lengths)
        return Frames(rows, ones)

    def pooled(self, frames: Frames) -> Tensor:
        """Return mean and deviation of each convolution, [B, embedding]."""
        return frames.values[:, 0].float()

    def front_state(self) -> Mapping[str, Tensor]:
        """Return the weights of the convolutions."""
        layers = enumerate(self.convolutions, 1)
        return {
            f"conv{number}.{name}": tensor
            for number, layer in layers
            for name, tensor in layer.state_dict().items()
        }

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return no blocks: nothing below the classifier is trained."""
        return []


def load_weights(network: WhisperStem, weights: str) -> None:
    """Copy the convolutions' weights from a safetensors file of Whisper's encoder.

    Raises:
        TrainingError: The file is absent, or belongs to another network.
    """
    read_size(Path(weights))  # refuses files of other networks
    stored = load_file(weights)
    for number, layer in enumerate(network.convolutions, 1):
        wanted = layer.state_dict()
        own = {name: stored.get(f"conv{number}.{name}") for name in wanted}
        found = {name: tensor for name, tensor in own.items() if tensor is not None}
        require_tensors(found, wanted, f"{weights}: conv{number}", "")
        # The file may be in half precision, as the ones of the recipes are.
        layer.load_state_dict({name: tensor.float() for name, tensor in found.items()})


def layers(network: WhisperStem) -> dict[str, nn.Module]:
    """Return the modules that the parity check compares with values of the graph."""
    numbered = enumerate(network.convolutions, 1)
    return {"mel": network.logmel} | {f"conv{n}": layer for n, layer in numbered}


def _width(config: NetworkConfig, settings: Mapping[str, Any] | None) -> int:
    if settings:
        try:
            return int(settings["width"])
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"encoder settings {dict(settings)} have no width, which Whisper's "
                "convolutions need; train again in another folder"
            ) from error
    path = Path(config.weights)
    if config.weights and path.is_file():
        return read_size(path).width
    return config.width or TINY.width


def _require(config: NetworkConfig) -> None:
    """Raise an error for settings that the network does not support."""
    require_plain(config, but=("weights", "frozen", "n_layers", "width", "head"))
    require_choice(config, "frozen", ("all",))
    require_choice(config, "head", ("statistics",))
    require_choice(config, "padding", ("valid",))
    if not 0 <= config.n_layers <= N_CONVOLUTIONS:
        raise ConfigError(
            f"network.n_layers is {config.n_layers}, not 1 or {N_CONVOLUTIONS}, the "
            "convolutions below Whisper's transformer, or 0 for both"
        )
