"""The trained parts: a classifier with or without a hidden layer, or one block too."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from espressivo.training.networks import NetworkConfig
from espressivo.training.networks.heads import MeanPooling
from espressivo.training.networks.logmel import valid_mask
from espressivo.training.networks.network import EmotionNetwork, Frames, Standardize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from espressivo.training.networks.whisper import Block

N_HIDDEN = 128


class _OnFeatures(EmotionNetwork):
    """A network whose front has been run: it takes frames [B, T, width]."""

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Raise: the features are read, not computed."""
        raise NotImplementedError

    def front_state(self) -> Mapping[str, Tensor]:
        """Return no weights."""
        return {}


class Head(_OnFeatures):
    """A linear classifier of one vector a clip, or one with a hidden layer."""

    def __init__(self, width: int, *, hidden: bool) -> None:
        super().__init__(NetworkConfig(), N_HIDDEN if hidden else width)
        self.standardize = Standardize(width)
        self.hidden: nn.Module = nn.Identity()
        if hidden:
            self.hidden = nn.Sequential(nn.Linear(width, N_HIDDEN), nn.ReLU())

    def pooled(self, frames: Frames) -> Tensor:
        """Return the vector of each clip [B, width]."""
        return frames.values[:, 0]

    def embedding(self, frames: Frames) -> Tensor:
        """Return the input of the classifier, [B, 128] behind a hidden layer."""
        embedding: Tensor = self.hidden(super().embedding(frames))
        return embedding

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return no blocks."""
        return []


class TrainedBlock(_OnFeatures):
    """A block of Whisper's encoder, the mean over its frames, a linear classifier."""

    def __init__(self, block: Block) -> None:
        assert block.attn is not None  # it is not pruned
        width = block.attn.query.in_features
        super().__init__(NetworkConfig(), width)
        self.block = copy.deepcopy(block).requires_grad_(requires_grad=True)
        self.pooling = MeanPooling(width)

    def pooled(self, frames: Frames) -> Tensor:
        """Return the mean of the block's frames [B, width]."""
        values, counts = frames
        assert counts is not None
        mask = valid_mask(counts, values.shape[1])
        bias = torch.zeros_like(mask).masked_fill(mask == 0, -math.inf)
        mean: Tensor = self.pooling(self.block(values, bias[:, None, None]), mask)
        return mean

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the weights of the block."""
        return [list(self.block.parameters())]
