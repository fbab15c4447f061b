"""The one seam between networks and what trains, caches and evaluates them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from espressivo.errors import ConfigError
from espressivo.types import Emotion

Kind = Literal[
    "whisper", "distilhubert", "hubert", "wav2vec2", "light_sernet", "statistics"
]
Frozen = Literal["nothing", "convolutions", "all"]
Head = Literal["mean", "statistics", "attentive", "superb", "pepino"]
Padding = Literal["valid", "fixed"]


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What a network is made of; a kind ignores nothing, it refuses what it lacks.

    Attributes:
        kind: Which network.
        weights: Where the encoder's pretrained weights are: a file (Whisper), a folder
            as transformers writes it, or a name on the hub. Random when empty.
        frozen: What of the encoder stays as it is; convolutions are its lowest part.
        n_frozen: Transformer blocks that stay too, from below, with the convolutions.
        n_layers: Transformer blocks kept, from below; all when 0.
        states: Hidden states averaged, 0 being the input to the first block and -1 the
            last block's output. All if empty.
        state_weights: What each counts at first; alike if empty.
        head: From frames to one vector: their mean; mean and deviation; the same, each
            frame weighed by a learned score; SUPERB's; or that of Pepino et al.
        padding: `valid`: whatever pads a clip changes nothing. `fixed`: every clip is
            cut or padded to `window_s` and the padding is heard, as in the study.
        window_s: Length with fixed padding; 3 or 7 for LIGHT-SERNET.
        dropout: Share of the pooled embedding hidden from the classifier in training;
            with Pepino's head, of what its two layers put out.
        encoder_dropout: The same, inside the encoder.
    """

    kind: Kind = "whisper"
    weights: str = ""
    frozen: Frozen = "nothing"
    n_frozen: int = 0
    n_layers: int = 0
    states: tuple[int, ...] = ()
    state_weights: tuple[float, ...] = ()
    head: Head = "statistics"
    padding: Padding = "valid"
    window_s: float = 8.0
    dropout: float = 0.2
    encoder_dropout: float = 0.0


class Frames(NamedTuple):
    """What a network's frozen front makes of a batch; kept on disk between epochs.

    Attributes:
        values: float [B, T, ...], zero beyond each row's own frames.
        counts: int64 [B], frames of each row that are valid; None: all.
    """

    values: Tensor
    counts: Tensor | None


class Standardize(nn.Module):
    """Shift and scale by what the training recordings showed, fixed before training."""

    mean: Tensor
    scale: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def fit(self, rows: Tensor) -> None:
        """Take mean and deviation of `rows` [N, *shape] as the new zero and one."""
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(rows.std(0) + 1e-4)

    def fit_all(self, batches: Iterable[Tensor]) -> None:
        """Fit as `fit` does to the rows [N, *shape] of all batches, held one by one.

        Source: Chan et al. (1979), merging of means and sums of squares.
        """
        n, mean, squares = 0, self.mean.double() * 0, self.mean.double() * 0
        for rows in batches:
            shift = rows.mean(0).double() - mean
            total = n + len(rows)
            squares += rows.var(0, correction=0).double() * len(rows)
            squares += shift**2 * (n * len(rows) / total)
            mean += shift * (len(rows) / total)
            n = total
        self.mean.copy_(mean)
        self.scale.copy_((squares / max(1, n - 1)).sqrt() + 1e-4)

    def forward(self, rows: Tensor) -> Tensor:
        """Map [..., *shape] to the same shape."""
        return (rows - self.mean) / self.scale


class EmotionNetwork(nn.Module, ABC):
    """Samples to logits in two steps: a front that nothing trains, and the rest.

    What the front makes of a recording never changes while a network is trained, so it
    is computed once and kept. A network of which nothing is frozen has a front without
    parameters, such as a spectrogram.
    """

    encoder_settings: Mapping[str, Any]
    """What the encoder is built from, where its weights bring that; JSON."""

    def __init__(self, config: NetworkConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.encoder_settings = {}
        self.standardize = Standardize(width)
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(width, len(Emotion))

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits [B, 4].

        Args:
            samples: float32 [B, samples] at 16 kHz, zero-padded on the right, at least
                0.2 s.
            lengths: int64 [B], valid samples of each row; all when None.
        """
        return self.logits(self.front(samples, lengths))

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch norm on, but not where nothing is trained."""
        super().train(mode)
        for module in self.modules():
            parameters = list(module.parameters())
            if parameters and not any(p.requires_grad for p in parameters):
                module.eval()
        return self

    def logits(self, frames: Frames) -> Tensor:
        """Return logits [B, 4] of what `front` returned."""
        logits: Tensor = self.classify(self.dropout(self.embedding(frames)))
        return logits

    def embedding(self, frames: Frames) -> Tensor:
        """Return what the classifier sees, [B, width], before dropout."""
        embedding: Tensor = self.standardize(self.pooled(frames))
        return embedding

    @abstractmethod
    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return frames of `samples` as in `forward`; no parameter of it is trained."""

    @abstractmethod
    def pooled(self, frames: Frames) -> Tensor:
        """Return one vector per clip, [B, width], before it is standardized."""

    @abstractmethod
    def front_state(self) -> Mapping[str, Tensor]:
        """Return the weights that `front` uses: with them and the configuration what
        it returns is given. Empty where it has none."""  # noqa: D205, D209 - one thought

    @abstractmethod
    def blocks(self) -> list[list[nn.Parameter]]:
        """Return what is trained of the encoder, block by block, the lowest first."""

    def fit(self, batches: Iterable[Frames]) -> None:
        """Fix statistics of the training recordings before training; none here."""


def count_parameters(network: EmotionNetwork) -> tuple[int, int]:
    """Return how many parameters there are, and how many of them are trained.

    The running statistics of batch norm count among all, as in published counts.
    """
    running = sum(
        buffer.numel()
        for name, buffer in network.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    )
    everything = sum(p.numel() for p in network.parameters()) + running
    return everything, sum(p.numel() for p in network.parameters() if p.requires_grad)


def require_choice(config: NetworkConfig, key: str, choices: Sequence[Any]) -> None:
    """Refuse a value that a kind of network does not have.

    Raises:
        ConfigError: Names the key, its value and what to choose.
    """
    value = getattr(config, key)
    if value not in choices:
        raise ConfigError(
            f"network.{key} is {value!r}, which {config.kind} does not have; "
            f"choose {' or '.join(repr(choice) for choice in choices)}"
        )


def require_plain(config: NetworkConfig) -> None:
    """Refuse all that is about an encoder and its head, for a network with neither.

    Raises:
        ConfigError: Something differs from what is there unless asked for.
    """
    plain = NetworkConfig(config.kind)
    for key in (
        "weights",
        "frozen",
        "n_frozen",
        "n_layers",
        "states",
        "state_weights",
        "head",
        "encoder_dropout",
    ):
        if getattr(config, key) != getattr(plain, key):
            raise ConfigError(
                f"network.{key} is {getattr(config, key)!r}, but {config.kind} has no "
                "such choice; leave it out"
            )


def require_states(config: NetworkConfig, n_layers: int) -> tuple[int, ...]:
    """Return which hidden states are averaged, each 0 to `n_layers`.

    Raises:
        ConfigError: One does not exist, or the weights are not one a state.
    """
    if extra := [i for i in config.states if not -1 <= i <= n_layers]:
        raise ConfigError(
            f"network.states {extra} do not exist with {n_layers} blocks; "
            f"name some of 0 to {n_layers}, or -1 for the last"
        )
    states = config.states or tuple(range(n_layers + 1))
    if config.state_weights and len(config.state_weights) != len(states):
        raise ConfigError(
            f"network.state_weights are {len(config.state_weights)}, "
            f"not {len(states)}; give one a state"
        )
    return tuple(n_layers if i == -1 else i for i in states)
