"""Scores of a model by corpus and condition, with the change from clean recordings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.training.scores import bootstrap
from espressivo.training.scores.metrics import score, scores_from_sums, utterance_sums
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from espressivo.training.scores.bootstrap import Interval, PairedDifference
    from espressivo.training.scores.evaluation import Evaluation
    from espressivo.training.scores.metrics import Floats

SCHEMA = "espressivo.conditions/1"
"""Name and version of the JSON that `ConditionMatrix.to_dict` returns."""

FILE = "conditions.json"
"""File name of the matrix, in the folder of its evaluations."""


@dataclass(frozen=True, eq=False)
class ConditionScores:
    """A model on one corpus in one condition.

    Attributes:
        corpus: Name of the corpus.
        evaluation: The evaluation in the condition.
        clean: The evaluation of the recordings as they are.
    """

    corpus: str
    evaluation: Evaluation
    clean: Evaluation

    @property
    def condition(self) -> str:
        """Name of the condition."""
        return self.evaluation.condition

    @property
    def emotions(self) -> list[Emotion]:
        """The emotions of the corpus. With one, UA is the accuracy: its recall."""
        found = {utterance.emotion for utterance in self.clean.utterances}
        return [emotion for emotion in Emotion if emotion in found]

    @property
    def ua(self) -> float:
        """UA in the condition, 0 to 1; NaN if nothing was predicted."""
        return self.evaluation.scores.ua if self.evaluation.utterances else np.nan

    @property
    def ece(self) -> float:
        """ECE in the condition; NaN if nothing was predicted."""
        return self.evaluation.scores.ece if self.evaluation.utterances else np.nan

    @property
    def interval(self) -> Interval | None:
        """95 % interval of UA; None for one speaker, and if nothing was predicted."""
        if not self.evaluation.utterances:
            return None
        return self.evaluation.intervals.get("ua")

    @property
    def n_unscored(self) -> int:
        """Number of recordings without speech, or that could not be read."""
        return len(self.evaluation.without_speech) + len(self.evaluation.failures)

    @cached_property
    def pair(self) -> tuple[Evaluation, Floats]:
        """This evaluation and the clean predictions, of the utterances in both."""
        ids = [utterance.id for utterance in self.clean.utterances]
        return self.evaluation.paired(ids, self.clean.probabilities)

    @cached_property
    def changes(self) -> dict[str, PairedDifference]:
        """Change of each score from clean; empty if clean, or for one speaker."""
        both, clean = self.pair
        if self.condition == "clean" or not both.utterances:
            return {}
        return bootstrap.compare(both.labels, clean, both.probabilities, both.speakers)

    @property
    def change(self) -> float | None:
        """Change of UA from clean; None if clean, or if nothing was predicted."""
        both, clean = self.pair
        if self.condition == "clean" or not both.utterances:
            return None
        return both.scores.ua - score(both.labels, clean).ua

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        evaluation, compared = self.evaluation, self.changes.get("ua")
        found = bool(evaluation.utterances)
        recall = evaluation.scores.recall if found else [np.nan] * len(Emotion)
        return {
            "ua": self.ua if found else None,
            "interval": _ends(self.interval),
            "change": self.change,
            "change_interval": None if compared is None else _ends(compared.interval),
            "p": None if compared is None else compared.p,
            "ece": self.ece if found else None,
            "recall": dict(zip(map(str, Emotion), _plain(recall), strict=True)),
            "n_utterances": len(evaluation.utterances),
            "n_without_speech": len(evaluation.without_speech),
            "n_failures": len(evaluation.failures),
        }


@dataclass(frozen=True)
class MeanScores:
    """Mean over the corpora that have several emotions, in one condition.

    Attributes:
        condition: Name of the condition.
        ua: Mean UA, 0 to 1.
        ece: Mean ECE.
        change: Mean change of UA from clean; None if clean.
        interval: 95 % interval of the change: the speakers of each corpus are resampled
            by themselves. None if clean, or if a corpus has one speaker.
    """

    condition: str
    ua: float
    ece: float
    change: float | None = None
    interval: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the means as JSON values; None for those of missing predictions."""
        ua, ece = _plain([self.ua, self.ece])
        change = None if self.change is None else _plain([self.change])[0]
        ends = _ends(self.interval)
        return {"ua": ua, "change": change, "change_interval": ends, "ece": ece}


class ConditionMatrix:
    """Scores of one model in several conditions, on several corpora.

    Args:
        rows: The scores of each corpus in each condition, clean ones included.
    """

    def __init__(self, rows: Iterable[ConditionScores]) -> None:
        self.rows = {(row.corpus, row.condition): row for row in rows}
        self.corpora = list(dict.fromkeys(corpus for corpus, _ in self.rows))
        self.conditions = list(dict.fromkeys(name for _, name in self.rows))

    @property
    def model(self) -> Evaluation:
        """An evaluation, which names the model and the protocol."""
        return next(iter(self.rows.values())).evaluation

    def clean(self, corpus: str) -> Evaluation:
        """Return the evaluation of a corpus as it is."""
        return self._first(corpus).clean

    @cached_property
    def means(self) -> list[MeanScores]:
        """Means over corpora of several emotions; empty if those are fewer than two."""
        corpora = [
            corpus
            for corpus in self.corpora
            if len(self.rows[corpus, self.conditions[0]].emotions) > 1
        ]
        if len(corpora) < 2:
            return []
        return [
            _mean([self.rows[corpus, name] for corpus in corpora])
            for name in self.conditions
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the matrix as JSON values, by corpus and condition."""
        return {
            "schema": SCHEMA,
            "model": self.model.model,
            "model_version": self.model.model_version,
            "model_sha256": self.model.model_sha256,
            "protocol": self.model.protocol,
            "corpora": {
                corpus: {
                    "emotions": [str(e) for e in self._first(corpus).emotions],
                    "n_speakers": len(set(self._first(corpus).evaluation.speakers)),
                    "conditions": {
                        name: self.rows[corpus, name].to_dict()
                        for name in self.conditions
                    },
                }
                for corpus in self.corpora
            },
            "mean": {mean.condition: mean.to_dict() for mean in self.means},
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def _first(self, corpus: str) -> ConditionScores:
        return self.rows[corpus, self.conditions[0]]


def _mean(rows: Sequence[ConditionScores]) -> MeanScores:
    condition = rows[0].condition
    ua = float(np.mean([row.ua for row in rows]))
    ece = float(np.mean([row.ece for row in rows]))
    if condition == "clean":
        return MeanScores(condition, ua, ece)
    observed, resampled = zip(
        *(_differences(row, seed) for seed, row in enumerate(rows)), strict=True
    )
    interval = None
    if all(one is not None for one in resampled):
        interval = bootstrap.percentile_interval(np.mean(resampled, axis=0))
    return MeanScores(condition, ua, ece, float(np.mean(observed)), interval)


def _differences(row: ConditionScores, seed: int) -> tuple[float, Floats | None]:
    """Return the change of UA from clean, and the changes of resamples [R]."""
    both, clean = row.pair
    if not both.utterances:
        return np.nan, None
    after, before = (
        bootstrap.sums_by_speaker(utterance_sums(both.labels, p), both.speakers)
        for p in (both.probabilities, clean)
    )

    def change(times: Floats) -> Floats:
        a, b = (
            scores_from_sums(times @ sums, len(Emotion)) for sums in (after, before)
        )
        return a["ua"] - b["ua"]

    times = bootstrap.resample_speakers(both.speakers, seed)
    observed = float(change(np.ones((1, len(after))))[0])
    return observed, None if times is None else change(times)


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _plain(values: Sequence[float]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values]
