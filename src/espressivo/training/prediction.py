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

    from espressivo.training.frontend import Batches
    from espressivo.training.networks import EmotionNetwork, Frames


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
    device = network.classify.weight.device
    order = np.argsort([len(signal) for signal in signals], kind="stable").tolist()
    rows = np.zeros((len(signals), network.classify.out_features), np.float32)
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            picked = order[first : first + batch_size]
            longest = int(longest_s * SAMPLE_RATE)
            samples, lengths = pad([signals[index][:longest] for index in picked])
            logits = network(samples.to(device), lengths.to(device))
            rows[picked] = logits.float().cpu().numpy()
    return rows


def predict_clips(batches: Batches) -> NDArray[np.float32]:
    """Return logits [N, 4] of clips as they are, in their order, in float32."""
    return outputs(batches, batches.front.network.logits)


def outputs(
    batches: Batches, function: Callable[[Frames], Tensor]
) -> NDArray[np.float32]:
    """Apply `function` to the frames of all clips as they are; rows in their order.

    The network stands in evaluation mode after.
    """
    steps = batches.plain()
    rows: NDArray[np.float32] | None = None
    with torch.no_grad():
        for draws, batch in zip(steps, batches.of(steps), strict=True):
            found = function(batch.frames).float().cpu().numpy()
            if rows is None:
                rows = np.zeros((len(batches.labels), found.shape[1]), np.float32)
            rows[[draw.index for draw in draws]] = found
    return np.zeros((0, 0), np.float32) if rows is None else rows


def mean_recall(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return UA, 0 to 1: the mean recall of the classes that occur."""
    right = logits.argmax(1) == labels
    return float(np.mean([right[labels == c].mean() for c in np.unique(labels)]))
