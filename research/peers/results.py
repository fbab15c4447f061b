"""Scores of the systems by corpus, and paired tests against one of them.

Speakers are resampled within each corpus, and all corpora count the same. TESS has two
speakers, so that its interval, and its share in that of the mean, is too narrow.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.scores.bootstrap import (
    Interval,
    holm,
    percentile_interval,
    resample_speakers,
    sums_by_speaker,
    two_sided,
)
from espressivo.training.scores.metrics import scores_from_sums, utterance_sums
from research.peers.clips import CORPORA, FOLDS, READ_SPEECH
from research.peers.table import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from espressivo.training.scores.metrics import Floats
    from research.peers.predictions import ClipLabels
    from research.peers.systems import Predictions
    from research.peers.table import Cost

WITHOUT_CALM = "ravdess without calm"
MEAN = "mean"

COLUMNS = (*CORPORA, WITHOUT_CALM, MEAN, READ_SPEECH)
"""What is scored: the corpora, their mean (calm as neutral), and read speech."""


@dataclass(frozen=True, slots=True)
class Score:
    """UA, 0 to 1; of read speech, the share that is called neutral.

    Attributes:
        value: The score.
        interval: Its 95 % interval over speakers.
    """

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """Difference of UA to the reference: the system's minus the reference's.

    Attributes:
        difference: The difference.
        interval: Its 95 % interval over speakers.
        p: Two-sided bootstrap p value; corrected by Holm's method in the mean.
    """

    difference: float
    interval: Interval
    p: float


@dataclass(frozen=True, slots=True)
class Result:
    """Scores of one system.

    Attributes:
        name: Name of the system.
        cost: What it costs.
        scores: Score of each column of `COLUMNS` that the system was a stranger to.
        comparisons: Differences to the reference, by column; empty for itself.
    """

    name: str
    cost: Cost
    scores: dict[str, Score]
    comparisons: dict[str, Comparison]


def score_systems(
    clips: ClipLabels, predictions: Mapping[str, Predictions], reference: str
) -> list[Result]:
    """Score systems, and compare each with the reference.

    Raises:
        CorpusError: The reference is not among the systems, or a system has clips that
            are not tested here, or only a part of a corpus.
    """
    if reference not in predictions:
        raise CorpusError(
            f"there are no predictions of {reference}, with which all others are "
            f"compared, but of {', '.join(predictions) or 'no system'}"
        )
    draws = {name: _draw(name, clips, p) for name, p in predictions.items()}
    results = [
        Result(
            name,
            predictions[name].cost,
            {
                column: Score(float(row[0]), percentile_interval(row[1:]))
                for column, row in found.items()
            },
            {} if name == reference else _compare(found, draws[reference]),
        )
        for name, found in draws.items()
    ]
    return _corrected(results)


def _draw(
    name: str, clips: ClipLabels, predictions: Predictions
) -> dict[str, NDArray[np.float64]]:
    """Return scores by column: as observed, then of every resample, [1 + R]."""
    row_of = {clip: row for row, clip in enumerate(predictions.ids)}
    if extra := row_of.keys() - set(clips.ids):
        raise CorpusError(f"{name}: {min(extra)} is no clip of this comparison")
    known = np.array([clip in row_of for clip in clips.ids])
    found = {}
    for corpus in FOLDS:
        of_corpus = clips.corpora == corpus
        if not known[of_corpus].any():
            continue
        if not known[of_corpus].all():
            raise CorpusError(f"{name}: lacks some clips of {corpus}; run it again")
        found[corpus] = _resample(clips, predictions, row_of, of_corpus)
        if (clips.is_calm & of_corpus).any():
            found[WITHOUT_CALM] = _resample(
                clips, predictions, row_of, of_corpus & ~clips.is_calm
            )
    if all(corpus in found for corpus in CORPORA):
        found[MEAN] = np.mean([found[corpus] for corpus in CORPORA], axis=0)
    return {column: found[column] for column in COLUMNS if column in found}


def _resample(
    clips: ClipLabels,
    predictions: Predictions,
    row_of: Mapping[str, int],
    chosen: NDArray[np.bool_],
) -> NDArray[np.float64]:
    at = np.flatnonzero(chosen)
    probabilities = predictions.probabilities[[row_of[clips.ids[i]] for i in at]]
    speakers = clips.speakers[at].tolist()
    sums = sums_by_speaker(utterance_sums(clips.labels[at], probabilities), speakers)
    # The same seed for every system, so that comparisons are paired.
    drawn = resample_speakers(speakers, zlib.crc32(clips.corpora[at[0]].encode()))
    times: Floats = np.ones((1, len(sums)))
    if drawn is not None:
        times = np.vstack([times, drawn])
    scores: Floats = scores_from_sums(times @ sums, len(EMOTIONS))["ua"]
    return scores


def _compare(
    found: Mapping[str, Floats], reference: Mapping[str, Floats]
) -> dict[str, Comparison]:
    compared = {}
    for column in found.keys() & reference.keys():
        difference = found[column] - reference[column]
        compared[column] = Comparison(
            float(difference[0]),
            percentile_interval(difference[1:]),
            two_sided(difference[1:]),
        )
    return {column: compared[column] for column in COLUMNS if column in compared}


def _corrected(results: Iterable[Result]) -> list[Result]:
    """Correct the p values of the mean for the number of systems."""
    results = list(results)
    rows = [i for i, result in enumerate(results) if MEAN in result.comparisons]
    adjusted = holm([results[i].comparisons[MEAN].p for i in rows])
    for i, p in zip(rows, adjusted, strict=True):
        compared = results[i].comparisons
        mean = replace(compared[MEAN], p=p)
        results[i] = replace(results[i], comparisons=compared | {MEAN: mean})
    return results
