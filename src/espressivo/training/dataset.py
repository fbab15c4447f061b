"""Utterances -> trimmed signals, kept on disk -> padded batches in a drawn order."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from espressivo.audio import load_audio
from espressivo.training.augment import Augment, variation_seed
from espressivo.training.loss import balanced_weights
from espressivo.training.preprocess import trim
from espressivo.types import SAMPLE_RATE, Emotion, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.config import Balance, ExperimentConfig, StageConfig
    from espressivo.training.corpora.utterance import Utterance

SHORTEST = SAMPLE_RATE // 5
CLASSES = {emotion: index for index, emotion in enumerate(Emotion)}


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips padded on the right with zeros.

    Attributes:
        samples: float32 [B, longest].
        lengths: int64 [B], samples of each clip.
        target: int64 [B], index of the emotion; -1 where unknown.
        speaker: int64 [B], index of the speaker; -1 where unknown.
    """

    samples: Tensor
    lengths: Tensor
    target: Tensor
    speaker: Tensor


def load_signals(
    utterances: Sequence[Utterance],
    trim_db: float = 20.0,
    cache: Path | None = None,
    on_loaded: Callable[[int, int], None] | None = None,
) -> list[Signal]:
    """Read all utterances at 16 kHz, silence trimmed at both ends.

    Args:
        utterances: What to read.
        trim_db: What is this far below the loudest frame is silence.
        cache: A folder that keeps the signals under a hash of the recording's bytes,
            so that a changed recording is read anew. None keeps nothing.
        on_loaded: Called with how many are done, and how many there are.
    """
    signals = []
    for n, utterance in enumerate(utterances, 1):
        signals.append(_load_signal(utterance.path, trim_db, cache))
        if on_loaded is not None:
            on_loaded(n, len(utterances))
    return signals


def _load_signal(path: Path, trim_db: float, cache: Path | None) -> Signal:
    if cache is None:
        return trim(load_audio(path), trim_db)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = cache / digest[:2] / f"{digest[:32]}-{trim_db:g}.npy"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial.npy")
        np.save(partial, trim(load_audio(path), trim_db))
        partial.replace(kept)  # a killed run leaves no half signal behind
    signal: Signal = np.load(kept)
    return signal


def pad(
    signals: Sequence[Signal],
    target: Sequence[int] | None = None,
    speaker: Sequence[int] | None = None,
) -> Batch:
    """Stack signals, the shorter ones padded; none is shorter than 0.2 s after."""
    lengths = [max(len(signal), SHORTEST) for signal in signals]
    samples = np.zeros((len(signals), max(lengths)), np.float32)
    for row, signal in zip(samples, signals, strict=True):
        row[: len(signal)] = signal
    unknown = [-1] * len(signals)
    return Batch(
        torch.from_numpy(samples),
        torch.tensor(lengths),
        torch.tensor(target or unknown),
        torch.tensor(speaker or unknown),
    )


def draw_weights(
    utterances: Sequence[Utterance], balance: Balance
) -> NDArray[np.float64]:
    """Probability of drawing each utterance; they sum to 1."""
    keys: dict[Balance, Callable[[Utterance], Hashable]] = {
        "none": lambda utterance: utterance.id,
        "class": lambda utterance: utterance.emotion,
        "corpus-class": lambda utterance: (utterance.corpus, utterance.emotion),
    }
    groups = [keys[balance](utterance) for utterance in utterances]
    weights = balanced_weights(groups)
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized


class TrainingBatches:
    """Draws, varies, crops and pads: the same batches for the same seed and epoch."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        signals: Sequence[Signal],
        config: ExperimentConfig,
    ) -> None:
        self.utterances = utterances
        self.signals = signals
        self.seed = config.seed
        self.speakers = sorted({utterance.speaker for utterance in utterances})
        index = {speaker: n for n, speaker in enumerate(self.speakers)}
        self._targets = [CLASSES[utterance.emotion] for utterance in utterances]
        self._speakers = [index[utterance.speaker] for utterance in utterances]
        self._weights = draw_weights(utterances, config.loss.balance)
        self._augment = Augment(config.augmentation)
        self._crop = int(config.signal.crop_s * SAMPLE_RATE)

    def epoch(
        self, stage: StageConfig, epoch: int, *, first: int = 0
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch; clips of similar length share a batch.

        `first` is added to `epoch`, so that no two stages draw alike.
        """
        epoch += first
        rng = np.random.default_rng([self.seed, epoch])
        drawn = rng.choice(len(self.utterances), stage.draws, p=self._weights)
        lengths = np.array([len(self.signals[index]) for index in drawn])
        order = np.argsort(lengths * rng.uniform(1.0, 1.1, len(drawn)))
        times: Counter[int] = Counter()
        occurrence = []
        for index in drawn.tolist():
            occurrence.append(times[index])
            times[index] += 1
        starts = rng.permutation(np.arange(0, len(drawn), stage.batch_size))
        for start in starts.tolist():
            rows = order[start : start + stage.batch_size].tolist()
            picked = [int(drawn[row]) for row in rows]
            yield pad(
                [self._vary(int(drawn[r]), epoch, occurrence[r]) for r in rows],
                [self._targets[index] for index in picked],
                [self._speakers[index] for index in picked],
            )

    def _vary(self, index: int, epoch: int, occurrence: int) -> Signal:
        name = self.utterances[index].id
        seed = variation_seed(self.seed, name, epoch, occurrence)
        clip = self._augment(self.signals[index], seed)
        excess = len(clip) - self._crop
        start = (
            np.random.default_rng(seed + 1).integers(excess + 1) if excess > 0 else 0
        )
        return clip[start : start + self._crop]
