"""An experiment as a TOML file, read into frozen dataclasses.

A key that does not exist is an error that names the one probably meant: a misspelt
setting that is silently ignored costs a day.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from espressivo.errors import ConfigError
from espressivo.training.networks import NetworkConfig

Balance = Literal["none", "class", "corpus-class"]


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """How a recording becomes a training clip.

    Attributes:
        trim_db: Silence at both ends is what lies this far below the loudest frame.
        crop_s: Longer clips are cut, in training, to a random part of this length.
        longest_s: Longer clips are cut, in evaluation, to their first part.
    """

    trim_db: float = 20.0
    crop_s: float = 2.5
    longest_s: float = 8.0


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How training clips are varied; each with its own probability.

    The defaults are the study's. It names no probabilities, nor any change of speed.

    Attributes:
        probability: Of gain, noise, pitch and polarity, each.
        gain_db: Lowest and highest gain.
        noise: Lowest and highest amplitude of Gaussian noise.
        pitch: Largest shift up or down, in semitones.
        speed_probability: Of playing faster or slower, which moves the formants too.
        speed: Slowest and fastest.
    """

    probability: float = 0.5
    gain_db: tuple[float, float] = (-18.0, 6.0)
    noise: tuple[float, float] = (0.001, 0.015)
    pitch: float = 2.0
    speed_probability: float = 0.0
    speed: tuple[float, float] = (0.8, 1.25)


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Focal loss, hiding of speakers, and which utterances are drawn how often.

    Attributes:
        gamma: 0 is cross-entropy.
        smoothing: Probability mass spread evenly over the classes.
        balance: What is drawn equally often.
        adversary: Weight of the loss of the adversary that tells speakers.
    """

    gamma: float = 2.0
    smoothing: float = 0.1
    balance: Balance = "corpus-class"
    adversary: float = 0.0


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One stage of training.

    Attributes:
        epochs: Passes; 0 skips the stage.
        draws: Utterances drawn in a pass, with replacement.
        batch_size: Utterances in a step.
        learning_rate: Peak, of the classifier and what pools.
        encoder_rate: Peak, of the topmost block; 0 leaves the encoder as it is.
        layer_decay: Every block below learns this much slower than the one above.
        n_frozen: Blocks that stay as they are; -1 also trains the convolutions.
        weight_decay: Of the classifier and what pools.
        towards_start: Weight of the squared distance of the encoder from its start.
        warmup: Share of the steps in which the rate rises.
        clip: Largest norm of the gradient.
    """

    epochs: int
    draws: int
    batch_size: int = 24
    learning_rate: float = 2e-3
    encoder_rate: float = 0.0
    layer_decay: float = 0.7
    n_frozen: int = -1
    weight_decay: float = 0.01
    towards_start: float = 0.0
    warmup: float = 0.1
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class DiscriminantConfig:
    """The classifier in closed form that replaces the trained one at the end.

    Attributes:
        fit: Whether to.
        interaction: How much noise the corpora's disagreement about the classes is.
        ridge: Variance added to every dimension, as a share of its scatter.
    """

    fit: bool = False
    interaction: float = 0.5
    ridge: float = 0.1


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """One model: what it is trained on, and how.

    Attributes:
        name: Of the model.
        encoder: Whisper's encoder, a safetensors file.
        corpora: Name of a corpus -> its folder.
        head: First stage, the encoder frozen.
        finetune: Second stage.
        seed: Of everything random.
        threads: Of torch; sums in another order differ in the last digits.
        bfloat16: Multiply in bfloat16 while training; twice as fast where the
            processor can.
    """

    name: str
    encoder: Path
    corpora: Mapping[str, Path]
    head: StageConfig
    finetune: StageConfig
    seed: int = 0
    threads: int = 2
    bfloat16: bool = True
    signal: SignalConfig = field(default_factory=SignalConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    discriminant: DiscriminantConfig = field(default_factory=DiscriminantConfig)


def read_config(path: Path) -> ExperimentConfig:
    """Read an experiment; its relative paths start at the folder of the file.

    Raises:
        ConfigError: The file is absent, is no TOML, or holds a wrong key or value.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error})") from error
    config = cast("ExperimentConfig", _build(ExperimentConfig, table, str(path), ""))
    folder = path.resolve().parent
    return replace(
        config,
        encoder=folder / config.encoder,
        corpora={name: folder / root for name, root in config.corpora.items()},
    )


def to_toml(config: ExperimentConfig) -> str:
    """Write an experiment so that `read_config` reads the same one."""
    lines: list[str] = []
    tables: list[str] = []
    for known in fields(config):
        value = getattr(config, known.name)
        if is_dataclass(value):
            value = {f.name: getattr(value, f.name) for f in fields(value)}
        if isinstance(value, Mapping):
            pairs = [f"{key} = {_literal(item)}" for key, item in value.items()]
            tables += ["", f"[{known.name}]", *pairs]
        else:
            lines.append(f"{known.name} = {_literal(value)}")
    return "\n".join([*lines, *tables]) + "\n"


def _literal(value: object) -> str:
    # Numbers, text, booleans and lists of them are written alike in TOML and JSON.
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _build(kind: type, table: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            meant = get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f"did you mean '{prefix}{meant[0]}'?" if meant else "remove it"
            raise ConfigError(f"{where}: there is no setting '{prefix}{key}'; {hint}")
    for known in fields(kind):
        optional = known.default is not MISSING or known.default_factory is not MISSING
        if not optional and known.name not in table:
            raise ConfigError(f"{where}: lacks '{prefix}{known.name}'; add it")
    return kind(
        **{
            key: _convert(hints[key], value, where, prefix + key)
            for key, value in table.items()
        }
    )


def _convert(hint: Any, value: Any, where: str, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(value, dict):
        return _build(cast("type", hint), value, where, f"{key}.")
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = _tuple_kinds(arguments, len(value))
        if len(kinds) == len(value):
            pairs = zip(kinds, value, strict=True)
            return tuple(_convert(kind, item, where, key) for kind, item in pairs)
    if origin is Mapping and isinstance(value, dict):
        kind = arguments[1]
        return {k: _convert(kind, v, where, f"{key}.{k}") for k, v in value.items()}
    if type(value) in _TAKEN.get(hint, ()):
        return hint(value)
    raise ConfigError(f"{where}: '{key}' is {value!r}; it should be {_describe(hint)}")


def _tuple_kinds(arguments: tuple[Any, ...], n_values: int) -> tuple[Any, ...]:
    return arguments[:1] * n_values if arguments[-1] is Ellipsis else arguments


_TAKEN = {int: (int,), float: (int, float), str: (str,), bool: (bool,), Path: (str,)}
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
}


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return "a list such as " + str(hint).removeprefix("tuple")
    return _WORDS.get(hint, "a table")
