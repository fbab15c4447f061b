"""Does finding speech first cut the neutral bias in long notes?

Notes of known emotion, speech and gaps are heard in several ways, their windows put
together in several ways; all on the same notes, so that ways are compared in pairs.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from espressivo.training.aggregations import AGGREGATIONS
from espressivo.training.long_notes import KINDS, build_note
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.long_notes import Gaps, Spoken
    from espressivo.training.noises import Noise
    from espressivo.training.vad_ways import Answers, Ears, Heard
    from espressivo.types import Progress


ALL = "all kinds"
"""All kinds of gaps together."""
_NEUTRAL = [*Emotion].index(Emotion.NEUTRAL)
_OTHERS = [i for i in range(len(Emotion)) if i != _NEUTRAL]


class Key(NamedTuple):
    """What a number is of: the kind of gaps, the way to hear, the aggregation."""

    gaps: str
    way: str
    aggregation: str


Draws: TypeAlias = dict[Key, dict[str, Floats]]
"""Scores by name [1 + resamples], the first of all speakers once."""


@dataclass(frozen=True, slots=True)
class Value:
    """A score, and where 95 % of the resampled ones lie; None with one speaker."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Cell:
    """The scores of one way and aggregation with one kind of gaps.

    Attributes:
        key: Which.
        scores: `ua`, `recall <emotion>`, `neutral` (the share of notes of other
            emotions that are called neutral), `ece`, `brier`.
        differences: Of the same scores, by what they are compared with: `fixed`
            (windows of the same length without finding speech), `whole` and `vad`
            (other ways to hear) and `duration` (another aggregation).
    """

    key: Key
    scores: dict[str, Value]
    differences: dict[str, dict[str, Value]]


@dataclass(frozen=True, slots=True, eq=False)
class HeardNotes:
    """Notes with one kind of gaps, heard in all ways.

    Attributes:
        spoken: Of each note; those in which no speech was found are left out.
        heard: Of each note.
        seconds: Length of each note.
        unheard: Notes in which no speech was found.
    """

    gaps: Gaps
    spoken: tuple[Spoken, ...]
    heard: tuple[Heard, ...]
    seconds: tuple[float, ...]
    unheard: tuple[Spoken, ...]

    def without_calm(self) -> HeardNotes:
        """Return the notes that are not calm."""
        rows = [i for i, spoken in enumerate(self.spoken) if not spoken.calm]
        return HeardNotes(
            self.gaps,
            tuple(self.spoken[i] for i in rows),
            tuple(self.heard[i] for i in rows),
            tuple(self.seconds[i] for i in rows),
            tuple(spoken for spoken in self.unheard if not spoken.calm),
        )


def hear_notes(
    ears: Ears,
    answers: Answers,
    spoken: Sequence[Spoken],
    noises: Sequence[Noise],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[HeardNotes]:
    """Build every note with every kind of gaps, and hear it.

    Args:
        ears: The model.
        answers: What is known already, and keeps what is new.
        spoken: The clips of the notes.
        noises: For their gaps.
        seed: Of the gaps.
        progress: Called after every note.
    """
    found = []
    for n, gaps in enumerate(KINDS):
        kept, heard, seconds, unheard = [], [], [], []
        for i, one in enumerate(spoken, 1):
            note = build_note(one, gaps, noises, seed)
            answer = answers.hear(ears, note)
            if len(answer.ways["vad"].lengths):
                kept.append(one)
                heard.append(answer)
                seconds.append(len(note.signal) / SAMPLE_RATE)
            else:
                unheard.append(one)
            if progress is not None:
                progress(n * len(spoken) + i, len(KINDS) * len(spoken))
        found.append(
            HeardNotes(gaps, tuple(kept), tuple(heard), tuple(seconds), tuple(unheard))
        )
    return found


def draw_scores(heard: Sequence[HeardNotes], name: str, seed: int = 0) -> Draws:
    """Score all ways and aggregations, of all speakers and of every resample.

    Args:
        heard: A kind of gaps each.
        name: Of the corpus: each has resamples of its own.
        seed: Of the resampling.
    """
    speakers = sorted({s.speaker for notes in heard for s in notes.spoken})
    times = np.ones((1, len(speakers)))
    drawn = resample_speakers(speakers, seed + zlib.crc32(name.encode()))
    if drawn is not None:
        times = np.vstack([times, drawn])
    draws: Draws = {}
    totals: dict[tuple[str, str], Floats] = {}
    for notes in heard:
        for (way, aggregation), sums in _sums(notes, speakers).items():
            draws[Key(notes.gaps.name, way, aggregation)] = measure(times @ sums)
            totals[way, aggregation] = totals.get((way, aggregation), 0.0) + sums
    for (way, aggregation), sums in totals.items():
        draws[Key(ALL, way, aggregation)] = measure(times @ sums)
    return draws


def _sums(notes: HeardNotes, speakers: list[str]) -> dict[tuple[str, str], Floats]:
    """Return every speaker's sums [S, K] by way and aggregation."""
    order = [*Emotion]
    labels = np.array([order.index(s.emotion) for s in notes.spoken])
    names = [s.speaker for s in notes.spoken]
    at = np.searchsorted(speakers, sorted(set(names)))
    found = {}
    for way in notes.heard[0].ways if notes.heard else ():
        windows = [heard.ways[way] for heard in notes.heard]
        one = all(len(w.lengths) == 1 for w in windows)
        for aggregation, aggregate in AGGREGATIONS.items():
            answers = np.array([aggregate(w.probabilities, w.lengths) for w in windows])
            sums = sums_by_speaker(utterance_sums(labels, answers), names)
            spread = np.zeros((len(speakers), sums.shape[1]))
            spread[at] = sums
            found[way, aggregation] = spread
            if one and way in ("first", "whole"):
                break  # a single window needs no aggregation
    return found


def measure(sums: Floats) -> dict[str, Floats]:
    """Turn R rows of sums into the study's scores, each [R]."""
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


def pool(draws: Sequence[Draws]) -> Draws:
    """Return the mean over corpora, each of which counts alike.

    Speakers are resampled within their corpus; corpora are not.
    """
    keys = [key for key in draws[0] if all(key in one for one in draws)]
    pooled: Draws = {}
    for key in keys:
        pooled[key] = {}
        for name in draws[0][key]:
            rows = [one[key][name] for one in draws]
            n = min(map(len, rows))
            pooled[key][name] = np.mean([row[:n] for row in rows], axis=0)
    return pooled


def to_cells(draws: Draws) -> list[Cell]:
    """Give every score its interval, and compare ways in pairs."""
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
        cells.append(Cell(key, values, differences))
    return cells


def _rivals(key: Key) -> dict[str, Key]:
    first = next(iter(AGGREGATIONS))
    return {
        "fixed": key._replace(way="fixed-short" if "short" in key.way else "fixed"),
        "whole": Key(key.gaps, "whole", first),
        "vad": key._replace(way="vad"),
        "duration": key._replace(aggregation=first),
    }


def _value(row: Floats) -> Value:
    return Value(float(row[0]), percentile_interval(row[1:]) if len(row) > 1 else None)
