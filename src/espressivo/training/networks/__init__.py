"""Networks from samples to logits; each has one module and one registry entry.

Importing this package does not import torch; the networks' own modules do.
"""

from espressivo.training.networks.config import NetworkConfig
from espressivo.training.networks.registry import (
    NETWORKS,
    NetworkEntry,
    build_network,
    encoder_settings,
    load_pretrained,
    register_network,
)

__all__ = [
    "NETWORKS",
    "NetworkConfig",
    "NetworkEntry",
    "build_network",
    "encoder_settings",
    "load_pretrained",
    "register_network",
]
