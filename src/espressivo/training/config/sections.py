"""Settings of an experiment: frozen dataclasses, one for each table of the file."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the same
from typing import Literal

from espressivo.training.config.search import SearchConfig
from espressivo.training.corpora.utterance import SpeakerHalf  # noqa: TC001 - the same
from espressivo.training.folds.protocol import ProtocolConfig
from espressivo.training.networks import NetworkConfig

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
        parts: Number of random parts of each recording longer than 6 s, 1 s to
            `signal.longest_s` long, that are further clips.
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
    parts: int = 0
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
        scale: Whether the discriminant divides all dimensions by one `common` scale, or
            `each` by its own deviation.
        weights: Corpus -> its weight in the means and covariances of the discriminant;
            1 for those that are not named.
        priors: Emotion -> how much more frequent it is taken to be than the others;
            1 for those that are not named.
        strength: Inverse penalty of the regression, scikit-learn's C.
        background: Whether recordings of noise (`augmentation.noise_folder`) teach a
            further class, by which sound that is not speech gets even probabilities;
            closed forms only.
    """

    fit: Literal["gradient", "discriminant", "logistic"] = "gradient"
    interaction: float = 1.0
    ridge: float = 0.3
    scale: Literal["common", "each"] = "common"
    weights: Mapping[str, float] = field(default_factory=dict)
    priors: Mapping[str, float] = field(default_factory=dict)
    strength: float = 1.0
    background: bool = False


@dataclass(frozen=True, slots=True)
class DistillationConfig:
    """Distillation of a student from trained networks; see `compress.distil`.

    Attributes:
        n_targets: Number of directions of the teachers' embeddings that the student
            learns.
        embedding: Weight of the squared error of these directions.
        logits: Weight of the divergence from the teachers' probabilities.
        labels: Weight of the cross-entropy with the labels, where there are any.
        temperature: Divisor of both networks' logits in the divergence.
    """

    n_targets: int = 64
    embedding: float = 1.0
    logits: float = 0.5
    labels: float = 0.0
    temperature: float = 2.0


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
        distillation: Settings of `espressivo compress distil`.
        search: Space of `espressivo compress search`.
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
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    licences: Mapping[str, str] = field(default_factory=dict)
    speakers: Mapping[str, SpeakerHalf] = field(default_factory=dict)

    @property
    def uses_rated(self) -> bool:
        """Whether utterances that are rated, and of no emotion, are trained on.

        Domain adaptation and the fit of voices need an emotion of every utterance.
        """
        return (
            self.task != "emotions"
            and self.adaptation.method == "none"
            and not self.profile.fit
        )

    @property
    def hears_noise(self) -> bool:
        """Whether recordings of `augmentation.noise_folder` are trained on."""
        copies = self.augmentation.copies
        noisy = any(c == "varied" or c.startswith("noise") for c in copies)
        return noisy or self.classifier.background
