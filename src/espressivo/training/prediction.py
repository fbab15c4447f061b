"""A trained network applied to clips of any length, in float32, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from espressivo.training.dataset import pad
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.networks import EmotionNetwork


def predict(
    network: EmotionNetwork,
    signals: Sequence[Signal],
    *,
    longest_s: float = 8.0,
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Return logits [N, 4] of `signals`, in their order, in float32.

    What lies beyond `longest_s` is not heard. The network stands in evaluation mode
    after.
    """
    network.eval()
    return apply_to_clips(network, signals, int(longest_s * SAMPLE_RATE), batch_size)


def apply_to_clips(
    function: Callable[[Tensor, Tensor], Tensor],
    signals: Sequence[Signal],
    n_samples: int,
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Apply to batches of clips of similar length, cut; rows in the clips' order."""
    order = np.argsort([len(signal) for signal in signals], kind="stable").tolist()
    rows = np.zeros(0, np.float32)
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            picked = order[first : first + batch_size]
            batch = pad([signals[index][:n_samples] for index in picked])
            found = function(batch.samples, batch.lengths).float().numpy()
            if not len(rows):
                rows = np.zeros((len(signals), found.shape[1]), np.float32)
            rows[picked] = found
    return rows
