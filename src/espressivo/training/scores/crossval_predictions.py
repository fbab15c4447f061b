"""Predictions of a cross-validation, read from its result folder and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.scores.crossval_card import CARD
from espressivo.training.scores.dimensions import (
    RatedPredictions,
    rated_predictions,
)
from espressivo.training.scores.evaluation import (
    PREDICTIONS,
    RATED,
    dimension_columns,
)
from espressivo.training.scores.metrics import labels_of
from espressivo.training.scores.pooled import PooledPredictions
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Names: TypeAlias = NDArray[np.str_]

Run: TypeAlias = tuple[str, int]
"""One run: the name of its fold, and its seed."""


@dataclass(frozen=True, eq=False)
class CrossvalPredictions:
    """Predictions of all runs, one row per run and utterance.

    Attributes:
        folds: Names of the runs' folds [N].
        seeds: Seeds of the runs, int [N].
        ids: Ids of the utterances [N].
        corpora: Corpora of the utterances [N].
        speakers: Speakers of the utterances [N].
        originals: The corpora's own labels [N].
        labels: Actual classes, int [N], in the order of `Emotion`; -1 for an
            utterance without one.
        probabilities: Predicted probabilities, float64 [N, 4], in the order of
            `Emotion`.
        dimension_names: Dimensions that are predicted; empty if none are.
        rated: Their ratings, float64 [N, D], 0 to 1; NaN where one is missing.
        dimensions: Their predictions, float64 [N, D], 0 to 1.
    """

    folds: Names
    seeds: NDArray[np.int64]
    ids: Names
    corpora: Names
    speakers: Names
    originals: Names
    labels: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    dimension_names: tuple[str, ...]
    rated: NDArray[np.float64]
    dimensions: NDArray[np.float64]

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> CrossvalPredictions:
        """Return the rows of a mask, or of indices in their order."""
        columns: dict[str, Any] = {
            name: column[rows]
            for name, column in vars(self).items()
            if isinstance(column, np.ndarray)
        }
        return replace(self, **columns)

    @property
    def pool(self) -> PooledPredictions:
        """The predictions of all runs; each utterance counts once."""
        return PooledPredictions(
            self.labels, self.probabilities, self.speakers.tolist(), self._weights
        )

    @property
    def rated_pool(self) -> RatedPredictions | None:
        """The rated dimensions of all runs, each utterance once; None without any."""
        return rated_predictions(
            self.dimension_names,
            self.rated,
            self.dimensions,
            self.speakers.tolist(),
            self._weights,
        )

    @property
    def _weights(self) -> NDArray[np.float64]:
        """One over the number of runs that tested the utterance, seeds or folds [N]."""
        _, index, n_runs = np.unique(self.ids, return_inverse=True, return_counts=True)
        weights: NDArray[np.float64] = 1 / n_runs[index]
        return weights


Columns: TypeAlias = dict[str, list[Any]]
"""A table read from Parquet: column name -> values."""


def read_prediction_rows(
    folder: Path, folds: tuple[str, ...], seeds: tuple[int, ...]
) -> tuple[Columns, Columns]:
    """Read the rows of the test parts, and those of the validation parts.

    Raises:
        TrainingError: A table is broken, or no fold is finished.
    """
    whole = folder / PREDICTIONS
    rows = _read_table(whole) if whole.is_file() else {}
    gathered = set(zip(rows.get("fold", ()), rows.get("seed", ()), strict=True))
    for fold, seed in product(folds, seeds):
        path = folder / fold / f"seed-{seed}" / PREDICTIONS
        # A killed crossval has put none of its runs together, or only earlier ones.
        if (fold, seed) not in gathered and path.is_file():
            for name, column in _read_table(path, fold, seed).items():
                rows.setdefault(name, []).extend(column)
    if "test" not in rows.get("part", ()):
        raise TrainingError(
            f"{folder}: no fold is finished; run the same `espressivo crossval` again, "
            "which goes on where it stopped"
        )
    return _part(rows, "test"), _part(rows, "validation")


def _part(rows: Columns, name: str) -> Columns:
    kept = [i for i, part in enumerate(rows["part"]) if part == name]
    return {key: [column[i] for i in kept] for key, column in rows.items()}


def _read_table(path: Path, fold: str = "", seed: int = 0) -> Columns:
    """Read one table; the table of a single run may lack columns of fold and seed."""
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    names = [
        "part",
        "id",
        "corpus",
        "speaker",
        "emotion",
        "original",
        *map(str, Emotion),
    ]
    if not fold:
        names = ["fold", "seed", *names]
    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TrainingError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}); run the same "
            "`espressivo crossval` again"
        ) from error
    if absent := [name for name in names if name not in table.column_names]:
        raise TrainingError(
            f"{path}: has no column {', '.join(absent)}; a table of crossval has "
            f"{', '.join(names)}"
        )
    for name in dimension_columns(table.column_names):
        names += [name, f"{RATED}{name}"]
    columns: Columns = table.select(names).to_pydict()
    if fold:
        columns |= {"fold": [fold] * len(table), "seed": [seed] * len(table)}
    return columns


def chosen_by_test(test: Columns, validation: Columns) -> bool:
    """Return whether the test part of a fold was also its validation part."""
    first, second = (
        set(zip(part["fold"], part["id"], strict=True)) for part in (test, validation)
    )
    return not first.isdisjoint(second)


def to_predictions(table: Columns, path: Path) -> CrossvalPredictions:
    """Convert rows to arrays that are sorted by utterance, fold and seed.

    Raises:
        TrainingError: An emotion is not one of the four.
    """
    order = [*map(str, Emotion)]
    if strange := set(table["emotion"]) - {"", *order}:
        raise TrainingError(
            f"{path}: emotions {', '.join(sorted(map(str, strange)))}, not only "
            f"{', '.join(order)}; run crossval again"
        )
    originals = [str(o or "") for o in table["original"]]
    n, names = len(table["id"]), dimension_columns(list(table))
    found = CrossvalPredictions(
        folds=np.array(table["fold"], np.str_),
        seeds=np.array(table["seed"], np.int64),
        ids=np.array(table["id"], np.str_),
        corpora=np.array(table["corpus"], np.str_),
        speakers=np.array(table["speaker"], np.str_),
        originals=np.array(originals, np.str_),
        labels=labels_of(table["emotion"]),
        probabilities=np.column_stack([table[e] for e in order]).astype(np.float64),
        dimension_names=names,
        rated=_matrix([table[f"{RATED}{name}"] for name in names], n),
        dimensions=_matrix([table[name] for name in names], n),
    )
    # Sums in one order are the same to the last digit, whoever wrote the rows first.
    # lexsort sorts by its last key first.
    return found.select(np.lexsort((found.seeds, found.folds, found.ids)))


def _matrix(columns: list[list[Any]], n: int) -> NDArray[np.float64]:
    """Return D columns of n values as [n, D]; None becomes NaN."""
    return np.array(columns, np.float64).reshape(-1, n).T


def require_sound(
    predictions: CrossvalPredictions,
    folds: tuple[str, ...],
    seeds: tuple[int, ...],
    path: Path,
) -> None:
    """Raise an error for tables that would give wrong scores unnoticed.

    Raises:
        TrainingError: A row is of an unplanned run, probabilities do not sum to 1, a
            run tests an utterance twice, or two seeds test different utterances.
    """
    a = predictions
    if strange := set(a.folds.tolist()) - set(folds):
        raise TrainingError(
            f"{path}: fold {min(strange)} is none of {CARD}; run crossval again"
        )
    if extra := set(a.seeds.tolist()) - set(seeds):
        raise TrainingError(
            f"{path}: seed {min(extra)} is none of {CARD}; run crossval again"
        )
    if not np.allclose(a.probabilities.sum(1), 1, atol=1e-3):  # NaN is not close
        raise TrainingError(
            f"{path}: probabilities do not sum to 1 in every row; run crossval again"
        )
    # Means over seeds need the same utterances in each.
    rows = list(zip(a.folds.tolist(), a.seeds.tolist(), a.ids.tolist(), strict=True))
    tested: dict[Run, set[str]] = {}
    for fold, seed, id_ in rows:
        tested.setdefault((fold, seed), set()).add(id_)
    if sum(map(len, tested.values())) < len(rows):
        raise TrainingError(
            f"{path}: a run tests an utterance twice; run crossval again"
        )
    for fold, seed in sorted(tested):
        ids = tested[fold, seed]
        other = min(s for f, s in tested if f == fold)
        first = tested[fold, other]
        if ids != first:
            raise TrainingError(
                f"{path}: in fold {fold}, seeds {other} and {seed} do not test the "
                f"same utterances ({len(first)} and {len(ids)}); run crossval again"
            )
