"""Predictions of a network on clips of any length, in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.clips.batches import Batches
    from espressivo.training.networks.network import Frames


def predict_clips(batches: Batches) -> NDArray[np.float32]:
    """Return logits [N, 4] of unaugmented clips, in their order."""
    return predict_dimensions(batches)[0]


def predict_dimensions(
    batches: Batches,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits [N, 4] and dimensions [N, D], 0 to 1, of unaugmented clips."""
    network = batches.extractor.network
    rows = apply_to_clips(batches, lambda frames: torch.cat(network.outputs(frames), 1))
    n_classes = network.classify.out_features
    return rows[:, :n_classes], rows[:, n_classes:]


def apply_to_clips(
    batches: Batches, function: Callable[[Frames], Tensor]
) -> NDArray[np.float32]:
    """Return the results of a function of frames on all unaugmented clips, in order.

    The network is in evaluation mode afterwards.
    """
    steps = batches.unaugmented()
    # Steps are sorted by length, so that padding is short; rows go back to their order.
    rows: NDArray[np.float32] | None = None
    with torch.no_grad():
        for step, batch in zip(steps, batches.load(steps), strict=True):
            # float() first: numpy has no bfloat16.
            found = function(batch.frames).float().cpu().numpy()
            if rows is None:
                rows = np.zeros((len(batches.labels), found.shape[1]), np.float32)
            rows[[clip.index for clip in step]] = found
    return np.zeros((0, 0), np.float32) if rows is None else rows
