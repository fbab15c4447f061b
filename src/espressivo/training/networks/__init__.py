"""Networks that map samples to logits, all through one seam, and their parts."""

from collections.abc import Callable
from pathlib import Path

from espressivo.errors import ConfigError
from espressivo.training.networks.network import EmotionNetwork, Frames, NetworkConfig
from espressivo.training.networks.whisper import load_encoder
from espressivo.training.networks.whisper_network import WhisperNetwork

__all__ = [
    "EmotionNetwork",
    "Frames",
    "NetworkConfig",
    "WhisperNetwork",
    "build_network",
    "load_encoder",
    "load_pretrained",
]

_KINDS: dict[str, Callable[[NetworkConfig], EmotionNetwork]] = {
    "whisper": WhisperNetwork,
}


def build_network(config: NetworkConfig) -> EmotionNetwork:
    """Return an untrained network; its encoder's weights are random.

    Raises:
        ConfigError: Something was asked for that this kind of network does not have.
    """
    if config.kind not in _KINDS:
        raise ConfigError(f"network.kind '{config.kind}' is not written yet")
    return _KINDS[config.kind](config)


def load_pretrained(network: EmotionNetwork, config: NetworkConfig) -> None:
    """Copy the encoder's pretrained weights into `network`; none where none are named.

    Raises:
        TrainingError: They are absent, or of another network.
    """
    if config.weights and isinstance(network, WhisperNetwork):
        load_encoder(network.encoder, Path(config.weights))
