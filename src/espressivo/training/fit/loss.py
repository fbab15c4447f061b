"""The focal loss, a cross-entropy that gives easy examples less weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def focal_losses(
    logits: Tensor,
    target: Tensor,
    alpha: Tensor | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.1,
) -> Tensor:
    """Return the class-weighted focal loss of each clip [B]; cross-entropy at gamma 0.

    Args:
        logits: float [B, C].
        target: int64 [B], in 0..C-1.
        alpha: float [C], weight of each class; all 1 when None.
        gamma: Focusing exponent; the larger, the less weight easy examples have.
        smoothing: Probability mass spread evenly over classes.

    Source: Lin et al. (2017), eq. 5.
    """
    log_p = logits.log_softmax(-1)  # [B, C]
    n_classes = logits.shape[-1]
    wanted = functional.one_hot(target, n_classes) * (1 - smoothing)
    wanted = wanted + smoothing / n_classes
    if alpha is not None:
        wanted = wanted * alpha
    return -(wanted * (1 - log_p.exp()) ** gamma * log_p).sum(-1)
