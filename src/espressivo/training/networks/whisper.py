"""Encoder of OpenAI Whisper, of any size, that returns the output of every block.

Source: openai-whisper, `model.AudioEncoder`; MIT licence.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from espressivo.errors import TrainingError
from espressivo.training.networks.logmel import N_MELS, valid_mask
from espressivo.training.networks.tensors import require_tensors

LONGEST = 1500  # frames of 20 ms that have a position
HEAD = 64
"""Dimensions of an attention head, in every Whisper model."""
_KERNEL = 3  # frames, of both convolutions
_BLOCK = re.compile(r"blocks\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class EncoderSize:
    """Size of an encoder; the defaults are Whisper tiny's.

    Attributes:
        width: Width of the hidden states.
        n_blocks: Number of transformer blocks.
        heads: Attention heads of each block of a pruned encoder, 0 to width / 64; all
            if empty. Without any, the block has no attention.
        neurons: Neurons of each block's MLP in a pruned encoder, 0 to 4 width; all if
            empty. Without any, the block has no MLP. A block with neither of the two
            returns its input.
    """

    width: int = 384
    n_blocks: int = 4
    heads: tuple[int, ...] = ()
    neurons: tuple[int, ...] = ()

    @property
    def all_heads(self) -> tuple[int, ...]:
        """Number of attention heads of each block."""
        return self.heads or (self.width // HEAD,) * self.n_blocks

    @property
    def all_neurons(self) -> tuple[int, ...]:
        """Number of neurons of each block's MLP."""
        return self.neurons or (4 * self.width,) * self.n_blocks

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the size that `to_settings` wrote.

        Raises:
            TrainingError: The settings are of another network.
        """
        try:
            counts = (
                tuple(map(int, settings.get(k, ()))) for k in ("heads", "neurons")
            )
            size = cls(int(settings["width"]), int(settings["n_blocks"]), *counts)
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"encoder settings {dict(settings)} are not of Whisper's encoder, "
                "which has width and n_blocks; train again in another folder"
            ) from error
        whole = replace(size, heads=(), neurons=())
        if (
            size.width % HEAD
            or min(size.width, size.n_blocks) < 1
            or not _fit(size.all_heads, whole.all_heads)
            or not _fit(size.all_neurons, whole.all_neurons)
        ):
            raise TrainingError(
                f"encoder settings {dict(settings)}: no Whisper encoder has this size"
            )
        return size

    def to_settings(self) -> dict[str, Any]:
        """Return the size as JSON values; without counts that nothing was pruned of."""
        pruned = {"heads": list(self.heads), "neurons": list(self.neurons)}
        return {"width": self.width, "n_blocks": self.n_blocks} | {
            name: counts for name, counts in pruned.items() if counts
        }

    def lowest(self, n_blocks: int) -> Self:
        """Return the size of the encoder's lowest blocks."""
        return replace(
            self,
            n_blocks=n_blocks,
            heads=self.heads[:n_blocks],
            neurons=self.neurons[:n_blocks],
        )


def _fit(counts: tuple[int, ...], most: tuple[int, ...]) -> bool:
    return len(counts) == len(most) and all(
        0 <= count <= whole for count, whole in zip(counts, most, strict=True)
    )


TINY = EncoderSize()


class Attention(nn.Module):
    """Multi-head self-attention of Whisper, whose key projection has no bias."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        inner = n_heads * HEAD  # less than the width if heads were pruned
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner)
        self.out = nn.Linear(inner, width)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Attend over frames x [B, T, width]; bias [B, 1, 1, T] is -inf at padding."""
        n_rows, n_frames, _ = x.shape
        shape = (n_rows, n_frames, self.n_heads, HEAD)
        query, key, value = (
            layer(x).view(shape).transpose(1, 2)  # [B, heads, T, 64]
            for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias
        )
        joined: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return joined


class Block(nn.Module):
    """Pre-norm transformer block; its parameters have the names of openai-whisper.

    A pruned block may lack its attention, its MLP, or both.
    """

    def __init__(
        self, width: int, n_heads: int, n_neurons: int, dropout: float
    ) -> None:
        super().__init__()
        self.attn = Attention(width, n_heads) if n_heads else None
        self.attn_ln = nn.LayerNorm(width) if n_heads else None
        self.mlp = (
            nn.Sequential(
                nn.Linear(width, n_neurons), nn.GELU(), nn.Linear(n_neurons, width)
            )
            if n_neurons
            else None
        )
        self.mlp_ln = nn.LayerNorm(width) if n_neurons else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Map frames [B, T, width] to frames of the same shape."""
        if self.attn is not None and self.attn_ln is not None:
            x = x + self.dropout(self.attn(self.attn_ln(x), bias))
        if self.mlp is not None and self.mlp_ln is not None:
            x = x + self.dropout(self.mlp(self.mlp_ln(x)))
        return x


class WhisperEncoder(nn.Module):
    """Whisper's audio encoder: convolutions and blocks, without the final norm."""

    positions: Tensor

    def __init__(self, size: EncoderSize = TINY, dropout: float = 0.0) -> None:
        super().__init__()
        width = size.width
        self.conv1 = nn.Conv1d(N_MELS, width, _KERNEL, padding=1)
        self.conv2 = nn.Conv1d(width, width, _KERNEL, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            Block(width, n_heads, n_neurons, dropout)
            for n_heads, n_neurons in zip(size.all_heads, size.all_neurons, strict=True)
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
    phase = torch.arange(length)[:, None] * position_rates(width)[None, :]
    return torch.cat([phase.sin(), phase.cos()], dim=1)


def position_rates(width: int) -> Tensor:
    """Return how many radians a frame each position embedding turns, [width / 2]."""
    step = math.log(10_000) / (width // 2 - 1)
    return torch.exp(-step * torch.arange(width // 2))


def read_size(path: Path) -> EncoderSize:
    """Read the size of the encoder in a safetensors file from the tensors' shapes.

    Raises:
        TrainingError: The file is absent, or is not of Whisper's encoder.
    """
    shapes = _read_shapes(path)
    first = shapes.get("conv1.weight", ())
    found = {int(m[1]) for name in shapes if (m := _BLOCK.match(name))}
    if len(first) != 3 or not found:
        raise TrainingError(
            f"{path}: holds no tensors 'conv1.weight' [width, {N_MELS}, {_KERNEL}] and "
            f"'blocks.0...'{_REMEDY}"
        )
    width, n_mels, kernel = first
    if n_mels != N_MELS:
        raise TrainingError(
            f"{path}: its encoder reads {n_mels} mel bands, not {N_MELS}, as that of "
            "Whisper large-v3 does; pass the encoder of another size, or of large-v2"
        )
    size = EncoderSize(width, len(found))
    if found != set(range(size.n_blocks)):
        raise TrainingError(
            f"{path}: holds blocks {sorted(found)}, not 0 to {size.n_blocks - 1}"
            f"{_REMEDY}"
        )
    # What else has these names must have the same shapes too.
    wide = shapes.get("blocks.0.mlp.0.weight", ())
    if kernel != _KERNEL or width % HEAD or wide != (4 * width, width):
        raise TrainingError(
            f"{path}: 'conv1.weight' is {first} and 'blocks.0.mlp.0.weight' {wide}, "
            f"not [width, {N_MELS}, {_KERNEL}] and [4 width, width] with a width "
            f"divisible by {HEAD}{_REMEDY}"
        )
    return size


def load_encoder(encoder: WhisperEncoder, path: Path) -> None:
    """Copy pretrained weights from a safetensors file with names of openai-whisper.

    Blocks that `encoder` does not have, and the final norm, are left out.

    Raises:
        TrainingError: The file is absent, or a tensor is missing or misshapen.
    """
    _read_shapes(path)
    stored = load_file(path)
    wanted = encoder.state_dict()
    require_tensors(stored, wanted, str(path), _REMEDY)
    # The file may be in half precision, as the ones of the recipes are.
    encoder.load_state_dict({name: stored[name].float() for name in wanted})


_REMEDY = "; pass a Whisper encoder with openai-whisper's names, such as tiny.en's"


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    if not path.is_file():
        raise TrainingError(f"{path}: no such file; it should hold Whisper's encoder")
    try:
        with safe_open(path, "pt") as file:
            return {n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise TrainingError(f"{path}: is no safetensors file{_REMEDY}") from error
