"""Losses: the focal loss of emotions, and the concordance loss of dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def focal_losses(
    logits: Tensor,
    target: Tensor,
    alpha: Tensor | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.1,
    *,
    votes: Tensor | None = None,
) -> Tensor:
    """Return the class-weighted focal loss of each clip [B]; cross-entropy at gamma 0.

    Args:
        logits: float [B, C].
        target: int64 [B], in 0..C-1.
        alpha: float [C], weight of each class; all 1 when None.
        gamma: Focusing exponent; the larger, the less weight easy examples have.
        smoothing: Probability mass spread evenly over classes.
        votes: Shares of the listeners' votes [B, C], which replace the targets; the
            rows of clips without votes are NaN. None: the targets alone count.

    Source: Lin et al. (2017), eq. 5.
    """
    log_p = logits.log_softmax(-1)  # [B, C]
    n_classes = logits.shape[-1]
    wanted = functional.one_hot(target, n_classes).to(log_p.dtype)
    if votes is not None:
        wanted = torch.where(votes.isnan(), wanted, votes)
    wanted = wanted * (1 - smoothing) + smoothing / n_classes
    if alpha is not None:
        wanted = wanted * alpha
    return -(wanted * (1 - log_p.exp()) ** gamma * log_p).sum(-1)


def concordance_loss(
    predicted: Tensor, rated: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return 1 - CCC over a batch, a scalar: the weighted mean over dimensions.

    A dimension of which fewer than two clips are rated is left out, since it has no
    variance to agree on; the loss is 0 if all are.

    Args:
        predicted: float [B, D].
        rated: Listeners' ratings, float [B, D]; NaN where one is missing.
        weights: Weight of each dimension, float [D]; equal when None.

    Source: Lin (1989), eq. 1, the concordance correlation coefficient, with moments
    that are divided by n.
    """
    known = ~rated.isnan()
    n = known.sum(0).clamp(min=1)
    # Masked before anything is computed: a NaN times 0 would be a NaN in the gradient.
    rated = torch.where(known, rated, 0)
    mean_p = torch.where(known, predicted, 0).sum(0) / n
    mean_r = rated.sum(0) / n
    apart_p = torch.where(known, predicted - mean_p, 0)
    apart_r = torch.where(known, rated - mean_r, 0)
    covariance = (apart_p * apart_r).sum(0) / n
    spread = (apart_p.square().sum(0) + apart_r.square().sum(0)) / n
    # Equal constants would be 0 / 0.
    ccc = 2 * covariance / (spread + (mean_p - mean_r).square()).clamp(min=1e-8)
    weights = torch.ones_like(ccc) if weights is None else weights
    weights = weights * (known.sum(0) >= 2)
    return (weights * (1 - ccc)).sum() / weights.sum().clamp(min=1e-8)
