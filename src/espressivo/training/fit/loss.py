"""Focal loss, and weights that make classes and corpora count the same."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor


def focal_loss(
    logits: Tensor,
    target: Tensor,
    alpha: Tensor | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.1,
) -> Tensor:
    """Class-weighted focal loss, averaged; cross-entropy when gamma is 0.

    Args:
        logits: float [B, C].
        target: int64 [B], in 0..C-1.
        alpha: float [C], weight of each class; all 1 when None.
        gamma: How much less an easy example counts.
        smoothing: Probability mass spread evenly over classes.

    Source: Lin et al. (2017), eq. 5.
    """
    log_p = logits.log_softmax(-1)  # [B, C]
    n_classes = logits.shape[-1]
    wanted = functional.one_hot(target, n_classes) * (1 - smoothing)
    wanted = wanted + smoothing / n_classes
    if alpha is not None:
        wanted = wanted * alpha
    return -(wanted * (1 - log_p.exp()) ** gamma * log_p).sum(-1).mean()


def balanced_weights(groups: Sequence[Hashable]) -> NDArray[np.float64]:
    """Weigh every item so that all groups weigh the same and the mean weight is 1.

    With classes as groups an item of class c gets N / (C n_c), the study's alpha; with
    (corpus, class) as groups a small corpus counts as much as a large one.

    >>> balanced_weights(["a", "a", "a", "b"]).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    counts = Counter(groups)
    share = len(groups) / max(len(counts), 1)
    return np.array([share / counts[group] for group in groups], dtype=np.float64)
