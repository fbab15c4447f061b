"""LIGHT-SERNET: a small convolutional network over cepstral coefficients.

Source: Aftab et al. (2022); https://github.com/AryaAftab/LIGHT-SERNET, `models.py`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from espressivo.errors import TrainingError
from espressivo.training.networks.config import (
    NetworkConfig,
    require_choice,
    require_plain,
)
from espressivo.training.networks.mfcc import Mfcc, normalize_window
from espressivo.training.networks.network import EmotionNetwork, Frames
from espressivo.types import SAMPLE_RATE

_WIDTH = 320
# Of the three parallel convolutions, then of the others but the last.
_CHANNELS = (32, 32, 32, 64, 96, 128, 160)
_N_PATHS = 3


class LightSernet(EmotionNetwork):
    """Three parallel convolutions, five in a row, mean over time and frequency.

    Every clip is cut or padded to 3 or 7 s, and the padding is not masked.
    """

    def __init__(
        self, config: NetworkConfig, settings: Mapping[str, Any] | None = None
    ) -> None:
        """Build the network with random weights.

        Args:
            config: Its settings.
            settings: `encoder_settings` of a pruned network that is built again: the
                `channels` of its convolutions but the last.

        Raises:
            ConfigError: A setting is not supported.
            TrainingError: The settings are of another network.
        """
        _require(config)
        super().__init__(config, _WIDTH)
        channels = _channels(settings) if settings else _CHANNELS
        if channels != _CHANNELS:
            self.encoder_settings = {"channels": list(channels)}
        self.mfcc = Mfcc()
        kernels = ((11, 1), (1, 9), (3, 3))
        paths, body = channels[:_N_PATHS], channels[_N_PATHS:]
        self.paths = nn.ModuleList(
            _block(1, n, kernel, (2, 2), bias=True)
            for n, kernel in zip(paths, kernels, strict=True)
        )
        self.body = nn.Sequential(
            _block(sum(paths), body[0], (3, 3), (2, 2)),
            _block(body[0], body[1], (3, 3), (2, 2)),
            _block(body[1], body[2], (3, 3), (2, 1)),
            _block(body[2], body[3], (3, 3), (2, 1)),
            _block(body[3], _WIDTH, (1, 1)),
        )
        self.apply(_initialize)

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return coefficients [B, T, 40]; T is 184 for 3 s and 434 for 7 s."""
        n_samples = round(self.config.window_s * SAMPLE_RATE)
        whole = [samples.shape[1]] * len(samples)
        counts = whole if lengths is None else lengths.tolist()
        rows = [
            normalize_window(row[:count], n_samples)
            for row, count in zip(samples.float(), counts, strict=True)
        ]
        return Frames(self.mfcc(torch.stack(rows)), None)

    def pooled(self, frames: Frames) -> Tensor:
        """Return the mean over time and frequency, [B, 320]."""
        x = frames.values.float().unsqueeze(1)  # [B, 1, T, 40]
        x = x.contiguous(memory_format=torch.channels_last)  # half the time on a CPU
        x = self.body(torch.cat([path(x) for path in self.paths], 1))
        mean: Tensor = x.mean((2, 3))
        return mean

    def front_state(self) -> Mapping[str, Tensor]:
        """Return no weights: MFCCs have none."""
        return {}

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the parallel convolutions as one block, then each of the others."""
        layers = [self.paths, *self.body]
        return [list(layer.parameters()) for layer in layers]


def layers(network: LightSernet) -> dict[str, nn.Module]:
    """Return the modules that the parity check compares with values of the graph."""
    paths = {f"paths.{i}": path for i, path in enumerate(network.paths)}
    body = {f"hidden.{i}": block for i, block in enumerate(network.body, 1)}
    return {"mfcc": network.mfcc} | paths | body


def _block(
    n_in: int,
    n_out: int,
    kernel: tuple[int, int],
    pool: tuple[int, int] | None = None,
    *,
    bias: bool = False,
) -> nn.Sequential:
    """Convolution, batch norm and ReLU over [B, channels, T, frequency], then pooling.

    As in Keras, `same` padding is left out of the mean, so the last one may be over one
    element less.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(n_in, n_out, kernel, padding="same", bias=bias),
        nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01),  # Keras's defaults
        nn.ReLU(),
    ]
    if pool is not None:
        layers.append(nn.AvgPool2d(pool, ceil_mode=True, count_include_pad=False))
    return nn.Sequential(*layers)


def _initialize(module: nn.Module) -> None:
    """Initialize as Keras does: Glorot uniform weights, zero bias."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _channels(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the channels of a pruned network's convolutions but the last.

    Raises:
        TrainingError: The settings are of another network.
    """
    found = settings.get("channels")
    if (
        not isinstance(found, list)
        or len(found) != len(_CHANNELS)
        or not all(
            isinstance(n, int) and 1 <= n <= most
            for n, most in zip(found, _CHANNELS, strict=True)
        )
    ):
        raise TrainingError(
            f"encoder settings {dict(settings)} are not of a pruned LIGHT-SERNET, "
            f"which has at most {list(_CHANNELS)} channels; prune again into another "
            "folder"
        )
    return tuple(found)


def _require(config: NetworkConfig) -> None:
    """Raise an error for settings that LIGHT-SERNET does not support."""
    require_plain(config)
    require_choice(config, "padding", ("fixed",))
    require_choice(config, "window_s", (3.0, 7.0))
