"""An experiment as a TOML file, read into frozen dataclasses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence  # noqa: TC003 - read at run time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from espressivo.errors import ConfigError
from espressivo.training import toml
from espressivo.training.folds.protocol import ProtocolConfig
from espressivo.training.networks import NETWORKS, NetworkConfig

Balance = Literal["none", "class", "corpus-class"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_VARIABLES = {
    "ESPRESSIVO_DATA": "the folder that holds corpora/ and weights/ (docs/train.md)"
}


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """How a recording becomes a clip, before anything is varied.

    Attributes:
        trim_db: Silence at both ends is what lies this far below the loudest frame.
        pre_emphasis: Coefficient of the filter; 0 changes nothing. The study's is 0.97.
        peak: What the largest sample is scaled to; 0 changes nothing. The study's is
            0.95.
        crop_s: Longer clips are cut, in training, to a random part of this length; 0
            cuts them as in evaluation.
        longest_s: Longer clips are cut, in evaluation, to their first part.
    """

    trim_db: float = 20.0
    pre_emphasis: float = 0.0
    peak: float = 0.0
    crop_s: float = 0.0
    longest_s: float = 8.0


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How training clips are varied; each with its own probability.

    The defaults are the study's. It names no probabilities, nor any change of speed.

    Attributes:
        probability: Of gain, noise, pitch and polarity, each; 0 varies nothing.
        gain_db: Lowest and highest gain.
        noise: Lowest and highest amplitude of Gaussian noise.
        pitch: Largest shift up or down, in semitones.
        speed_probability: Of playing faster or slower, which moves the formants too.
        speed: Slowest and fastest.
        variants: 0 varies anew in every epoch. A number gives each utterance that many
            variations, the same in all runs, so that a frozen front hears each once.
    """

    probability: float = 0.5
    gain_db: tuple[float, float] = (-18.0, 6.0)
    noise: tuple[float, float] = (0.001, 0.015)
    pitch: float = 2.0
    speed_probability: float = 0.0
    speed: tuple[float, float] = (0.8, 1.25)
    variants: int = 0

    @property
    def varies(self) -> bool:
        """Whether anything is varied at all."""
        return self.probability > 0 or self.speed_probability > 0


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Focal loss, hiding of speakers, and which utterances are drawn how often.

    Attributes:
        gamma: 0 is cross-entropy.
        smoothing: Probability mass spread evenly over the classes.
        weights: `balanced`: a class counts N / (4 n) of the training part.
        balance: What is drawn equally often, where `training.draws` are made.
        adversary: Weight of the loss of the adversary that tells speakers.
    """

    gamma: float = 2.0
    smoothing: float = 0.1
    weights: Literal["none", "balanced"] = "none"
    balance: Balance = "none"
    adversary: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Optimizer, schedule, and when to stop.

    Attributes:
        epochs: Passes; 0 trains nothing by gradients.
        patience: Stop after this many epochs without a better UA on the validation
            part, of which the best epoch is kept; 0 runs through, and keeps the best.
        draws: Utterances drawn in a pass, with replacement; 0 takes each once.
        batch_size: Utterances in a step.
        optimizer: Adam adds `weight_decay` to the gradient, AdamW does not.
        learning_rate: Peak, of the classifier and what pools.
        encoder_rate: Peak, of the encoder's topmost block; 0: the same.
        layer_decay: Every block below learns this much slower than the one above.
        head_epochs: In the first ones the encoder stays as it is.
        schedule: After the warm-up: a cosine to 0; constant; or in steps, by `decay`.
        warmup: Share of the steps in which the rate rises.
        decay: The rate's exponent of e at every step down.
        decay_from: First epoch, from 1, with a step down.
        decay_every: Epochs between two.
        weight_decay: Of matrices and kernels; biases and norms have none.
        towards_start: Weight of the squared distance of the encoder from its start.
        clip: Largest norm of the gradient; 0 clips nothing.
        speaker_statistics: Shift and scale frames by each speaker's own mean and
            deviation, which no deployed system has: one published number did.
    """

    epochs: int = 0
    patience: int = 0
    draws: int = 0
    batch_size: int = 16
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    encoder_rate: float = 0.0
    layer_decay: float = 1.0
    head_epochs: int = 0
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    warmup: float = 0.1
    decay: float = 0.15
    decay_from: int = 60
    decay_every: int = 20
    weight_decay: float = 0.01
    towards_start: float = 0.0
    clip: float = 1.0
    speaker_statistics: bool = False


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """The classifier's last layer in closed form, in place of the trained one.

    Attributes:
        fit: By gradients with all the rest; a linear discriminant; or logistic
            regression.
        interaction: How much noise the corpora's disagreement about the classes is, for
            the discriminant.
        ridge: Variance added to every dimension, as a share of its scatter; the same.
        strength: Inverse of the penalty, scikit-learn's C, for the regression.
    """

    fit: Literal["gradient", "discriminant", "logistic"] = "gradient"
    interaction: float = 0.5
    ridge: float = 0.1
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """A second classifier, for who has a profile; see `fit.profile_head`.

    Attributes:
        fit: Whether there is one. It needs three speakers with every emotion.
        strength: Inverse of the penalty of its logistic regression, scikit-learn's C.
        interaction: As in `classifier`, for its discriminant.
        ridge: The same.
        patience: Windows, beyond the first, after which a profile counts for half.
        discount: How much of what the plain classifier finds in a one-sided history is
            taken out of its mean, 0 to 1.
        spread: Mutual information of window and emotion from which on a history is
            evenly spread, as a share of the largest there could be.
    """

    fit: bool = False
    strength: float = 0.003
    interaction: float = 0.5
    ridge: float = 1.0
    patience: float = 2.0
    discount: float = 0.7
    spread: float = 0.8


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """One model, or one for every fold: what it is trained on, and how.

    Attributes:
        name: Of the model.
        corpora: Name of a corpus -> its folder.
        seed: Of everything random.
        threads: Of torch; sums in another order differ in the last digits.
        workers: Processes that vary and load clips; what they make does not depend on
            their number.
        device: `auto` takes a GPU where there is one.
        precision: Of products while training; `auto` is bfloat16 on a GPU.
        protocol: Who trains, validates and tests.
    """

    name: str
    corpora: Mapping[str, Path]
    seed: int = 0
    threads: int = 2
    workers: int = 0
    device: Device = "auto"
    precision: Precision = "auto"
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    signal: SignalConfig = field(default_factory=SignalConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)


def read_config(
    path: Path,
    settings: Sequence[str] = (),
    corpora: Mapping[str, Path] | None = None,
) -> ExperimentConfig:
    """Read an experiment; its relative paths start at the folder of the file.

    `$NAME` in the folder of a corpus and in `network.weights` is an environment
    variable; the recipes use `$ESPRESSIVO_DATA`.

    Args:
        path: The TOML file.
        settings: `KEY=VALUE`s that replace what the file says.
        corpora: Folders that replace those of the corpora in the file. Other names are
            ignored.

    Raises:
        ConfigError: The file is absent, is no TOML, or holds a wrong key or value, or a
            variable is not set.
    """
    table = toml.read_table(path)
    for setting in settings:
        toml.override(table, setting)
    config = cast("ExperimentConfig", toml.build(ExperimentConfig, table, str(path)))
    _require_kind(config.network.kind, path)
    folder = path.resolve().parent
    roots = dict(corpora or {})
    for name, root in config.corpora.items():
        if name not in roots:
            remedy = f"--corpus {name}=DIR"
            text = _expand(str(root), path, f"corpora.{name}", remedy)
            roots[name] = folder / Path(text).expanduser()
    remedy = "--set network.weights=FILE"
    weights = _expand(config.network.weights, path, "network.weights", remedy)
    # A value that is not a path on this machine is a name on the hub.
    if weights.startswith((".", "~")) or (folder / weights).exists():
        weights = str(folder / Path(weights).expanduser()) if weights else ""
    return replace(
        config,
        corpora={name: roots[name] for name in config.corpora},
        network=replace(config.network, weights=weights),
    )


def _require_kind(kind: str, path: Path) -> None:
    """Refuse a network that is not registered, in the words of `toml.build`."""
    if kind not in NETWORKS:
        kinds = ", ".join(repr(name) for name in NETWORKS)
        raise ConfigError(
            f"{path}: 'network.kind' is {kind!r}; it should be one of {kinds}"
        )


def _expand(text: str, path: Path, key: str, remedy: str) -> str:
    """Replace environment variables in a path."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            hint = _VARIABLES.get(name, "the folder that is meant")
            raise ConfigError(
                f"{path}: '{key}' is '{text}', but the environment variable {name} is "
                f"not set; set it to {hint} (export {name}=DIR), or pass {remedy}"
            )
        return os.environ[name]

    return _VARIABLE.sub(value, text)


def to_toml(config: ExperimentConfig) -> str:
    """Write an experiment so that `read_config` reads the same one."""
    return toml.to_toml(config)
