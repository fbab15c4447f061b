"""Train on all corpora but one, and predict that one, by every method and seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from espressivo.errors import ConfigError
from espressivo.files.atomic import replacing
from espressivo.training.clips.batches import CLASSES, Batch, make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_clips, require_readable
from espressivo.training.clips.sampling import sampling_probabilities
from espressivo.training.config import AdaptationConfig, LossConfig, TrainingConfig
from espressivo.training.corpora import read_corpora
from espressivo.training.fit.adaptation import make_adaptation
from espressivo.training.fit.loop import train_epochs
from espressivo.training.fit.objective import Objective
from espressivo.training.fit.predict import apply_to_clips
from espressivo.training.networks import build_network, load_pretrained
from espressivo.training.networks.network import Frames
from espressivo.training.networks.whisper_network import WhisperNetwork
from espressivo.training.scores.metrics import labels_of
from espressivo.types import SAMPLE_RATE, Emotion
from research.adaptation_training.networks import Head, TrainedBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.networks.network import EmotionNetwork
    from espressivo.training.networks.whisper import Block

    Indices = NDArray[np.int64]

CORPORA = ("ravdess", "tess", "nemo", "emodb", "emovo", "urdu", "emotiontts")
N_BLOCK_CLIPS = 200
BLOCK_S = 2.0
# Fixed beforehand, for all methods alike.
LOSS = LossConfig(gamma=0.0, smoothing=0.0)
HEAD_TRAINING = TrainingConfig(
    epochs=10, draws=2048, batch_size=256, learning_rate=2e-3
)
BLOCK_TRAINING = TrainingConfig(
    epochs=2, draws=512, batch_size=32, learning_rate=3e-3, encoder_rate=1e-4
)


@dataclass(frozen=True, eq=False)
class Part:
    """What is trained, and on what.

    Attributes:
        name: `linear`, `hidden` or `block`.
        utterances: The clips [N].
        frames: Their features, [T, width] each.
        training: Settings of the optimizer.
        precision: Precision of matrix products in training.
        build: Function that makes the network.
    """

    name: str
    utterances: Sequence[Utterance]
    frames: Sequence[NDArray[np.floating]]
    training: TrainingConfig
    build: Callable[[], EmotionNetwork]
    precision: torch.dtype = torch.float32

    @cached_property
    def corpora(self) -> NDArray[np.str_]:
        """The corpus of each clip [N]."""
        return np.array([u.corpus for u in self.utterances])

    @cached_property
    def labels(self) -> Indices:
        """The emotion of each clip, int64 [N]."""
        return labels_of([u.emotion_name for u in self.utterances])

    @cached_property
    def untrained(self) -> torch.Tensor:
        """What the network makes of each clip before it is trained [N, width]."""
        network = self.build()
        rows = np.arange(len(self.frames))
        with torch.no_grad():
            return torch.cat([network.pooled(some) for some in self.in_batches(rows)])

    def batch_of(self, rows: Sequence[int] | Indices) -> Frames:
        """Return the features of some clips, padded with zeros."""
        arrays = [self.frames[row] for row in rows]
        counts = [len(array) for array in arrays]
        values = np.zeros((len(arrays), max(counts), arrays[0].shape[1]), np.float32)
        for padded, array in zip(values, arrays, strict=True):
            padded[: len(array)] = array
        return Frames(torch.from_numpy(values), torch.tensor(counts))

    def in_batches(self, rows: Indices) -> Iterator[Frames]:
        """Yield the features of many clips."""
        for start in range(0, len(rows), 256):
            yield self.batch_of(rows[start : start + 256])


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    Attributes:
        adaptation: Settings of the method.
        left_out: The corpus that is predicted, and the target if there is one.
        seed: Seed of all random choices.
        untouched: Corpora that are neither trained on nor predicted.
        centred: Whether each corpus's mean is removed from its features, also that of
            the target: adaptation without training, to compare with.
        skewed: Whether 70 % of the target's recordings are neutral. All are predicted.
    """

    adaptation: AdaptationConfig
    left_out: str
    seed: int
    untouched: tuple[str, ...] = ()
    centred: bool = False
    skewed: bool = False


@torch.no_grad()
def read_heads(config: ExperimentConfig, cache: Path) -> list[Part]:
    """Return a linear classifier and one with a hidden layer, on frozen embeddings."""
    clips, network = _read(config, cache)
    batches = make_batches(FeatureExtractor(network.eval(), cache), clips, config)
    rows = apply_to_clips(batches, network.pooled)
    utterances = [clip.utterance for clip in clips]
    return [
        Part(
            name,
            utterances,
            list(rows[:, None]),
            HEAD_TRAINING,
            partial(Head, rows.shape[1], hidden=name == "hidden"),
        )
        for name in ("linear", "hidden")
    ]


@torch.no_grad()
def read_block(config: ExperimentConfig, cache: Path) -> Part:
    """Return the encoder's last block, on the frames that the block before it makes.

    Of each corpus 200 clips take part, as many of each emotion, drawn without a look at
    anything else; of each clip every second frame of its first 2 s.
    """
    last = max(config.network.states)
    below = replace(config.network, states=(last - 1,), join="average")
    clips, network = _read(replace(config, network=below), cache)
    assert isinstance(network, WhisperNetwork)
    rng = np.random.default_rng(0)
    groups: dict[tuple[str, str], list[int]] = {}
    for n, clip in enumerate(clips):
        key = clip.utterance.corpus, clip.utterance.emotion_name
        groups.setdefault(key, []).append(n)
    n_each = N_BLOCK_CLIPS // len(CLASSES)
    drawn = [rng.permutation(groups[key])[:n_each] for key in sorted(groups)]
    chosen = sorted(np.concatenate(drawn).tolist())
    content = f"{last} {BLOCK_S} {[clips[i].digest for i in chosen]}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = cache / f"adaptation-training-{digest}.npz"
    if not path.is_file():
        longest = round(BLOCK_S * SAMPLE_RATE)
        frames = []
        for i in chosen:
            samples = torch.from_numpy(np.array(clips[i].signal[None, :longest]))
            states = network.eval().front(samples).values  # [1, T, 1, width]
            frames.append(states[0, :, 0].half().numpy())
        with replacing(path) as whole, whole.open("wb") as file:
            np.savez(file, *frames)
    with np.load(path) as file:
        # Every second one, which halves the time of training.
        frames = [file[name][::2] for name in file.files]
    return Part(
        "block",
        [clips[i].utterance for i in chosen],
        frames,
        BLOCK_TRAINING,
        partial(TrainedBlock, cast("Block", network.encoder.blocks[last - 1])),
        torch.bfloat16,
    )


def _read(
    config: ExperimentConfig, cache: Path
) -> tuple[list[LoadedClip], EmotionNetwork]:
    if missing := set(CORPORA) - set(config.corpora):
        raise ConfigError(f"the recipe lacks {', '.join(sorted(missing))}")
    torch.set_num_threads(config.threads)
    utterances = read_corpora({name: config.corpora[name] for name in CORPORA})
    clips, unreadable = load_clips(utterances, config.signal, cache)
    require_readable(unreadable)
    network = build_network(config.network)
    load_pretrained(network, config.network)
    return clips, network


def train_and_predict(part: Part, run: Run) -> NDArray[np.int8]:
    """Return the predicted classes of the clips of the corpus that is left out."""
    heard = _choose_target(part, run)
    if run.centred:
        part = _centred(part, run, heard)
    untrained = part.untrained  # before the seed, since the first call draws weights
    torch.manual_seed(run.seed)
    known = np.flatnonzero(~np.isin(part.corpora, (run.left_out, *run.untouched)))
    tested = np.flatnonzero(part.corpora == run.left_out)
    target = heard if run.adaptation.target else tested[:0]
    # The target is the last domain; of it, only the features are used.
    names, domain = np.unique(part.corpora[known], return_inverse=True)
    domains = np.full(len(part.corpora), len(names))
    domains[known] = domain
    network = part.build()
    network.standardize.fit(untrained[known])
    training = part.training
    n_steps = training.draws // training.batch_size
    n_domains = len(names) + bool(len(target))
    adaptation = make_adaptation(
        run.adaptation, network, n_domains, training.epochs * n_steps
    )
    objective = Objective(network, LOSS, 0, adaptation=adaptation)
    balance = sampling_probabilities(
        [part.utterances[i] for i in known.tolist()], "corpus-class"
    )

    def batches(epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([run.seed, epoch])
        drawn = rng.choice(known, training.draws, p=balance)
        others = np.resize(rng.permutation(target), len(drawn))
        for start in range(0, len(drawn), training.batch_size):
            labelled = drawn[start : start + training.batch_size]
            rows = labelled
            if len(target):
                rows = np.append(rows, others[start : start + training.batch_size])
            yield Batch(
                part.batch_of(rows),
                torch.from_numpy(part.labels[labelled]),
                torch.zeros(len(labelled), dtype=torch.int64),
                torch.from_numpy(domains[rows]),
            )

    epochs = train_epochs(
        objective,
        training,
        batches,
        n_steps,
        seed=run.seed,
        precision=part.precision,
    )
    for _ in epochs:
        pass
    network.eval()
    with torch.no_grad():
        logits = [network.logits(frames) for frames in part.in_batches(tested)]
    return torch.cat(logits).argmax(1).numpy().astype(np.int8)


def _choose_target(part: Part, run: Run) -> Indices:
    """Return the unlabelled clips: all that are tested, or a skewed choice of them."""
    tested = np.flatnonzero(part.corpora == run.left_out)
    if not run.skewed:
        return tested
    is_neutral = part.labels[tested] == CLASSES[Emotion.NEUTRAL]
    rng = np.random.default_rng(run.seed)
    neutral, others = (
        rng.permutation(tested[part]) for part in (is_neutral, ~is_neutral)
    )
    return np.concatenate([neutral, others[: round(len(neutral) * 3 / 7)]])


def _centred(part: Part, run: Run, target: Indices) -> Part:
    rows = np.stack(part.frames)
    for name in CORPORA:
        own = part.corpora == name
        rows[own] -= rows[target if name == run.left_out else own].mean(0)
    return replace(part, frames=list(rows))
