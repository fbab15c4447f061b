"""Networks that map samples to logits, all through one seam, and their parts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from espressivo.errors import ConfigError
from espressivo.training.networks.hubert import HubertNetwork
from espressivo.training.networks.light_sernet import LightSernet
from espressivo.training.networks.network import (
    EmotionNetwork,
    Frames,
    NetworkConfig,
    count_parameters,
)
from espressivo.training.networks.statistics_network import StatisticsNetwork
from espressivo.training.networks.whisper import load_encoder
from espressivo.training.networks.whisper_network import WhisperNetwork

__all__ = [
    "EmotionNetwork",
    "Frames",
    "HubertNetwork",
    "LightSernet",
    "NetworkConfig",
    "StatisticsNetwork",
    "WhisperNetwork",
    "build_network",
    "count_parameters",
    "encoder_settings",
    "load_encoder",
    "load_pretrained",
]

_KINDS: dict[str, Callable[[NetworkConfig], EmotionNetwork]] = {
    "whisper": WhisperNetwork,
    "light_sernet": LightSernet,
    "statistics": StatisticsNetwork,
}
_HUBERT_KINDS = ("distilhubert", "hubert", "wav2vec2")


def build_network(
    config: NetworkConfig, settings: Mapping[str, Any] | None = None
) -> EmotionNetwork:
    """Return an untrained network; its encoder's weights are random.

    Args:
        config: What it is made of.
        settings: What `encoder_settings` returned of the network that is built again;
            without them they are read beside local weights. None or empty for kinds
            that have none.

    Raises:
        ConfigError: Something was asked for that this kind of network does not have.
        TrainingError: The settings, or those beside the weights, are another network's.
    """
    if config.kind in _HUBERT_KINDS:
        return HubertNetwork(config, settings or None)
    if config.kind not in _KINDS:
        kinds = ", ".join([*_KINDS, *_HUBERT_KINDS])
        raise ConfigError(f"network.kind is '{config.kind}'; choose one of {kinds}")
    if settings:
        raise ConfigError(f"network.kind '{config.kind}' has no settings of an encoder")
    return _KINDS[config.kind](config)


def encoder_settings(network: EmotionNetwork) -> dict[str, Any]:
    """Return what `build_network` needs beside the configuration; JSON, may be empty.

    With it a network is built again where its pretrained weights no longer are.
    """
    return dict(network.encoder_settings)


def load_pretrained(network: EmotionNetwork, config: NetworkConfig) -> None:
    """Copy the encoder's pretrained weights into `network`; none where none are named.

    Raises:
        TrainingError: They are absent, or of another network.
    """
    if config.weights and isinstance(network, WhisperNetwork):
        load_encoder(network.encoder, Path(config.weights))
    if config.weights and isinstance(network, HubertNetwork):
        network.load_weights(config.weights)
