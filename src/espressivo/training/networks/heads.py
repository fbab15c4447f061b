"""Weighted averages of hidden states, and pooling of frames to one vector."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LayerAverage(nn.Module):
    """Learned convex combination of hidden states, with weights from a softmax."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        # The softmax of logarithms is the given weights over their sum.
        self.scores = nn.Parameter(torch.tensor(list(weights)).log())

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Average tensors of one shape, as many as there are weights."""
        weights = self.scores.softmax(0)
        stacked = torch.stack(list(states), dim=-1)
        return (stacked * weights).sum(-1)


class StateAverage(nn.Module):
    """Learned weighted average of hidden states.

    Weights may be negative, and are divided by their sum.
    Source: Pepino et al. (2021), section 2.2, all weights being 1 at first.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(list(weights)))

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Average tensors of one shape, as many as there are weights."""
        weights = self.weights / self.weights.sum()
        return (torch.stack(list(states), dim=-1) * weights).sum(-1)


class MeanPooling(nn.Module):
    """Mean over valid frames."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Pool frames [B, T, width] under mask [B, T] to [B, width]."""
        if mask is None:
            return frames.mean(1)
        weights = (mask / mask.sum(1, keepdim=True)).unsqueeze(-1)
        return (frames * weights).sum(1)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over valid frames, equally weighted."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 2 * width

    def forward(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Pool frames [B, T, width] under mask [B, T] to [B, 2 width]."""
        if mask is None:  # exported with time left open: no shape becomes a constant
            mean = frames.mean(1)
            # From deviations: a difference of sums of squares would lose digits.
            spread = ((frames - mean.unsqueeze(1)) ** 2).mean(1)
            return _join(mean, spread)
        return _moments(frames, (mask / mask.sum(1, keepdim=True)).unsqueeze(-1))


class AttentivePooling(nn.Module):
    """Attentive statistics pooling: mean and deviation with learned frame weights.

    Source: Okabe et al. (2018); one weight per frame.
    """

    def __init__(self, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.width = 2 * width
        self.score = nn.Sequential(
            nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1)
        )

    def forward(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Pool frames [B, T, width] under mask [B, T] to [B, 2 width]."""
        score = self.score(frames)  # [B, T, 1]
        if mask is not None:
            score = score.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf)
        return _moments(frames, score.softmax(1))


class SuperbPooling(nn.Module):
    """Linear layer to 256 dimensions, then the mean over valid frames.

    Source: Yang et al. (2021), SUPERB, the head for utterances.
    """

    def __init__(self, width: int, hidden: int = 256) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.mean = MeanPooling(hidden)
        self.width = hidden

    def forward(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Pool frames [B, T, width] under mask [B, T] to [B, 256]."""
        pooled: Tensor = self.mean(self.project(frames), mask)
        return pooled


class PepinoPooling(nn.Module):
    """Two pointwise layers of 128 units, then the mean over valid frames.

    Source: Pepino et al. (2021), section 2.3.
    """

    def __init__(self, width: int, dropout: float, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.mean = MeanPooling(hidden)
        self.width = hidden

    def forward(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Pool frames [B, T, width] under mask [B, T] to [B, 128]."""
        pooled: Tensor = self.mean(self.layers(frames), mask)
        return pooled


def _moments(frames: Tensor, weights: Tensor) -> Tensor:
    mean = (frames * weights).sum(1)
    spread = ((frames - mean.unsqueeze(1)) ** 2 * weights).sum(1)
    return _join(mean, spread)


def _join(mean: Tensor, spread: Tensor) -> Tensor:
    # In silence all frames may be equal, and the gradient of a root is infinite at 0.
    return torch.cat([mean, (spread + 1e-6).sqrt()], dim=1)
