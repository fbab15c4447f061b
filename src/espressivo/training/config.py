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

# `$NAME` or `${NAME}`, as in a shell.
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_VARIABLES = {
    "ESPRESSIVO_DATA": "the folder that holds corpora/ and weights/ (docs/train.md)"
}


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """Preprocessing of recordings, before augmentation.

    Attributes:
        trim_db: Frames this far below the loudest are trimmed from both ends, in dB.
        pre_emphasis: Coefficient of the filter; 0 turns it off. The study's is 0.97.
        peak: Target of peak normalization; 0 turns it off. The study's is 0.95.
        crop_s: Longer clips are cropped in training to a random part of this length;
            0 crops them as in evaluation.
        longest_s: Longer clips are cropped in evaluation to their first part.
    """

    trim_db: float = 20.0
    pre_emphasis: float = 0.0
    peak: float = 0.0
    crop_s: float = 0.0
    longest_s: float = 8.0


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Augmentation of training clips, each kind with its own probability.

    The defaults are the study's, which names no probabilities and no change of speed.

    Attributes:
        probability: Probability of gain, noise, pitch and polarity, each.
        gain_db: Lowest and highest gain.
        noise: Lowest and highest amplitude of Gaussian noise.
        pitch: Largest shift up or down, in semitones.
        speed_probability: Probability of resampling, which moves the formants too.
        speed: Lowest and highest factor of the speed.
        variants: Number of fixed augmentations of each utterance, the same in all runs,
            so that a frozen front computes each once. 0: new ones in every epoch.
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
        """Whether any clip is augmented."""
        return self.probability > 0 or self.speed_probability > 0


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Focal loss, speaker adversary, and balanced sampling.

    Attributes:
        gamma: Focusing parameter; 0 is cross-entropy.
        smoothing: Label smoothing, spread evenly over the classes.
        weights: `balanced`: class weights N / (4 n) of the training part.
        balance: Groups sampled equally often, if `training.draws` is set.
        adversary: Weight of the loss of the adversary that classifies speakers.
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
        epochs: Number of epochs; 0 trains nothing by gradients.
        patience: Early stopping after this many epochs without a better validation UA;
            0 trains all epochs. The best epoch is kept in both cases.
        draws: Utterances per epoch, sampled with replacement; 0 takes each once.
        batch_size: Utterances in a step.
        optimizer: Adam adds `weight_decay` to the gradient, AdamW does not.
        learning_rate: Peak rate of the classifier and the pooling.
        encoder_rate: Peak rate of the encoder's topmost block; 0: `learning_rate`.
        layer_decay: Factor of the rate from each block to the one below.
        head_epochs: First epochs, in which the encoder is frozen.
        schedule: After the warm-up: a cosine to 0; constant; or in steps, by `decay`.
        warmup: Share of the steps in which the rate rises.
        decay: The rate is multiplied by exp(-decay) at every step down.
        decay_from: First epoch, from 1, with a step down.
        decay_every: Epochs between steps down.
        weight_decay: Weight decay of matrices and kernels; none of biases and norms.
        towards_start: Weight of the squared distance of the encoder from its start.
        clip: Largest norm of the gradient; 0 turns clipping off.
        speaker_statistics: Whether frames are standardized by each speaker's own mean
            and deviation, as in one published result; a deployed system lacks these.
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
        fit: By gradients with the rest; a linear discriminant; or logistic regression.
        interaction: Weight of the corpus-class interaction, as noise of the
            discriminant.
        ridge: Variance added to every dimension, as a share of its scatter, in the
            discriminant.
        strength: Inverse of the regression's penalty, scikit-learn's C.
    """

    fit: Literal["gradient", "discriminant", "logistic"] = "gradient"
    interaction: float = 0.5
    ridge: float = 0.1
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """A second classifier, for speakers with a profile; see `fit.profile_head`.

    Attributes:
        fit: Whether it is fitted, which takes three speakers with every emotion.
        strength: Inverse of the penalty of its logistic regression, scikit-learn's C.
        interaction: `classifier.interaction` of its discriminant.
        ridge: `classifier.ridge` of its discriminant.
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
    """Settings of one model, or of one model per fold.

    Attributes:
        name: Name of the model.
        corpora: Name of a corpus -> its folder.
        seed: Seed of all random choices.
        threads: Threads of torch; other numbers change the last digits of sums.
        workers: Processes that load and augment clips; results do not depend on their
            number.
        device: `auto` takes a GPU where there is one.
        precision: Precision of products in training; `auto` is bfloat16 on a GPU.
        protocol: The folds.
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
    table = toml.read_toml(path)
    for setting in settings:
        toml.override(table, setting)
    config = cast("ExperimentConfig", toml.build(ExperimentConfig, table, str(path)))
    # Not a `Literal`, since networks can be registered from outside.
    _require_kind(config.network.kind, path)
    folder = path.resolve().parent
    roots = dict(corpora or {})
    for name, root in config.corpora.items():
        # A folder from the command line needs none of the file's variables.
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
        # An empty variable would silently turn into the root folder.
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
