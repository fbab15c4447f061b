"""Small networks of every kind, with parameters that differ from initial values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from espressivo.training.export.session import open_proto
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.training.networks.checkpoint import kind_settings
from espressivo.training.networks.network import Standardize

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from espressivo.training.networks.network import EmotionNetwork

ENCODERS = ("distilhubert", "hubert", "wav2vec2")
_SMALL = {
    "conv_dim": [16] * 7,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_conv_pos_embedding_groups": 4,
    "num_hidden_layers": 2,
}


def make_network(kind: str, seed: int = 0, **choices: Any) -> EmotionNetwork:
    """Return a network without a weight, statistic or bias at its initial value."""
    torch.manual_seed(seed)
    settings = {**kind_settings(kind), **_SMALL} if kind in ENCODERS else None
    network = build_network(NetworkConfig(kind=kind, **choices), settings)
    return shake(network)


def shake(network: EmotionNetwork) -> EmotionNetwork:
    """Change all trained values, so that a part that the export omits shows."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:  # biases, norms and averages' weights
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for module in network.modules():
            if isinstance(module, Standardize):
                module.mean.normal_()
                module.scale.uniform_(0.5, 2.0)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.5, 2.0)
        # Scaled so that probabilities are neither uniform nor saturated.
        network.classify.weight.normal_(std=network.classify.in_features**-0.5)
    return network.eval()


def logits_of(
    model: onnx.ModelProto, samples: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Run a graph on samples [B, time]; return its logits [B, emotions]."""
    (found,) = open_proto(model, ["logits"]).run(["logits"], {"samples": samples})
    return np.asarray(found, np.float32)


def wanted_logits(
    network: EmotionNetwork, samples: NDArray[np.float32], temperature: float = 1.0
) -> NDArray[np.float32]:
    """Return torch's logits of samples [B, time], divided by the temperature."""
    with torch.inference_mode():
        logits = network(torch.tensor(samples)).numpy()
    return np.asarray(logits / temperature, np.float32)
