"""Sampling of clips: the draws of an epoch, their steps, and their augmentation.

A seed determines all random choices: an epoch with the same seed has the same clips
with the same samples in every process and at any time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.clips.augment import Augment
from espressivo.training.clips.conditions import (
    apply_condition,
    condition_key,
    find_condition,
    require_conditions,
    utterance_seed,
)
from espressivo.training.clips.surroundings import Surroundings, choose_voices
from espressivo.training.folds.weights import balanced_weights
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import Balance, ExperimentConfig
    from espressivo.training.corpora.utterance import Utterance


def sampling_probabilities(
    utterances: Sequence[Utterance], balance: Balance
) -> NDArray[np.float64]:
    """Return the probability of drawing each utterance [N]; they sum to 1."""
    keys: dict[Balance, Callable[[Utterance], Hashable]] = {
        "none": lambda utterance: utterance.id,
        "class": lambda utterance: utterance.emotion,
        "corpus-class": lambda utterance: (utterance.corpus, utterance.emotion),
    }
    weights = balanced_weights([keys[balance](utterance) for utterance in utterances])
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized


@dataclass(frozen=True, slots=True)
class SampledClip:
    """A clip drawn for one training step.

    Attributes:
        index: Index of the clip.
        augmentation: Seed of the augmentation; None for an unaugmented clip.
    """

    index: int
    augmentation: int | None = None


class AugmentedClips:
    """A set of clips that are augmented and cropped each time they are read.

    With a condition, they are fixed copies in that condition instead: whoever reads
    them gets the same samples, and no other augmentation applies.
    """

    def __init__(
        self,
        clips: Sequence[LoadedClip],
        config: ExperimentConfig,
        condition: str = "clean",
    ) -> None:
        self.clips = clips
        self.config = config
        self.condition = condition
        self.augmentation = config.augmentation
        self._augment = Augment(config.augmentation)
        self._crop = round(config.signal.crop_s * SAMPLE_RATE)
        self._longest = round(config.signal.longest_s * SAMPLE_RATE)
        self._surroundings = Surroundings(Path())
        if condition != "clean":
            self._surroundings = self._find_surroundings(condition)

    def in_condition(self, condition: str) -> AugmentedClips:
        """Return the copies of these clips in a condition.

        Raises:
            ConfigError: There is no such condition, or this machine lacks its encoder,
                its noise recordings, or its voices.
        """
        return AugmentedClips(self.clips, self.config, condition)

    def _find_surroundings(self, condition: str) -> Surroundings:
        voices: list[LoadedClip] = []
        if find_condition(condition).babble:
            by_id = {clip.utterance.id: clip for clip in self.clips}
            chosen = choose_voices([clip.utterance for clip in self.clips])
            voices = [by_id[utterance.id] for utterance in chosen]
        folder = Path(self.augmentation.noise_folder)
        found = Surroundings(folder, voices, training=True)
        require_conditions([condition], found)
        self._key = condition_key(condition, found)
        return found

    @property
    def random(self) -> bool:
        """Whether a clip's samples differ from epoch to epoch."""
        if self.condition != "clean":
            return False
        return self.augmentation.varies or self._crop > 0

    @property
    def repeats(self) -> bool:
        """Whether the same samples come again later, so that caching saves time."""
        return self.augmentation.variants > 0 or not self.random

    def seed_of(self, seed: int, index: int, epoch: int, occurrence: int) -> int | None:
        """Return the augmentation seed of a clip in an epoch; None without any."""
        if not self.random:
            return None
        utterance = self.clips[index].utterance.id
        if n := self.augmentation.variants:
            # Seed 0 gives all runs the same few variants, so that runs share the cache.
            return utterance_seed(0, utterance, (epoch + occurrence) % n, 0)
        return utterance_seed(seed, utterance, epoch, occurrence)

    def signal(self, sampled: SampledClip) -> Signal:
        """Return the samples of a clip, augmented and cropped."""
        signal = self.clips[sampled.index].signal
        if self.condition != "clean":
            return self._copy(signal[: self._longest], sampled.index)
        if sampled.augmentation is None:
            return signal[: self._longest]
        if self.augmentation.varies:
            signal = self._augment(np.array(signal), sampled.augmentation)
        excess = len(signal) - (self._crop or self._longest)
        if excess <= 0 or not self._crop:
            return signal[: self._longest]
        # With the augmentation's own seed, both would draw the same numbers.
        start = np.random.default_rng(sampled.augmentation + 1).integers(excess + 1)
        return signal[start : start + self._crop]

    def _copy(self, signal: Signal, index: int) -> Signal:
        speaker = self.clips[index].utterance.speaker
        seed = self._copy_seed(index)
        return apply_condition(
            self.condition, signal, seed, self._surroundings, speaker
        )

    def _copy_seed(self, index: int) -> int:
        utterance = self.clips[index].utterance.id
        return utterance_seed(self.config.seed, utterance, self.condition)

    def key(self, sampled: SampledClip) -> str:
        """Return the cache key of the samples that `signal` returns.

        The key depends on content alone, not on the name or index of the utterance,
        except that a copy's seed is made of the name.
        """
        digest = self.clips[sampled.index].digest
        if self.condition != "clean":
            copy = f"{self._key}-{self._copy_seed(sampled.index)}"
            return f"{digest}-{self._longest}-{copy}"
        chosen = sampled.augmentation
        seed = "" if chosen is None else f"{chosen}-{self._crop}"
        # Copies and parts are no part of an augmentation.
        augmentation = replace(self.augmentation, copies=(), parts=0, noise_folder="")
        return f"{digest}-{self._longest}-{seed}" + (f"-{augmentation}" if seed else "")


class EpochSampler:
    """A sampler that draws the clips of each epoch and groups them into steps.

    Only the first `n_labelled` clips, all if None, are drawn as the configuration says.
    In every step as many of the others follow, which changes nothing for the first.
    """

    def __init__(
        self,
        clips: AugmentedClips,
        config: ExperimentConfig,
        n_labelled: int | None = None,
    ) -> None:
        self.clips = clips
        self.config = config.training
        self.seed = config.seed
        utterances = [clip.utterance for clip in clips.clips[:n_labelled]]
        self._n = len(utterances)
        self._probabilities = sampling_probabilities(utterances, config.loss.balance)
        lengths = np.array([clip.n_samples for clip in clips.clips])
        # Clips that are padded to one length anyway need not be grouped by length.
        valid = config.network.padding == "valid"
        self._lengths = lengths if valid else np.ones(len(lengths))

    @property
    def n_steps(self) -> int:
        """Number of steps in an epoch."""
        return -(-(self.config.draws or self._n) // self.config.batch_size)

    def epoch(self, epoch: int) -> Iterator[list[SampledClip]]:
        """Yield the steps of an epoch, from 0; clips of similar length share a step."""
        rng = np.random.default_rng([self.seed, epoch])
        if n_draws := self.config.draws:
            drawn = rng.choice(self._n, n_draws, p=self._probabilities)
        else:
            drawn = rng.permutation(self._n)
        parts = [self._sorted(drawn, rng, epoch)]
        size = self.config.batch_size
        starts = rng.permutation(np.arange(0, len(drawn), size)).tolist()
        if n_rest := len(self._lengths) - self._n:
            # With a generator of its own, so that the labelled draws stay as they are.
            rng = np.random.default_rng([self.seed, epoch, 1])
            rest = self._n + np.resize(rng.permutation(n_rest), len(drawn))
            parts.append(self._sorted(rest, rng, epoch))
        for start in starts:
            yield [one for part in parts for one in part[start : start + size]]

    def _sorted(
        self, drawn: NDArray[np.int64], rng: np.random.Generator, epoch: int
    ) -> list[SampledClip]:
        """Return drawn clips by length, with the seeds of their augmentation."""
        # Without jitter, sorting by length would group the same clips in every epoch.
        order = np.argsort(self._lengths[drawn] * rng.uniform(1.0, 1.1, len(drawn)))
        times: Counter[int] = Counter()
        sampled = []
        for index in drawn.tolist():
            seed = self.clips.seed_of(self.seed, index, epoch, times[index])
            sampled.append(SampledClip(index, seed))
            times[index] += 1
        return [sampled[row] for row in order.tolist()]
