"""Networks that map samples to logits, and what they are built of."""

from espressivo.training.networks.emotion import (
    EmotionNetwork,
    NetworkConfig,
    build_network,
)
from espressivo.training.networks.whisper import load_encoder

__all__ = ["EmotionNetwork", "NetworkConfig", "build_network", "load_encoder"]
