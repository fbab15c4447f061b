"""Encoder of OpenAI Whisper that returns the output of every block.

Source: openai-whisper, `model.AudioEncoder`; MIT licence.
"""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from espressivo.errors import TrainingError
from espressivo.training.networks.logmel import N_MELS, valid_mask
from espressivo.training.networks.tensors import require_tensors

WIDTH = 384
N_HEADS = 6
N_LAYERS = 4
LONGEST = 1500  # frames of 20 ms that have a position


class Attention(nn.Module):
    """Multi-head self-attention of Whisper, whose key projection has no bias."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Attend over frames x [B, T, width]; bias [B, 1, 1, T] is -inf at padding."""
        n_rows, n_frames, width = x.shape
        shape = (n_rows, n_frames, self.n_heads, width // self.n_heads)
        query, key, value = (
            layer(x).view(shape).transpose(1, 2)  # [B, heads, T, width / heads]
            for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias
        )
        joined: Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape))
        return joined


class Block(nn.Module):
    """Pre-norm transformer block; its parameters have the names of openai-whisper."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attn = Attention(width, n_heads)
        self.attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.mlp_ln = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Map frames [B, T, width] to frames of the same shape."""
        x = x + self.dropout(self.attn(self.attn_ln(x), bias))
        y: Tensor = x + self.dropout(self.mlp(self.mlp_ln(x)))
        return y


class WhisperEncoder(nn.Module):
    """Whisper's audio encoder: the first `n_layers` blocks, without the final norm."""

    positions: Tensor

    def __init__(
        self, n_layers: int = N_LAYERS, width: int = WIDTH, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(N_MELS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            Block(width, N_HEADS, dropout) for _ in range(n_layers)
        )
        # A formula gives the positions, so no file needs to hold them.
        self.register_buffer("positions", sinusoids(LONGEST, width), persistent=False)

    def forward(self, mel: Tensor, frames: Tensor | None = None) -> list[Tensor]:
        """Return hidden states [B, ceil(T / 2), width]; the first is the blocks' input.

        Args:
            mel: Log-mel frames, float32 [B, 80, T]; zero beyond the valid ones.
            frames: Number of valid frames per row, int64 [B]; all if None.
        """
        x = functional.gelu(self.conv1(mel))
        if frames is not None:
            # The first convolution's bias makes padding non-zero, and the second one's
            # kernel would carry it into the last valid frame.
            x = x * valid_mask(frames, x.shape[-1]).unsqueeze(1)
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        bias = None
        if frames is not None:
            mask = valid_mask(halved(frames), x.shape[1])
            bias = torch.zeros_like(mask).masked_fill(mask == 0, -math.inf)[
                :, None, None
            ]
        states = [x]
        for block in self.blocks:
            states.append(block(states[-1], bias))
        return states


def halved(frames: Tensor) -> Tensor:
    """Number of encoder frames (20 ms) for `frames` mel frames (10 ms), int64 [B]."""
    # Rounded up: with stride 2 and padding 1 an odd last frame gets a place.
    return torch.div(frames + 1, 2, rounding_mode="floor")


def sinusoids(length: int, width: int) -> Tensor:
    """Return position embeddings [length, width]: sines, then cosines."""
    step = math.log(10_000) / (width // 2 - 1)
    rates = torch.exp(-step * torch.arange(width // 2))
    phase = torch.arange(length)[:, None] * rates[None, :]
    return torch.cat([phase.sin(), phase.cos()], dim=1)


def load_encoder(encoder: WhisperEncoder, path: Path) -> None:
    """Copy pretrained weights from a safetensors file with names of openai-whisper.

    Blocks that `encoder` does not have, and the final norm, are left out.

    Raises:
        TrainingError: The file is absent, or a tensor is missing or misshapen.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such file; it should hold Whisper's encoder")
    stored = load_file(path)
    wanted = encoder.state_dict()
    remedy = "; pass the encoder of Whisper tiny.en"
    require_tensors(stored, wanted, str(path), remedy)
    # The file may be in half precision, as the one of the recipes is.
    encoder.load_state_dict({name: stored[name].float() for name in wanted})
