"""Settings of an experiment: a TOML file read into frozen dataclasses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence  # noqa: TC003 - read at run time
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Literal, cast

from espressivo.errors import ConfigError
from espressivo.training import toml
from espressivo.training.corpora.licence import find_licence
from espressivo.training.corpora.utterance import SpeakerHalf  # noqa: TC001 - the same
from espressivo.training.folds.protocol import ProtocolConfig
from espressivo.training.networks import NETWORKS, NetworkConfig
from espressivo.training.networks.config import require_dimensions

Task = Literal["emotions", "dimensions", "both"]
Balance = Literal["none", "class", "corpus-class"]
AdaptationMethod = Literal[
    "none",
    "dann",
    "cdan",
    "coral",
    "class-coral",
    "mixstyle",
    "style",
    "group-dro",
]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
ConditionName = Literal[
    "telephone",
    "gsm",
    "amr",
    "opus-12k",
    "opus-6k",
    "mp3-32k",
    "room",
    "noise-20",
    "noise-10",
    "noise-5",
    "noise-0",
    "babble-10",
    "clipping",
    "quiet",
    "varied",
]

LEFT_OUT = "left-out"
"""Value of `adaptation.target`: the corpus or part that is not trained on."""

# Setting of [adaptation] -> the methods that use it; any other combination is refused.
_ADAPTATION_USES: dict[str, tuple[AdaptationMethod, ...]] = {
    "weight": ("dann", "cdan", "coral", "class-coral"),
    "target": ("dann", "cdan", "coral", "class-coral", "mixstyle", "style"),
    "probability": ("mixstyle", "style"),
    "alpha": ("mixstyle",),
    "step": ("group-dro",),
}

# `$NAME` or `${NAME}`, as in a shell.
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_VARIABLES = {
    "ESPRESSIVO_DATA": "the folder that holds corpora/ and weights/ (docs/train.md)"
}


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """Preprocessing of recordings, before augmentation.

    Attributes:
        trim_db: Frames this many dB below the loudest are trimmed from both ends.
        pre_emphasis: Coefficient of the filter; 0 turns it off. The study's is 0.97.
        peak: Target of peak normalization; 0 turns it off. The study's is 0.95.
        crop_s: Longer clips are cropped in training to a random part of this length,
            in seconds; 0 crops them as in evaluation.
        longest_s: Longer clips are cropped in evaluation to their first part of this
            length, in seconds.
    """

    trim_db: float = 20.0
    pre_emphasis: float = 0.0
    peak: float = 0.0
    crop_s: float = 0.0
    longest_s: float = 8.0


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Augmentation of training clips, each kind with its own probability.

    The defaults are those of Ismail (2025), except that the study states neither
    probabilities nor a change of speed.

    Attributes:
        probability: Probability of each of gain, noise, pitch and polarity, 0 to 1.
        gain_db: Lowest and highest gain, in dB.
        noise: Lowest and highest amplitude of Gaussian noise; full scale is 1.
        pitch: Largest shift of pitch up or down, in semitones.
        speed_probability: Probability of resampling, which moves the formants too.
        speed: Lowest and highest factor of the speed.
        variants: Number of fixed augmentations of each utterance, the same in all runs,
            so that a frozen front computes each once; 0 draws new ones in every epoch.
        copies: Conditions (see `clips.conditions`) of which every clip gets one fixed
            copy. The closed forms are fitted to clips and copies; gradient descent
            uses no copies.
        noise_folder: Folder of noise recordings for the copies. Every second one is
            left to evaluation.
    """

    probability: float = 0.5
    gain_db: tuple[float, float] = (-18.0, 6.0)
    noise: tuple[float, float] = (0.001, 0.015)
    pitch: float = 2.0
    speed_probability: float = 0.0
    speed: tuple[float, float] = (0.8, 1.25)
    variants: int = 0
    copies: tuple[ConditionName, ...] = ()
    noise_folder: str = "$ESPRESSIVO_DATA/noise"

    @property
    def varies(self) -> bool:
        """Whether any clip is augmented."""
        return self.probability > 0 or self.speed_probability > 0


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Focal and concordance loss, speaker adversary, and balanced sampling.

    Attributes:
        gamma: Focusing parameter; 0 is cross-entropy.
        smoothing: Label smoothing, spread evenly over the classes.
        weights: Class weights of the loss; `balanced` gives N / (4 n), counted on the
            training part.
        balance: Groups that are sampled equally often, if `training.draws` is set.
        adversary: Weight of the loss of a speaker classifier whose gradient is
            reversed; 0 leaves it out.
        votes: Whether the shares of the listeners' votes are the target of the focal
            loss (soft labels), where a corpus gives them, instead of the label.
        emotions: Weight of the focal loss with task `both`.
        dimensions: Weight of the concordance loss with task `both`.
        dimension_weights: Weight of each of `network.dimensions` in the concordance
            loss; equal if empty.
    """

    gamma: float = 2.0
    smoothing: float = 0.1
    weights: Literal["none", "balanced"] = "none"
    balance: Balance = "none"
    adversary: float = 0.0
    votes: bool = False
    emotions: float = 1.0
    dimensions: float = 1.0
    dimension_weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class AdaptationConfig:
    """Domain adaptation and generalization in training; see `fit.adaptation`.

    Attributes:
        method: Method, `none` by default.
        domain: What counts as a domain: a corpus, or a speaker.
        weight: Weight of the alignment: of the reversed gradient (dann, cdan), or of
            the distance between domains (coral, class-coral).
        target: Recordings without labels that take part, as one further domain:
            `left-out` (the corpus that `train --leave-out` leaves out, or the test part
            of a fold), the name of a corpus of the file, or a folder. Empty for none.
            Of a corpus or folder all recordings take part, and no label is read.
        probability: Probability with which mixstyle and style change a batch, 0 to 1.
        alpha: Both parameters of the beta distribution of mixstyle's shares.
        step: Step size of the domains' weights in group DRO.
    """

    method: AdaptationMethod = "none"
    domain: Literal["corpus", "speaker"] = "corpus"
    weight: float = 1.0
    target: str = ""
    probability: float = 0.5
    alpha: float = 0.1
    step: float = 0.01


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Optimizer, learning rate schedule, and early stopping.

    Attributes:
        epochs: Number of epochs; 0 trains nothing by gradient descent.
        patience: Early stopping after this many epochs without a better validation
            score; 0 trains all epochs. The best epoch is kept in both cases. The score
            is UA, the mean CCC over dimensions, or with task `both` the mean of both.
        draws: Utterances per epoch, sampled with replacement; 0 takes each once.
        batch_size: Utterances in a step.
        optimizer: Optimizer; Adam adds `weight_decay` to the gradient, AdamW subtracts
            it from the weights.
        learning_rate: Peak learning rate of the classifier and the pooling.
        encoder_rate: Peak learning rate of the encoder's topmost block; 0 stands for
            `learning_rate`.
        layer_decay: Factor of the learning rate from each block to the one below.
        head_epochs: Number of first epochs in which the encoder is frozen.
        schedule: Learning rate after the warm-up: a cosine to 0, constant, or steps
            down by `decay`.
        warmup: Share of the steps in which the learning rate rises, 0 to 1.
        decay: Exponent of a step down, which multiplies the rate by exp(-decay).
        decay_from: First epoch with a step down, counted from 1.
        decay_every: Number of epochs between steps down.
        weight_decay: Weight decay of matrices and kernels; biases and norms have none.
        towards_start: Weight of a penalty on the squared distance of the encoder's
            weights from their initial values.
        clip: Largest norm of the gradient; 0 turns clipping off.
        speaker_statistics: Whether frames are standardized by each speaker's own mean
            and deviation, as in one result of Pepino et al.; a deployed system does
            not have these statistics.
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
    """Fit of the last linear layer: by gradient descent, or anew on fixed embeddings.

    Attributes:
        fit: Method: gradient descent with the rest of the network, linear discriminant
            analysis, or logistic regression.
        interaction: Weight of the disagreement between corpora in the noise covariance
            of the discriminant.
        ridge: Variance that the discriminant adds to every dimension, as a share of
            the mean variance of all dimensions.
        strength: Inverse penalty of the regression, scikit-learn's C.
        background: Whether recordings of noise (`augmentation.noise_folder`) teach a
            further class, by which sound that is not speech gets even probabilities;
            closed forms only.
    """

    fit: Literal["gradient", "discriminant", "logistic"] = "gradient"
    interaction: float = 1.0
    ridge: float = 0.3
    strength: float = 1.0
    background: bool = False


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """Fit of adaptation to speakers and settings; see `fit.voice_fit`.

    Attributes:
        fit: Whether it is fitted; that requires three speakers with every emotion.
        interaction: Value of `classifier.interaction` for its discriminant.
        ridge: Value of `classifier.ridge` for its discriminant.
    """

    fit: bool = False
    interaction: float = 1.0
    ridge: float = 0.3


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """Settings of one model, or of one model per fold.

    Attributes:
        name: Name of the model.
        corpora: Name of a corpus -> its folder.
        task: What is learned: emotions, by the focal loss; dimensions
            (`network.dimensions`), by the concordance loss (1 - CCC) with the
            listeners' ratings; or both, by the weighted sum of both losses. With
            `dimensions` the classifier of emotions learns too, but changes nothing
            else: no gradient of it reaches the embedding.
        seed: Seed of all random choices.
        threads: Number of torch's threads; it changes the last digits of sums.
        workers: Number of processes that load and augment clips; it does not change
            results.
        device: Device of torch; `auto` is a GPU if there is one.
        precision: Precision of matrix products in training; `auto` is bfloat16 on a
            GPU.
        protocol: Settings of the folds.
        signal: Settings of preprocessing.
        network: Settings of the network.
        augmentation: Settings of augmentation.
        loss: Settings of the loss and of sampling.
        adaptation: Settings of domain adaptation.
        training: Settings of the optimizer and its schedule.
        classifier: Settings of the last layer.
        profile: Settings of the fit of adaptation to speakers and settings.
        licences: Corpus -> its licence as the trainer states it, see
            `corpora.licence.find_licence`; `manifest` is for all tables of one's own,
            `noise` for the recordings of `augmentation.noise_folder`.
            Corpora that declare a licence need none.
        speakers: Corpus -> the half of its speakers that is trained on, see
            `corpora.utterance.select_speakers`; the others are left for evaluation.
    """

    name: str
    corpora: Mapping[str, Path]
    task: Task = "emotions"
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
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    licences: Mapping[str, str] = field(default_factory=dict)
    speakers: Mapping[str, SpeakerHalf] = field(default_factory=dict)

    @property
    def hears_noise(self) -> bool:
        """Whether recordings of `augmentation.noise_folder` are trained on."""
        copies = self.augmentation.copies
        noisy = any(c == "varied" or c.startswith("noise") for c in copies)
        return noisy or self.classifier.background


def read_config(
    path: Path,
    settings: Sequence[str] = (),
    corpora: Mapping[str, Path] | None = None,
) -> ExperimentConfig:
    """Read an experiment; relative paths in it start at the folder of the file.

    `$NAME` in the folder of a corpus and in `network.weights` is an environment
    variable; the recipes use `$ESPRESSIVO_DATA`.

    Args:
        path: Path of the TOML file.
        settings: Settings as `KEY=VALUE` that replace those of the file.
        corpora: Corpus name -> folder, which replaces that of the file; corpora that
            the file does not name are ignored.

    Raises:
        ConfigError: The file is absent, is no TOML, or has a wrong key or value, or a
            variable is not set.
    """
    table = toml.read_toml(path)
    for setting in settings:
        toml.override(table, setting)
    config = cast("ExperimentConfig", toml.build(ExperimentConfig, table, str(path)))
    # Not a `Literal`, since networks can be registered from outside.
    _require_kind(config.network.kind, path)
    _require_licences(config.licences, path)
    _require_corpora(config, path)
    _require_closed_form(config.classifier, path)
    _require_adaptable(config, path)
    _require_task(config, path)
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
        adaptation=_with_target(config, path),
        augmentation=_with_noise(config, path),
        network=replace(config.network, weights=weights),
    )


def _require_kind(kind: str, path: Path) -> None:
    """Refuse an unregistered network, with the same message as `toml.build`."""
    if kind not in NETWORKS:
        kinds = ", ".join(repr(name) for name in NETWORKS)
        raise ConfigError(
            f"{path}: 'network.kind' is {kind!r}; it should be one of {kinds}"
        )


def _require_licences(licences: Mapping[str, str], path: Path) -> None:
    """Refuse a stated licence that is not known, before anything is trained."""
    for name, identifier in licences.items():
        try:
            find_licence(identifier)
        except ConfigError as error:
            raise ConfigError(f"{path}: 'licences.{name}' is {error}") from None


def _require_corpora(config: ExperimentConfig, path: Path) -> None:
    for name in config.speakers:
        if name not in config.corpora:
            raise ConfigError(
                f"{path}: 'speakers.{name}' names no corpus of the file (it has: "
                f"{', '.join(config.corpora) or 'none'}); add it under [corpora]"
            )


def _require_closed_form(classifier: ClassifierConfig, path: Path) -> None:
    if classifier.background and classifier.fit == "gradient":
        raise ConfigError(
            f"{path}: 'classifier.background' is for closed forms, and gradient "
            "descent would ignore it; set classifier.fit to 'discriminant' or "
            "'logistic', or leave background out"
        )


def _require_adaptable(config: ExperimentConfig, path: Path) -> None:
    """Refuse settings of [adaptation] that would have no effect."""
    adaptation, plain = config.adaptation, AdaptationConfig()
    for key, methods in _ADAPTATION_USES.items():
        value = getattr(adaptation, key)
        if value != getattr(plain, key) and adaptation.method not in methods:
            raise ConfigError(
                f"{path}: 'adaptation.{key}' is {value!r}, which method "
                f"'{adaptation.method}' does not use; remove it, or set "
                f"adaptation.method to one of {', '.join(methods)}"
            )
    if adaptation.method == "none":
        return
    if config.classifier.fit != "gradient":
        raise ConfigError(
            f"{path}: 'adaptation.method' is '{adaptation.method}', which needs "
            f"gradient descent, but 'classifier.fit' is '{config.classifier.fit}'; set "
            "classifier.fit to 'gradient' and training.epochs, or remove [adaptation]"
        )
    if not config.training.epochs:
        raise ConfigError(
            f"{path}: 'adaptation.method' is '{adaptation.method}', but "
            "'training.epochs' is 0, so that nothing is trained; set it, or remove "
            "[adaptation]"
        )


def _require_task(config: ExperimentConfig, path: Path) -> None:
    """Refuse a task without its dimensions, and settings that have no effect on it."""
    task, loss, plain = config.task, config.loss, LossConfig()
    names = config.network.dimensions
    unused: tuple[str, ...] = ()
    if task == "emotions":
        unused = ("emotions", "dimensions", "dimension_weights")
        if names and config.classifier.fit == "gradient":
            raise ConfigError(
                f"{path}: 'network.dimensions' is {list(names)}, but nothing trains "
                "them with task 'emotions'; set task to 'both' or 'dimensions' (from "
                "ratings), or classifier.fit to 'discriminant' (from the order of "
                "emotions)"
            )
    else:
        _require_dimensions(config, path)
        if task == "dimensions":
            unused = ("emotions", "dimensions")
    for key in unused:
        if getattr(loss, key) != getattr(plain, key):
            raise ConfigError(
                f"{path}: 'loss.{key}' is {getattr(loss, key)!r}, which task '{task}' "
                'does not use; remove it, or set task = "both"'
            )
    require_dimensions(config.network)
    _require_weights(config, path)


def _require_weights(config: ExperimentConfig, path: Path) -> None:
    """Refuse weights of losses that are negative or endless, or of other dimensions."""
    loss = config.loss
    names, weights = config.network.dimensions, loss.dimension_weights
    for key in ("emotions", "dimensions"):
        if not 0 <= getattr(loss, key) < inf:
            raise ConfigError(
                f"{path}: 'loss.{key}' is {getattr(loss, key)}; a weight is a number "
                "from 0 on"
            )
    if weights and not (
        len(weights) == len(names)
        and all(0 <= weight < inf for weight in weights)
        and any(weights)
    ):
        raise ConfigError(
            f"{path}: 'loss.dimension_weights' is {list(weights)}; give one weight for "
            f"each of {', '.join(names)}, none below 0 and not all of them 0"
        )


def _require_dimensions(config: ExperimentConfig, path: Path) -> None:
    """Refuse a configuration in which dimensions cannot be learned from ratings."""
    what = f"{path}: 'task' is '{config.task}'"
    if not config.network.dimensions:
        raise ConfigError(
            f"{what}, but 'network.dimensions' names none; add dimensions = "
            '["arousal", "valence", "dominance"] to [network], for example'
        )
    if config.classifier.fit != "gradient" or not config.training.epochs:
        raise ConfigError(
            f"{what}, which needs gradient descent; set training.epochs, and "
            "classifier.fit to 'gradient'"
        )
    if config.task == "dimensions" and config.adaptation.method != "none":
        raise ConfigError(
            f"{what}, but 'adaptation.method' is '{config.adaptation.method}', which "
            "is for emotions; set task to 'both', or remove [adaptation]"
        )


def _with_target(config: ExperimentConfig, path: Path) -> AdaptationConfig:
    """Make the target's folder absolute, if it is one."""
    target, key = config.adaptation.target, "adaptation.target"
    if target in {"", LEFT_OUT, *config.corpora}:
        return config.adaptation
    text = _expand(target, path, key, f"--set {key}=DIR")
    folder = path.resolve().parent / Path(text).expanduser()
    return replace(config.adaptation, target=str(folder))


def _with_noise(config: ExperimentConfig, path: Path) -> AugmentConfig:
    """Make the folder of noise absolute, where something needs it."""
    augmentation = config.augmentation
    if not config.hears_noise:
        return augmentation
    key = "augmentation.noise_folder"
    text = _expand(augmentation.noise_folder, path, key, f"--set {key}=DIR")
    folder = path.resolve().parent / Path(text).expanduser()
    return replace(augmentation, noise_folder=str(folder))


def _expand(text: str, path: Path, key: str, remedy: str) -> str:
    """Replace an environment variable at the start of a path by its absolute value."""

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

    # Only at the start: a run's own config.toml holds final paths, and `/a$b` is one.
    if (match := _VARIABLE.match(text)) is None:
        return text
    return str(Path(value(match)).expanduser().absolute()) + text[match.end() :]


def to_toml(config: ExperimentConfig) -> str:
    """Return an experiment as TOML, from which `read_config` reads an equal one."""
    return toml.to_toml(config)
