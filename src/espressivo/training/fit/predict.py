"""A trained network applied to clips of any length, in float32, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.clips.feature_cache import Batches
    from espressivo.training.networks import Frames


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
