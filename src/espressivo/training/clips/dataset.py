"""Utterances -> trimmed signals, kept on disk -> the clips of an epoch, varied."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, CorpusError
from espressivo.training.atomic import replacing
from espressivo.training.clips.augment import (
    Augment,
    variation_seed,
)
from espressivo.training.clips.preprocess import (
    condition,
    trim,
)
from espressivo.training.fit.loss import balanced_weights
from espressivo.types import SAMPLE_RATE, Emotion, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.config import Balance, ExperimentConfig, SignalConfig
    from espressivo.training.corpora.utterance import Utterance

SHORTEST = SAMPLE_RATE // 5
CLASSES = {emotion: index for index, emotion in enumerate(Emotion)}

# Numpy reads an array's header with `ast`, which in Python 3.11 counts how deep it is
# for all threads together: two at once now and then raise SystemError.
_HEADERS = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A recording's signal as training takes it.

    Attributes:
        utterance: Whose it is.
        source: The signal, or the file that keeps it.
        n_samples: Of the signal.
        digest: Hash of the recording and of what was done to it.
    """

    utterance: Utterance
    source: Signal | Path
    n_samples: int
    digest: str

    @property
    def signal(self) -> Signal:
        """16 kHz mono, trimmed; read when it is asked for. Not to be modified."""
        # Not mapped: each map holds a file open, and 1,024 is what many systems allow.
        kept = self.source
        return load_array(kept) if isinstance(kept, Path) else kept


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An utterance whose recording is not there, does not decode, or is empty."""

    utterance: Utterance
    reason: str


def load_clips(
    utterances: Sequence[Utterance],
    config: SignalConfig,
    cache: Path | None = None,
    on_loaded: Callable[[int, int], None] | None = None,
) -> tuple[list[Clip], list[Unreadable]]:
    """Read all utterances at 16 kHz, silence trimmed at both ends.

    Args:
        utterances: What to read.
        config: What is done to them.
        cache: A folder that keeps the signals under a hash of the recording's bytes,
            so that a changed recording is read anew. None keeps nothing.
        on_loaded: Called with how many are done, and how many there are.

    Returns:
        The clips in their order, and what could not be read.
    """
    clips: list[Clip] = []
    unreadable: list[Unreadable] = []
    pool = ThreadPoolExecutor(2)  # decoding leaves the interpreter's lock
    try:
        loaded = pool.map(partial(_try_load, config=config, cache=cache), utterances)
        for n, clip in enumerate(loaded, 1):
            if isinstance(clip, Clip):
                clips.append(clip)
            else:
                unreadable.append(clip)
            if on_loaded is not None:
                on_loaded(n, len(utterances))
    finally:
        pool.shutdown(cancel_futures=True)  # who interrupts does not wait for the rest
    return clips, unreadable


def load_signals(utterances: Sequence[Utterance], config: SignalConfig) -> list[Signal]:
    """Read all utterances as `load_clips` does, and keep nothing.

    Raises:
        CorpusError: One cannot be read.
    """
    clips, unreadable = load_clips(utterances, config)
    require_readable(unreadable)
    return [clip.signal for clip in clips]


def require_readable(unreadable: Sequence[Unreadable]) -> None:
    """Refuse to go on without recordings that nobody said may be skipped.

    Raises:
        CorpusError: There is any.
    """
    if unreadable:
        first = unreadable[0]
        raise CorpusError(
            f"{len(unreadable)} of the recordings cannot be read, the first being "
            f"{first.utterance.id}: {first.reason}; restore them, or pass "
            "--skip-unreadable to go on without (every table will count them)"
        )


def _try_load(
    utterance: Utterance, config: SignalConfig, cache: Path | None
) -> Clip | Unreadable:
    try:
        return _load(utterance, config, cache)
    except AudioError as error:
        reason = str(error).removeprefix(f"{utterance.path}: ")
        return Unreadable(utterance, f"{utterance.path}: {reason}")


def _load(utterance: Utterance, config: SignalConfig, cache: Path | None) -> Clip:
    try:
        content = hashlib.sha256(utterance.path.read_bytes()).hexdigest()
    except OSError as error:
        raise AudioError(f"{utterance.path}: {error.strerror}; restore it") from error
    done = f"{config.trim_db:g}"
    if config.pre_emphasis or config.peak:
        done += f"-{config.pre_emphasis:g}-{config.peak:g}"
    digest = hashlib.sha256(f"{content}-{done}".encode()).hexdigest()
    if cache is None:
        signal = _prepare(utterance.path, config)
        return Clip(utterance, signal, len(signal), digest)
    kept = cache / content[:2] / f"{content[:32]}-{done}.npy"
    if not kept.is_file():
        save_array(_prepare(utterance.path, config), kept)
    return Clip(utterance, kept, len(load_array(kept, mapped=True)), digest)


def _prepare(path: Path, config: SignalConfig) -> Signal:
    signal = trim(load_audio(path), config.trim_db)
    if len(signal) == 0:
        raise AudioError(f"{path}: holds no samples; remove it or restore it")
    return condition(signal, config)


def save_array(array: NDArray[np.generic], path: Path) -> None:
    """Write an array, whole or not at all, into a folder that need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as whole, whole.open("wb") as file:
        np.save(file, array)


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read what `save_array` wrote, from any thread; `mapped`: as far as it is used."""
    with _HEADERS:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None)
    return array


def pad(signals: Sequence[Signal]) -> tuple[Tensor, Tensor]:
    """Stack signals, the shorter ones padded: samples [B, longest], lengths [B].

    None is shorter than 0.2 s after.
    """
    lengths = [max(len(signal), SHORTEST) for signal in signals]
    samples = np.zeros((len(signals), max(lengths)), np.float32)
    for row, signal in zip(samples, signals, strict=True):
        row[: len(signal)] = signal
    return torch.from_numpy(samples), torch.tensor(lengths)


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


@dataclass(frozen=True, slots=True)
class Draw:
    """A clip as one step of training takes it.

    Attributes:
        index: Of the clip.
        variation: Seed of what is varied; None: nothing is.
    """

    index: int
    variation: int | None = None


class Variations:
    """Clips as they are drawn: the same for the same draw, whoever asks, and when."""

    def __init__(self, clips: Sequence[Clip], config: ExperimentConfig) -> None:
        self.clips = clips
        self.augmentation = config.augmentation
        self._augment = Augment(config.augmentation)
        self._crop = round(config.signal.crop_s * SAMPLE_RATE)
        self._longest = round(config.signal.longest_s * SAMPLE_RATE)

    @property
    def random(self) -> bool:
        """Whether a clip sounds different from epoch to epoch."""
        return self.augmentation.varies or self._crop > 0

    @property
    def repeats(self) -> bool:
        """Whether what is drawn comes around again, so that it pays to keep it."""
        return self.augmentation.variants > 0 or not self.random

    def seed_of(self, seed: int, index: int, epoch: int, occurrence: int) -> int | None:
        """Seed of a clip's variation in an epoch; None when nothing is varied."""
        if not self.random:
            return None
        utterance = self.clips[index].utterance.id
        if n := self.augmentation.variants:
            # The same few for every run, so that all share what is kept of them.
            return variation_seed(0, utterance, (epoch + occurrence) % n)
        return variation_seed(seed, utterance, epoch, occurrence)

    def signal(self, draw: Draw) -> Signal:
        """Return the samples of a draw."""
        clip = self.clips[draw.index].signal
        if draw.variation is None:
            return clip[: self._longest]
        if self.augmentation.varies:
            clip = self._augment(np.array(clip), draw.variation)
        excess = len(clip) - (self._crop or self._longest)
        if excess <= 0 or not self._crop:
            return clip[: self._longest]
        start = np.random.default_rng(draw.variation + 1).integers(excess + 1)
        return clip[start : start + self._crop]

    def key(self, draw: Draw) -> str:
        """Name what `signal` returns, by its content and not by its place."""
        seed = "" if draw.variation is None else f"{draw.variation}-{self._crop}"
        return f"{self.clips[draw.index].digest}-{self._longest}-{seed}" + (
            f"-{self.augmentation}" if seed else ""
        )


class Draws:
    """Who is heard in an epoch, and in which step: the same for the same seed."""

    def __init__(self, variations: Variations, config: ExperimentConfig) -> None:
        self.variations = variations
        self.config = config.training
        self.seed = config.seed
        utterances = [clip.utterance for clip in variations.clips]
        self._n = len(utterances)
        self._weights = draw_weights(utterances, config.loss.balance)
        lengths = np.array([clip.n_samples for clip in variations.clips])
        # What is padded to one length anyway need not share a step with its like.
        valid = config.network.padding == "valid"
        self._lengths = lengths if valid else np.ones(len(lengths))

    @property
    def n_steps(self) -> int:
        """Steps in an epoch."""
        return -(-(self.config.draws or self._n) // self.config.batch_size)

    def epoch(self, epoch: int) -> Iterator[list[Draw]]:
        """Yield the steps of an epoch; where it saves padding, by similar length."""
        rng = np.random.default_rng([self.seed, epoch])
        if n_draws := self.config.draws:
            drawn = rng.choice(self._n, n_draws, p=self._weights)
        else:
            drawn = rng.permutation(self._n)
        order = np.argsort(self._lengths[drawn] * rng.uniform(1.0, 1.1, len(drawn)))
        times: Counter[int] = Counter()
        draws = []
        for index in drawn.tolist():
            seed = self.variations.seed_of(self.seed, index, epoch, times[index])
            draws.append(Draw(index, seed))
            times[index] += 1
        size = self.config.batch_size
        for start in rng.permutation(np.arange(0, len(drawn), size)).tolist():
            yield [draws[row] for row in order[start : start + size].tolist()]
