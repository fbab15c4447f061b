"""Registry of networks by name; their code is imported when it is first used.

Thus a configuration is read, and the kinds are listed, without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from espressivo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from espressivo.training.networks.config import NetworkConfig
    from espressivo.training.networks.network import EmotionNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEntry:
    """Functions of one kind of network, each given as `module:function`.

    Attributes:
        build: `(config) -> EmotionNetwork`, untrained; may be a class. With
            `has_settings`, `(config, settings) -> EmotionNetwork`.
        load_weights: `(network, weights) -> None`: copies pretrained weights from
            `config.weights`. Empty where there are none.
        emit: `(graph, network, samples, temperature) -> int`: adds the ONNX nodes from
            the value `samples` to the value `probabilities`, and returns the number of
            emotions. Empty: the network cannot be exported.
        layers: `(network) -> dict[str, nn.Module]`: for values of the ONNX graph, the
            module that computes the same, in the order of computation. The parity check
            uses it to name the first layer that differs. Empty: no layer is named.
        has_settings: Whether the encoder's architecture is read from its weights, in
            which case `EmotionNetwork.encoder_settings` is needed to rebuild it.
    """

    build: str
    load_weights: str = ""
    emit: str = ""
    layers: str = ""
    has_settings: bool = False


_NETWORKS = "espressivo.training.networks"
_GRAPHS = "espressivo.training.export.graph"

_HUBERT = NetworkEntry(
    build=f"{_NETWORKS}.hubert:HubertNetwork",
    load_weights=f"{_NETWORKS}.hubert:load_weights",
    emit=f"{_GRAPHS}.hubert:emit_probabilities",
    layers=f"{_NETWORKS}.hubert:layers",
    has_settings=True,
)

NETWORKS: dict[str, NetworkEntry] = {
    "whisper": NetworkEntry(
        build=f"{_NETWORKS}.whisper_network:WhisperNetwork",
        load_weights=f"{_NETWORKS}.whisper_network:load_weights",
        emit=f"{_GRAPHS}.whisper:emit_probabilities",
        layers=f"{_NETWORKS}.whisper_network:layers",
        has_settings=True,
    ),
    "whisper_stem": NetworkEntry(
        build=f"{_NETWORKS}.whisper_stem:WhisperStem",
        load_weights=f"{_NETWORKS}.whisper_stem:load_weights",
        emit=f"{_GRAPHS}.whisper_stem:emit_probabilities",
        layers=f"{_NETWORKS}.whisper_stem:layers",
        has_settings=True,
    ),
    "distilhubert": _HUBERT,
    "hubert": _HUBERT,
    "wav2vec2": _HUBERT,
    "light_sernet": NetworkEntry(
        build=f"{_NETWORKS}.light_sernet:LightSernet",
        emit=f"{_GRAPHS}.light_sernet:emit_probabilities",
        layers=f"{_NETWORKS}.light_sernet:layers",
        has_settings=True,
    ),
    "separable": NetworkEntry(
        build=f"{_NETWORKS}.separable:SeparableNetwork",
        emit=f"{_GRAPHS}.separable:emit_probabilities",
        layers=f"{_NETWORKS}.separable:layers",
    ),
    "statistics": NetworkEntry(
        build=f"{_NETWORKS}.statistics_network:StatisticsNetwork",
        emit=f"{_GRAPHS}.statistics:emit_probabilities",
        layers=f"{_NETWORKS}.statistics_network:layers",
    ),
}
"""Value of `network.kind` -> functions of that kind."""


def register_network(kind: str, entry: NetworkEntry) -> None:
    """Register a network; a configuration that names it must be read afterwards.

    Raises:
        ConfigError: The name is taken by another network.
    """
    if NETWORKS.setdefault(kind, entry) != entry:
        raise ConfigError(f"network.kind '{kind}' exists already; choose another name")


def find_network(kind: str) -> NetworkEntry:
    """Return the entry of a kind.

    Raises:
        ConfigError: The kind is not registered.
    """
    if kind not in NETWORKS:
        kinds = ", ".join(NETWORKS)
        raise ConfigError(f"network.kind is '{kind}'; choose one of {kinds}")
    return NETWORKS[kind]


def entry_of(network: nn.Module) -> NetworkEntry | None:
    """Return the entry from which a network was built; None for other modules."""
    config = getattr(network, "config", None)
    return NETWORKS.get(getattr(config, "kind", ""))


def resolve(reference: str) -> Any:
    """Import and return the function that `module:function` names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def build_network(
    config: NetworkConfig, settings: Mapping[str, Any] | None = None
) -> EmotionNetwork:
    """Return an untrained network; its encoder's weights are random.

    Args:
        config: The network's settings.
        settings: `encoder_settings` of the network that is built again; None reads
            them beside local weights. None or empty for kinds without settings.

    Raises:
        ConfigError: The kind does not exist, or does not support a setting.
        TrainingError: The encoder settings, or those beside the weights, belong to
            another network.
    """
    entry = find_network(config.kind)
    if settings and not entry.has_settings:
        raise ConfigError(f"network.kind '{config.kind}' has no settings of an encoder")
    build = resolve(entry.build)
    network: EmotionNetwork = build(config, settings) if settings else build(config)
    return network


def encoder_settings(network: EmotionNetwork) -> dict[str, Any]:
    """Return the encoder's architecture as JSON values; empty for most kinds.

    `build_network` can build the network from it without its pretrained weights.
    """
    return dict(network.encoder_settings)


def load_pretrained(network: EmotionNetwork, config: NetworkConfig) -> None:
    """Copy the encoder's pretrained weights into `network`, if `config` names any.

    Raises:
        TrainingError: The weights are absent, or belong to another network.
    """
    if config.weights and (load := find_network(config.kind).load_weights):
        resolve(load)(network, config.weights)
