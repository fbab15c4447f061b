"""Means, deviations and covariances of domains: distances, and how they are mixed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence


def covariance_distance(groups: Sequence[Tensor]) -> Tensor:
    """Return the mean over pairs of groups of |C_a - C_b|^2 / (4 width^2), a scalar.

    C is the covariance of a group, [n, width], and the norm is Frobenius's. Groups of
    one row, which have none, are left out. Without a pair the distance is 0.
    """
    several = [rows for rows in groups if len(rows) > 1]
    return _mean_over_pairs([torch.cov(r.T) / (2 * r.shape[1]) for r in several])


def mean_distance(groups: Sequence[Tensor]) -> Tensor:
    """Return the mean over pairs of groups of |m_a - m_b|^2 / width, a scalar.

    m is the mean of a group, [n, width]. Without a pair the distance is 0.
    """
    return _mean_over_pairs([rows.mean(0) / rows.shape[1] ** 0.5 for rows in groups])


def _mean_over_pairs(points: Sequence[Tensor]) -> Tensor:
    """Return the mean squared distance of all pairs of points; 0 without a pair."""
    if len(points) < 2:
        return torch.zeros(())
    # Twice the variance is the mean squared difference of two points.
    return 2 * torch.stack(list(points)).var(0).sum()


def clip_statistics(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation over time, [B, 1, ...], of frames [B, T, ...].

    Args:
        values: Frames.
        mask: float [B, T, 1, ...], 1 for valid frames and 0 for padding.
    """
    share = mask / mask.sum(1, keepdim=True)
    mean = (values * share).sum(1, keepdim=True)
    variance = ((values - mean).square() * share).sum(1, keepdim=True)
    return mean, (variance + 1e-6).sqrt()


def domain_statistics(rows: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the domain of each row, [B, width] both."""
    member = functional.one_hot(domain).to(rows.dtype)  # [B, domains]
    share = member / member.sum(0).clamp(min=1)
    mean = (share.T @ rows)[domain]
    variance = (share.T @ (rows - mean).square())[domain]
    return mean, (variance + 1e-6).sqrt()


def choose_partners(domain: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return for each row [B] a random row of another domain; itself if there is none.

    Args:
        domain: int64 [B].
        allowed: bool [B], rows that may be chosen and have partners; all if None.
    """
    n = len(domain)
    pairs = domain.unsqueeze(1) != domain
    if allowed is not None:
        pairs = pairs & allowed.unsqueeze(1) & allowed
    # Drawn on the CPU, so that a seed gives all devices the same partners.
    lots = torch.rand(n, n).to(domain.device).masked_fill(~pairs, -math.inf)
    itself = torch.arange(n, device=domain.device)
    return torch.where(pairs.any(1), lots.argmax(1), itself)


def mix_statistics(
    values: Tensor,
    statistics: tuple[Tensor, Tensor],
    partners: Tensor,
    shares: Tensor,
) -> Tensor:
    """Return `values` [B, ...] with mean and deviation mixed with the partners'.

    Args:
        values: Frames or embeddings.
        statistics: Mean and deviation of each row, which broadcast to `values`. They
            get no gradient, as in MixStyle.
        partners: int64 [B], the row with which each row is mixed.
        shares: float [B], share of a row's own statistics, 0 to 1.
    """
    mean, scale = (part.detach() for part in statistics)
    own = shares.reshape(-1, *[1] * (mean.ndim - 1))
    new_mean, new_scale = (
        own * part + (1 - own) * part[partners] for part in (mean, scale)
    )
    mixed = (values - mean) / scale * new_scale + new_mean
    # To the last bit, where there is no partner.
    alone = partners == torch.arange(len(partners), device=partners.device)
    return torch.where(alone.reshape(own.shape), values, mixed)
