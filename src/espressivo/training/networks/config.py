"""The `[network]` section of an experiment and its checks; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from espressivo.errors import ConfigError
from espressivo.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Sequence

Frozen = Literal["nothing", "convolutions", "all"]
Head = Literal["mean", "statistics", "attentive", "superb", "pepino"]
Join = Literal["average", "concatenate"]
Padding = Literal["valid", "fixed"]


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Settings of a network; a kind rejects settings that it does not use.

    Attributes:
        kind: A name in `networks.NETWORKS`.
        weights: The encoder's pretrained weights: a file (Whisper), a folder as
            transformers writes it, or a name on the hub. They determine the encoder's
            size. Random when empty, and of the kind's usual size: that of tiny for
            Whisper.
        frozen: The part of the encoder that is not trained; convolutions are its
            lowest part.
        n_frozen: Number of lowest transformer blocks that are frozen with the
            convolutions.
        n_layers: Number of lowest transformer blocks that are kept, all if 0; of a
            separable network the number of its blocks.
        width: Width of the hidden states of an encoder without pretrained weights; the
            kind's usual width if 0.
        states: Indices of the hidden states that are joined; 0 is the input of the
            first block, -1 the output of the last. All if empty.
        join: `average`: weighted average of the states. `concatenate`: one behind the
            other in the order of `states`, so that the embedding is wider (Whisper).
        state_weights: Initial weights of the states' average; equal if empty.
        head: Pooling of frames to one vector: mean; mean and deviation; the same with
            attention; SUPERB's head; the head of Pepino et al.
        padding: Treatment of short clips. `valid`: padding is masked and affects
            nothing. `fixed`: every clip is cut or padded to `window_s` and the padding
            is not masked, as in the study.
        window_s: Length with fixed padding, in seconds; 3 or 7 for LIGHT-SERNET.
        dimensions: Dimensions that the network gives beside the emotions: `arousal`,
            `valence`, `dominance`. None if empty.
        dropout: Dropout before the classifier; in Pepino's head, after its two layers.
        encoder_dropout: Dropout inside the encoder.
    """

    kind: str = "whisper"
    weights: str = ""
    frozen: Frozen = "nothing"
    n_frozen: int = 0
    n_layers: int = 0
    width: int = 0
    states: tuple[int, ...] = ()
    join: Join = "average"
    state_weights: tuple[float, ...] = ()
    head: Head = "statistics"
    padding: Padding = "valid"
    window_s: float = 8.0
    dimensions: tuple[str, ...] = ()
    dropout: float = 0.2
    encoder_dropout: float = 0.0


def require_choice(config: NetworkConfig, key: str, choices: Sequence[Any]) -> None:
    """Raise an error for a value that a kind of network does not support.

    Raises:
        ConfigError: The value is not among the choices.
    """
    value = getattr(config, key)
    if value not in choices:
        raise ConfigError(
            f"network.{key} is {value!r}, which {config.kind} does not have; "
            f"choose {' or '.join(repr(choice) for choice in choices)}"
        )


def require_plain(config: NetworkConfig, but: Sequence[str] = ()) -> None:
    """Raise an error for encoder or head settings of a network that has neither.

    Args:
        config: The settings.
        but: Settings that the network does have.

    Raises:
        ConfigError: One of these settings differs from its default.
    """
    plain = NetworkConfig(config.kind)
    for key in (
        "weights",
        "frozen",
        "n_frozen",
        "n_layers",
        "width",
        "states",
        "join",
        "state_weights",
        "head",
        "encoder_dropout",
    ):
        if key not in but and getattr(config, key) != getattr(plain, key):
            raise ConfigError(
                f"network.{key} is {getattr(config, key)!r}, but {config.kind} has no "
                "such choice; leave it out"
            )


def require_dimensions(config: NetworkConfig) -> None:
    """Raise an error for dimensions that do not exist, or are named twice.

    Raises:
        ConfigError: A name is none of `Dimension`, or occurs twice.
    """
    names = config.dimensions
    if not set(names) <= set(Dimension) or len(set(names)) != len(names):
        raise ConfigError(
            f"network.dimensions is {list(names)}; name each of "
            f"{', '.join(Dimension)} at most once"
        )


def require_states(config: NetworkConfig, n_layers: int) -> tuple[int, ...]:
    """Return the indices of the hidden states that are joined, 0 to `n_layers`.

    Raises:
        ConfigError: A state does not exist, or there is not one weight per state.
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
