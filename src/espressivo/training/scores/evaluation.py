"""An evaluation: a model's predictions for each utterance, and their scores."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import CorpusError
from espressivo.files.atomic import write_text
from espressivo.training.corpora import scoring_variants
from espressivo.training.scores import bootstrap, metrics
from espressivo.training.scores.dimensions import (
    RatedPredictions,
    rated_predictions,
    ratings_of,
)
from espressivo.types import Dimension, Emotion, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from espressivo.training.corpora import ScoringVariant
    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.scores.bootstrap import Interval, PairedDifference
    from espressivo.training.scores.metrics import Scores

SCHEMA = "espressivo.evaluation/1"
"""Name and version of the JSON that `Evaluation.to_dict` returns."""

SCORES = "scores.json"
"""File name of the scores that `Evaluation.write` writes."""

PREDICTIONS = "predictions.parquet"
"""File name of the table of predictions that `Evaluation.write` writes."""

RATED = "rated_"
"""Prefix of the column of a dimension's ratings, as in `rated_arousal`."""


# Attributes of an evaluation that `scores.json` holds as text.
_TEXTS = (
    "model",
    "model_version",
    "model_sha256",
    "protocol",
    "condition",
    "condition_key",
)

_TOLD = {
    "model_sha256": "model",
    "protocol": "protocol (clips, pipeline)",
    "condition": "condition",
    "condition_key": "set of noise recordings or voices",
}


@dataclass(frozen=True, eq=False)  # compared by its probabilities, which are an array
class Evaluation:
    """A model's predictions on labelled utterances.

    Attributes:
        model: Name of the model.
        model_version: Version of the model.
        model_sha256: SHA-256 of the model's graph.
        protocol: `clips` (trimmed recordings) or `pipeline` (with speech detection).
        utterances: Utterances with a prediction, in the corpus's order.
        probabilities: Predictions, float64 [N, 4], in the order of `Emotion`.
        without_speech: Utterances in which the pipeline found no speech; not scored.
        failures: Recordings that could not be read; not scored.
        condition: Name of the condition that the recordings were put in.
        condition_key: Hash of what the condition depends on; empty if `clean`.
        dimension_names: The model's dimensions; empty if it has none.
        dimensions: Their predictions, float64 [N, D], 0 to 1; None if it has none.
        learned_from: Names of the corpora that the model was trained on.
    """

    model: str
    model_version: str
    model_sha256: str
    protocol: str
    utterances: tuple[Utterance, ...]
    probabilities: NDArray[np.float64]
    without_speech: tuple[Utterance, ...] = ()
    failures: tuple[Unreadable, ...] = ()
    condition: str = "clean"
    condition_key: str = ""
    dimension_names: tuple[str, ...] = ()
    dimensions: NDArray[np.float64] | None = None
    learned_from: tuple[str, ...] = ()

    @property
    def labels(self) -> NDArray[np.intp]:
        """Index of each utterance's emotion in `Emotion`, int [N]; -1 without one."""
        return metrics.labels_of([u.emotion_name for u in self.utterances])

    @property
    def speakers(self) -> list[str]:
        """Speaker of each utterance."""
        return [u.speaker for u in self.utterances]

    @cached_property
    def scores(self) -> Scores:
        """Scores of all utterances together.

        Raises:
            CorpusError: No utterance has a prediction.
        """
        if not self.utterances:
            raise CorpusError(
                "not one utterance got an answer, so there is nothing to score; "
                + (self.failures[0].reason if self.failures else "no speech was found")
            )
        return metrics.score(self.labels, self.probabilities)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of the scores, over speakers; empty for a single speaker."""
        return bootstrap.intervals(self.labels, self.probabilities, self.speakers)

    @cached_property
    def rated(self) -> RatedPredictions | None:
        """The predicted dimensions that are rated; None if no utterance has ratings."""
        if self.dimensions is None:
            return None
        ratings = ratings_of(self.utterances, self.dimension_names)
        return rated_predictions(
            self.dimension_names, ratings, self.dimensions, self.speakers
        )

    @property
    def cautions(self) -> list[str]:
        """What its scores and intervals do not say, as sentences without capitals."""
        if not self.utterances:
            return []
        found = bootstrap.few_speakers(len(set(self.speakers)))
        if known := sorted({u.corpus for u in self.utterances} & {*self.learned_from}):
            found.append(
                f"{self.model} was trained on {', '.join(known)}: on speakers that it "
                "knows from there, scores say nothing about new ones."
            )
        absent = [
            e for e, r in zip(Emotion, self.scores.recall, strict=True) if isnan(r)
        ]
        if absent:
            found.append(
                f"no utterance is labelled {' or '.join(absent)}, so UA is the mean of "
                "the other recalls."
            )
        return found

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Confusion matrix in utterances, [4, 4]: rows actual, columns predicted."""
        return metrics.confusion_matrix(self.labels, self.probabilities)

    def select(self, wanted: Callable[[Utterance], bool]) -> Evaluation:
        """Return the evaluation of the `wanted` utterances only; failures stay."""
        kept = np.array([wanted(u) for u in self.utterances], bool)
        levels = self.dimensions
        return replace(
            self,
            utterances=tuple(u for u in self.utterances if wanted(u)),
            probabilities=self.probabilities[kept],
            dimensions=None if levels is None else levels[kept],
            without_speech=tuple(u for u in self.without_speech if wanted(u)),
        )

    def without(self, variant: ScoringVariant) -> Evaluation | None:
        """Return it without the utterances of a variant; None if there are none."""
        rest = self.select(lambda u: u.original != variant.label)
        differs = 0 < len(rest.utterances) < len(self.utterances)
        return rest if differs else None

    def to_dict(self) -> dict[str, Any]:
        """Return the scores and the unscored recordings as JSON values.

        `scores` is None if nothing was predicted.
        """
        without = {v.key_without: self.without(v) for v in scoring_variants()}
        return {
            "schema": SCHEMA,
            "model": self.model,
            "model_version": self.model_version,
            "model_sha256": self.model_sha256,
            "protocol": self.protocol,
            "condition": self.condition,
            "condition_key": self.condition_key,
            "corpora": sorted({u.corpus for u in self.utterances}),
            "learned_from": list(self.learned_from),
            "emotions": [str(emotion) for emotion in Emotion],
            **self._figures(),
            **{k: None if e is None else e._figures() for k, e in without.items()},  # noqa: SLF001 - of this class
            "without_speech": [u.id for u in self.without_speech],
            "failures": [
                {"id": f.id, "path": str(f.path), "reason": f.reason}
                for f in self.failures
            ],
        }

    def _figures(self) -> dict[str, Any]:
        if not self.utterances:
            return {"n_utterances": 0, "n_speakers": 0, "scores": None}
        return {
            "n_utterances": len(self.utterances),
            "n_speakers": len(set(self.speakers)),
            "scores": metrics.scores_to_dict(self.scores),
            "intervals": {k: [v.low, v.high] for k, v in self.intervals.items()},
            "confusion": self.confusion.tolist(),
            "cautions": self.cautions,
            "dimensions": None if self.rated is None else self.rated.to_dict(),
        }

    def to_json(self, indent: int | None = 2) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def write(self, folder: Path) -> None:
        """Write `predictions.parquet`, one row per utterance, and `scores.json`.

        Later tables are made from these files, without running the model again.
        """
        import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
        from pyarrow import parquet  # noqa: PLC0415

        folder.mkdir(parents=True, exist_ok=True)
        names, levels = self.dimension_names, self.dimensions
        columns = to_columns(self.utterances, self.probabilities, names, levels)
        parquet.write_table(pa.table(columns), folder / PREDICTIONS)
        # Last and whole: where it exists, the evaluation is complete.
        write_text(self.to_json() + "\n", folder / SCORES)

    def compare(self, folder: Path) -> dict[str, PairedDifference]:
        """Compare this evaluation with the one in `folder`, metric by metric.

        Only utterances that both predicted count; empty for a single speaker. Scores of
        dimensions, as `ccc_arousal`, are there if both predicted the same dimensions.

        Raises:
            CorpusError: `folder` has no predictions, or only on other utterances.
        """
        written = read_predictions(folder)
        both, other = self.paired(written.ids, written.probabilities)
        if not both.utterances:
            raise CorpusError(
                f"{folder}: holds predictions on other utterances only; "
                "compare evaluations of the same corpus"
            )
        found = bootstrap.compare(both.labels, other, both.probabilities, both.speakers)
        levels = written.dimensions
        same = written.dimension_names == self.dimension_names
        if levels is not None and same and (rated := both.rated) is not None:
            _, before = self.paired(written.ids, levels)
            shown = [self.dimension_names.index(name) for name in rated.names]
            found |= rated.compare(replace(rated, predicted=before[:, shown]))
        return found

    def paired(
        self, ids: Sequence[str], probabilities: NDArray[np.float64]
    ) -> tuple[Evaluation, NDArray[np.float64]]:
        """Return this evaluation and other predictions, of the utterances in both.

        The other evaluation may have failed on other recordings.

        Args:
            ids: Ids of the other predictions.
            probabilities: The other predictions [N, 4], or dimensions [N, D].
        """
        others = dict(zip(ids, probabilities, strict=True))
        both = self.select(lambda u: u.id in others)
        rows = [others[u.id] for u in both.utterances]
        return both, np.array(rows).reshape(-1, probabilities.shape[1])


def to_columns(
    utterances: Sequence[Utterance],
    probabilities: NDArray[np.float64],
    dimension_names: Sequence[str] = (),
    dimensions: NDArray[np.floating[Any]] | None = None,
) -> dict[str, Any]:
    """Return utterances and their predictions as columns of a table.

    Args:
        utterances: The N utterances.
        probabilities: float [N, 4].
        dimension_names: Names of the D dimensions. Each has two columns: the
            predictions, and the ratings (prefix `rated_`), NaN where one is missing.
        dimensions: float [N, D]; None without dimensions.
    """
    names = ("id", "corpus", "speaker", "session", "original")
    columns: dict[str, Any] = {
        name: [str(getattr(u, name)) for u in utterances] for name in names
    }
    columns["emotion"] = [u.emotion_name for u in utterances]
    order = [str(emotion) for emotion in Emotion]
    # For people who open the table; our own readers take the probabilities alone.
    columns["predicted"] = [order[i] for i in probabilities.argmax(1)]
    columns |= dict(zip(order, probabilities.T, strict=True))
    if dimensions is None:
        return columns
    ratings = ratings_of(utterances, dimension_names)
    for name, predicted, rated in zip(
        dimension_names, dimensions.T, ratings.T, strict=True
    ):
        columns |= {name: predicted.astype(np.float64), f"{RATED}{name}": rated}
    return columns


def read_evaluation(
    folder: Path, utterances: Sequence[Utterance], wanted: Mapping[str, str]
) -> Evaluation | None:
    """Read an evaluation that `Evaluation.write` wrote; None if there is none.

    Args:
        folder: The folder.
        utterances: The utterances that it has to be of.
        wanted: Some of `model_sha256`, `protocol`, `condition` and `condition_key` ->
            the value that the evaluation has to have.

    Raises:
        CorpusError: The evaluation is of other utterances, or another attribute
            differs, such as the model or the condition.
    """
    path = folder / SCORES
    if not path.is_file():
        return None
    by_id = {u.id: u for u in utterances}
    try:
        card = json.loads(path.read_text("utf-8"))
        found = read_predictions(folder)
        failures = [
            Unreadable(f["id"], Path(f["path"]), f["reason"]) for f in card["failures"]
        ]
        silent = card["without_speech"]
        unscored = {*silent, *(failure.id for failure in failures)}
        same = {*found.ids, *unscored} == by_id.keys()
        differing = [key for key, value in wanted.items() if card.get(key) != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path}: is no evaluation ({error}); remove the folder, or name another"
        ) from error
    if differing or not same:
        what = _TOLD[differing[0]] if differing else "set of recordings"
        raise CorpusError(
            f"{folder}: holds the evaluation of another {what}; name another --out, or "
            "remove the folder"
        )
    return Evaluation(
        utterances=tuple(by_id[i] for i in found.ids),
        probabilities=found.probabilities,
        dimension_names=found.dimension_names,
        dimensions=found.dimensions,
        without_speech=tuple(by_id[i] for i in silent),
        failures=tuple(failures),
        learned_from=tuple(card.get("learned_from", ())),
        **{key: card[key] for key in _TEXTS},
    )


@dataclass(frozen=True, eq=False)  # compared by its arrays
class Predictions:
    """The predictions of an evaluation, as `Evaluation.write` stores them.

    Attributes:
        ids: Ids of the utterances.
        labels: Actual classes, int [N], in the order of `Emotion`.
        probabilities: Predictions, float64 [N, 4], in the order of `Emotion`.
        dimension_names: The model's dimensions; empty if it has none.
        dimensions: Their predictions, float64 [N, D]; None if it has none.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    dimension_names: tuple[str, ...] = ()
    dimensions: NDArray[np.float64] | None = None


def read_predictions(folder: Path) -> Predictions:
    """Read the predictions that `Evaluation.write` wrote.

    Raises:
        CorpusError: The folder has no readable predictions.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    path = folder / PREDICTIONS
    order = [str(emotion) for emotion in Emotion]
    try:
        whole = parquet.read_table(path)
        names = dimension_columns(whole.column_names)
        table = whole.select(["id", "emotion", *order, *names]).to_pydict()
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise CorpusError(
            f"{path}: holds no predictions ({str(error).splitlines()[0]}); "
            "write them with `espressivo evaluate ... --out`"
        ) from error
    return Predictions(
        tuple(table["id"]),
        metrics.labels_of(table["emotion"]),
        np.column_stack([table[name] for name in order]).astype(np.float64),
        names,
        np.column_stack([table[n] for n in names]).astype(float) if names else None,
    )


def dimension_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the dimensions that a table has, in its order."""
    return tuple(name for name in columns if name in set(Dimension))
