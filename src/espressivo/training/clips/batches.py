"""Batches of features for training; worker processes prefetch the next clips.

`Batches.in_condition` gives the same clips through a telephone, in noise, and so on:

    for name in config.augmentation.copies:
        rows = apply_to_clips(batches.in_condition(name), network.pooled)
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

from espressivo.training.clips.feature_cache import CachedOrSignal
from espressivo.training.clips.sampling import AugmentedClips, SampledClip
from espressivo.training.networks.network import Frames
from espressivo.training.scores.dimensions import ratings_of, votes_of
from espressivo.training.scores.metrics import labels_of
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.clips.feature_cache import FeatureExtractor
    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig

CLASSES = {emotion: index for index, emotion in enumerate(Emotion)}
"""Index of each emotion among the network's outputs."""


class Batch(NamedTuple):
    """The input of one step of training, on the network's device.

    The L labelled clips come first; without unlabelled clips, L is B.

    Attributes:
        frames: Features of the B clips.
        target: int64 [L], index of the emotion; -1 without one.
        speaker: int64 [L], index of the training speaker; -1 for any other speaker.
        domain: int64 [B], index of the domain; unlabelled clips are the last domain.
        ratings: float32 [L, D], listeners' ratings of the network's dimensions, 0 to 1;
            NaN where one is missing. None: the network has no dimensions.
        votes: float32 [L, 4], shares of the listeners' votes; NaN for clips without.
            None: votes are not trained on.
    """

    frames: Frames
    target: Tensor
    speaker: Tensor
    domain: Tensor
    ratings: Tensor | None = None
    votes: Tensor | None = None


def make_batches(
    extractor: FeatureExtractor,
    clips: Sequence[LoadedClip],
    config: ExperimentConfig,
    unlabelled: Sequence[LoadedClip] = (),
) -> Batches:
    """Return batches of `clips`, with the configured augmentation and loading.

    The labels of `unlabelled`, which follow the clips, are not read.
    """
    return Batches(
        extractor,
        AugmentedClips([*clips, *unlabelled], config),
        sorted({clip.utterance.speaker for clip in clips}),
        n_labelled=len(clips),
        domain=config.adaptation.domain,
        dimensions=config.network.dimensions,
        votes=config.loss.votes,
        n_workers=config.workers,
        speaker_statistics=config.training.speaker_statistics,
    )


class Batches:
    """Source of feature batches for the clips that a sampler has drawn."""

    def __init__(
        self,
        extractor: FeatureExtractor,
        clips: AugmentedClips,
        speakers: Sequence[str] = (),
        *,
        n_labelled: int | None = None,
        domain: Literal["corpus", "speaker"] = "corpus",
        dimensions: Sequence[str] = (),
        votes: bool = False,
        n_workers: int = 0,
        speaker_statistics: bool = False,
    ) -> None:
        """Prepare the batches of `clips`.

        Args:
            extractor: The network's frozen layers.
            clips: Clips to draw from, with their augmentation.
            speakers: Names of the training speakers, in the order of their indices.
            n_labelled: Number of first clips that have labels; all if None.
            domain: What counts as a domain among the labelled clips.
            dimensions: Dimensions whose ratings the batches hold.
            votes: Whether the batches hold the listeners' votes.
            n_workers: Number of processes that load and augment; with 0, this process
                does both.
            speaker_statistics: Normalize frames by the mean and deviation of each
                speaker's frames.
        """
        self.extractor = extractor
        self.clips = clips
        self.n_workers = n_workers
        self._statistics: dict[str, tuple[Tensor, Tensor]] | None = None
        index = {speaker: n for n, speaker in enumerate(speakers)}
        utterances = [clip.utterance for clip in clips.clips[:n_labelled]]
        self._targets = labels_of([u.emotion_name for u in utterances]).astype(np.int64)
        self._ratings = ratings_of(utterances, dimensions) if dimensions else None
        self._votes = votes_of(utterances) if votes else None
        self._speakers = np.array([index.get(u.speaker, -1) for u in utterances])
        names, domains = np.unique(
            [getattr(u, domain) for u in utterances], return_inverse=True
        )
        n_unlabelled = len(clips.clips) - len(utterances)
        self._domains = np.append(domains, [len(names)] * n_unlabelled).astype(np.int64)
        if speaker_statistics:
            self._statistics = self._measure_speakers()

    @property
    def labels(self) -> NDArray[np.int64]:
        """The emotion index of each labelled clip, int64 [N]; -1 if none."""
        return self._targets

    @property
    def ratings(self) -> NDArray[np.float64] | None:
        """Ratings of each labelled clip, float64 [N, D]; None without dimensions."""
        return self._ratings

    @property
    def n_domains(self) -> int:
        """Number of domains, the unlabelled clips being one."""
        return int(self._domains.max()) + 1

    def in_condition(self, condition: str) -> Batches:
        """Return the batches of one fixed copy of each clip in a condition.

        The clips have the same order and labels. A copy is determined by the seed of
        the configuration, the utterance's id, and the condition. With speaker
        statistics, they are those of the clips as they are.

        Args:
            condition: A name in `clips.conditions.CONDITIONS`; `clean` for the clips as
                they are.

        Raises:
            ConfigError: There is no such condition, or this machine lacks its encoder,
                its noise recordings, or its voices.
        """
        copies = copy.copy(self)
        copies.clips = self.clips.in_condition(condition)
        return copies

    def load(self, steps: Sequence[Sequence[SampledClip]]) -> Iterator[Batch]:
        """Yield one batch per step, in the order of the steps."""
        device = self.extractor.device
        loader = torch.utils.data.DataLoader(
            _Steps(self.extractor, self.clips, steps),
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=self.n_workers,
            prefetch_factor=4 if self.n_workers else None,
        )
        # Workers only load and augment; features are extracted in this process, which
        # has the device.
        for sampled, loaded in zip(steps, loader, strict=True):
            rows = [one.index for one in sampled]
            labelled = [row for row in rows if row < len(self._targets)]
            frames = self.extractor.extract(self.clips, sampled, loaded)
            yield Batch(
                self._normalized(frames, rows),
                torch.from_numpy(self._targets[labelled]).to(device),
                torch.from_numpy(self._speakers[labelled]).to(device),
                torch.from_numpy(self._domains[rows]).to(device),
                *(
                    None if part is None else _to_tensor(part[labelled], device)
                    for part in (self._ratings, self._votes)
                ),
            )

    def unaugmented(self, batch_size: int = 32) -> list[list[SampledClip]]:
        """Return steps with every clip once, unaugmented and sorted by length.

        Clips of similar length in one batch need little padding.
        """
        lengths = [clip.n_samples for clip in self.clips.clips]
        order = np.argsort(lengths, kind="stable").tolist()
        starts = range(0, len(order), batch_size)
        return [[SampledClip(i) for i in order[at : at + batch_size]] for at in starts]

    def _normalized(self, frames: Frames, rows: Sequence[int]) -> Frames:
        if self._statistics is None:
            return frames
        clips = self.clips.clips
        own = [self._statistics[clips[row].utterance.speaker] for row in rows]
        mean, scale = (
            torch.stack(part).unsqueeze(1) for part in zip(*own, strict=True)
        )
        normalized = (frames.values - mean) / scale
        if frames.counts is not None:
            valid = torch.arange(normalized.shape[1], device=normalized.device)
            # Padding was 0 before the shift, and has to be 0 after it.
            mask = valid < frames.counts.unsqueeze(1)
            ones = [1] * (normalized.ndim - 2)
            normalized = normalized * mask.reshape(*mask.shape, *ones)
        return Frames(normalized, frames.counts)

    def _measure_speakers(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the mean and standard deviation of the frames of each speaker."""
        sums: dict[str, list[Tensor]] = {}
        for step in self.unaugmented(1):
            loaded = [self.extractor.load(self.clips, one) for one in step]
            (values,), _ = self.extractor.extract(self.clips, step, loaded)
            values = values.double()  # a sum of squares loses digits in float32
            speaker = self.clips.clips[step[0].index].utterance.speaker
            parts = [torch.ones_like(values[0]) * len(values), values.sum(0)]
            parts.append(values.square().sum(0))
            before = sums.get(speaker, [torch.zeros_like(part) for part in parts])
            sums[speaker] = [a + b for a, b in zip(before, parts, strict=True)]
        found = {}
        for speaker, (n, total, squares) in sums.items():
            mean = total / n
            variance = (squares / n - mean.square()).clamp(min=0.0)
            found[speaker] = (mean.float(), variance.sqrt().float() + 1e-4)
        return found


def _to_tensor(rows: NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.from_numpy(rows.astype(np.float32)).to(device)


def _unchanged(loaded: list[CachedOrSignal]) -> list[CachedOrSignal]:
    return loaded


class _Steps(torch.utils.data.Dataset[list[CachedOrSignal]]):
    def __init__(
        self,
        extractor: FeatureExtractor,
        clips: AugmentedClips,
        steps: Sequence[Sequence[SampledClip]],
    ) -> None:
        self.extractor, self.clips, self.steps = extractor, clips, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int) -> list[CachedOrSignal]:
        return [self.extractor.load(self.clips, one) for one in self.steps[step]]
