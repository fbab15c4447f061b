"""Does voice activity detection reduce the neutral bias in long notes?

Notes whose emotion, speech and gaps are known are predicted with several windowing
strategies and aggregations. All see the same notes, so that comparisons are paired.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from espressivo.training.scores.bootstrap import (
    Interval,
    percentile_interval,
    resample_speakers,
    sums_by_speaker,
)
from espressivo.training.scores.metrics import (
    Floats,
    confusions_from_sums,
    ratio,
    scores_from_sums,
    utterance_sums,
)
from espressivo.types import SAMPLE_RATE, Emotion
from research.vad.aggregation import AGGREGATIONS
from research.vad.long_notes import GAP_KINDS, build_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.types import Progress
    from research.vad.long_notes import Gaps, NoteClips
    from research.vad.noises import Noise
    from research.vad.windowing import NotePredictions, PredictionCache, StrategyRunner


ALL = "all kinds"
"""All kinds of gaps together."""
_NEUTRAL = [*Emotion].index(Emotion.NEUTRAL)
_OTHERS = [i for i in range(len(Emotion)) if i != _NEUTRAL]


class Condition(NamedTuple):
    """One condition: kind of gaps, windowing strategy and aggregation."""

    gaps: str
    strategy: str
    aggregation: str


BootstrapScores: TypeAlias = dict[Condition, dict[str, Floats]]
"""Scores by name, each [1 + resamples]; the first entry is the point estimate."""


@dataclass(frozen=True, slots=True)
class IntervalScore:
    """A score and its 95 % bootstrap interval, None with a single speaker."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """Scores of one condition.

    Attributes:
        key: The condition.
        scores: `ua`, `recall <emotion>`, `neutral` (the share of notes of other
            emotions that are called neutral), `ece`, `brier`.
        differences: Paired differences of the same scores, by baseline: `fixed`
            (windows of the same length without VAD), `whole` and `vad` (other
            strategies) and `duration` (another aggregation).
    """

    key: Condition
    scores: dict[str, IntervalScore]
    differences: dict[str, dict[str, IntervalScore]]


@dataclass(frozen=True, slots=True, eq=False)
class PredictedNotes:
    """Notes with one kind of gaps, and their predictions under every strategy.

    Attributes:
        gaps: The kind of gaps.
        spoken: Clips of each note in which speech was detected.
        predictions: Predictions for each of these notes.
        seconds: Length of each of these notes.
        without_speech: Notes in which no speech was detected.
    """

    gaps: Gaps
    spoken: tuple[NoteClips, ...]
    predictions: tuple[NotePredictions, ...]
    seconds: tuple[float, ...]
    without_speech: tuple[NoteClips, ...]

    def without_calm(self) -> PredictedNotes:
        """Return the notes that are not calm."""
        rows = [i for i, spoken in enumerate(self.spoken) if not spoken.calm]
        return PredictedNotes(
            self.gaps,
            tuple(self.spoken[i] for i in rows),
            tuple(self.predictions[i] for i in rows),
            tuple(self.seconds[i] for i in rows),
            tuple(spoken for spoken in self.without_speech if not spoken.calm),
        )


def predict_notes(
    runner: StrategyRunner,
    cache: PredictionCache,
    spoken: Sequence[NoteClips],
    noises: Sequence[Noise],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[PredictedNotes]:
    """Build every note with every kind of gaps, and predict it.

    Args:
        runner: The model with its strategies.
        cache: Predictions of earlier runs; receives new ones.
        spoken: Clips of the notes.
        noises: Recordings of noise for the gaps.
        seed: Seed that draws the gaps.
        progress: Callback, called after every note.
    """
    found = []
    for n, gaps in enumerate(GAP_KINDS):
        kept, predicted, seconds, without_speech = [], [], [], []
        for i, one in enumerate(spoken, 1):
            note = build_note(one, gaps, noises, seed)
            predictions = cache.predict(runner, note)
            if len(predictions.strategies["vad"].lengths):
                kept.append(one)
                predicted.append(predictions)
                seconds.append(len(note.signal) / SAMPLE_RATE)
            else:
                without_speech.append(one)
            if progress is not None:
                progress(n * len(spoken) + i, len(GAP_KINDS) * len(spoken))
        found.append(
            PredictedNotes(
                gaps,
                tuple(kept),
                tuple(predicted),
                tuple(seconds),
                tuple(without_speech),
            )
        )
    return found


def bootstrap_scores(
    predicted: Sequence[PredictedNotes], name: str, seed: int = 0
) -> BootstrapScores:
    """Score every condition, on all speakers and on every bootstrap resample.

    Args:
        predicted: Notes, one entry per kind of gaps.
        name: Name of the corpus, which is part of the seed.
        seed: Seed of the resampling.
    """
    speakers = sorted({s.speaker for notes in predicted for s in notes.spoken})
    times = np.ones((1, len(speakers)))
    drawn = resample_speakers(speakers, seed + zlib.crc32(name.encode()))
    if drawn is not None:
        times = np.vstack([times, drawn])
    draws: BootstrapScores = {}
    totals: dict[tuple[str, str], Floats] = {}
    for notes in predicted:
        for (strategy, aggregation), sums in _sums(notes, speakers).items():
            draws[Condition(notes.gaps.name, strategy, aggregation)] = measure(
                times @ sums
            )
            totals[strategy, aggregation] = (
                totals.get((strategy, aggregation), 0.0) + sums
            )
    for (strategy, aggregation), sums in totals.items():
        draws[Condition(ALL, strategy, aggregation)] = measure(times @ sums)
    return draws


def _sums(notes: PredictedNotes, speakers: list[str]) -> dict[tuple[str, str], Floats]:
    """Return every speaker's sufficient statistics [S, K] by condition."""
    order = [*Emotion]
    labels = np.array([order.index(s.emotion) for s in notes.spoken])
    names = [s.speaker for s in notes.spoken]
    at = np.searchsorted(speakers, sorted(set(names)))
    found = {}
    for strategy in notes.predictions[0].strategies if notes.predictions else ():
        windows = [note.strategies[strategy] for note in notes.predictions]
        one = all(len(w.lengths) == 1 for w in windows)
        for aggregation, aggregate in AGGREGATIONS.items():
            cache = np.array([aggregate(w.probabilities, w.lengths) for w in windows])
            sums = sums_by_speaker(utterance_sums(labels, cache), names)
            spread = np.zeros((len(speakers), sums.shape[1]))
            spread[at] = sums
            found[strategy, aggregation] = spread
            if one and strategy in ("first", "whole"):
                break  # a single window needs no aggregation
    return found


def measure(sums: Floats) -> dict[str, Floats]:
    """Compute the study's scores, each [R], from R rows of sufficient statistics."""
    scores = scores_from_sums(sums, len(Emotion))
    confusion = confusions_from_sums(sums, len(Emotion))[:, _OTHERS]
    recalls = {f"recall {e}": scores["recall"][:, i] for i, e in enumerate(Emotion)}
    return {
        "ua": scores["ua"],
        **recalls,
        "neutral": ratio(confusion[:, :, _NEUTRAL].sum(1), confusion.sum((1, 2))),
        "ece": scores["ece"],
        "brier": scores["brier"],
    }


def pool(draws: Sequence[BootstrapScores]) -> BootstrapScores:
    """Return the mean over corpora, all weighted equally.

    Speakers are resampled within their corpus; corpora are not resampled.
    """
    keys = [key for key in draws[0] if all(key in one for one in draws)]
    pooled: BootstrapScores = {}
    for key in keys:
        pooled[key] = {}
        for name in draws[0][key]:
            rows = [one[key][name] for one in draws]
            n = min(map(len, rows))
            pooled[key][name] = np.mean([row[:n] for row in rows], axis=0)
    return pooled


def to_results(draws: BootstrapScores) -> list[ConditionResult]:
    """Compute intervals of all scores and of their paired differences."""
    cells = []
    for key, scores in draws.items():
        others = _rivals(key)
        differences = {
            name: {
                score: _value(scores[score] - draws[other][score]) for score in scores
            }
            for name, other in others.items()
            if other in draws and other != key
        }
        values = {score: _value(row) for score, row in scores.items()}
        cells.append(ConditionResult(key, values, differences))
    return cells


def _rivals(key: Condition) -> dict[str, Condition]:
    first = next(iter(AGGREGATIONS))
    return {
        "fixed": key._replace(
            strategy="fixed-short" if "short" in key.strategy else "fixed"
        ),
        "whole": Condition(key.gaps, "whole", first),
        "vad": key._replace(strategy="vad"),
        "duration": key._replace(aggregation=first),
    }


def _value(row: Floats) -> IntervalScore:
    return IntervalScore(
        float(row[0]), percentile_interval(row[1:]) if len(row) > 1 else None
    )
