"""Tables of the study: rankings by corpus, intensity, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.corpora import find_corpus
from espressivo.training.fit.order import LEVELS, levels_of
from espressivo.training.folds.weights import balanced_weights
from espressivo.types import Dimension, Emotion
from research.dimensions.ranking import compare
from research.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from espressivo.training.scores.evaluation import Evaluation
    from espressivo.training.scores.metrics import Floats

_A, _H, _N, _S, _CALM = (*map(str, Emotion), "calm")
_ORDERS: dict[Dimension, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    Dimension.AROUSAL: {
        "high against low": ((_A, _H), (_S, _CALM)),
        "high against neutral": ((_A, _H), (_N,)),
        "neutral against sadness": ((_N,), (_S,)),
    },
    Dimension.VALENCE: {
        "happiness against anger": ((_H,), (_A,)),
        "happiness against sadness": ((_H,), (_S,)),
        "happiness against neutral": ((_H,), (_N,)),
    },
}
"""What should be higher than what."""

N_BINS = 10


def labels_of(evaluation: Evaluation) -> NDArray[np.str_]:
    """Return the emotion of each clip, with calm by itself."""
    return np.array(
        [
            _CALM if u.original == _CALM else str(u.emotion)
            for u in evaluation.utterances
        ]
    )


def values_of(evaluation: Evaluation, dimension: Dimension) -> Floats:
    """Return a dimension of each clip, 0 to 1."""
    assert evaluation.dimensions is not None  # the study has checked the names
    column = evaluation.dimension_names.index(dimension)
    values: Floats = evaluation.dimensions[:, column]
    return values


def by_probabilities(evaluation: Evaluation, dimension: Dimension) -> Floats:
    """Return the level that is expected by the emotions' probabilities, 0 to 1."""
    levels = np.array([LEVELS[dimension][emotion] for emotion in Emotion])
    expected: Floats = evaluation.probabilities @ (levels / 2)
    return expected


def ranking_tables(
    dimension: Dimension,
    evaluations: Mapping[str, Evaluation],
    by: Callable[[Evaluation, Dimension], Floats] = values_of,
    name: str = "",
) -> list[Table]:
    """Return the AUC between all clips, and the ranking within speakers, by corpus.

    Args:
        dimension: The dimension.
        evaluations: Predictions by name of the corpus.
        by: Function that returns the values to rank.
        name: Suffix of the tables' names.
    """
    auc = Table(f"{dimension}_auc{name}", f"{dimension}{name}: AUC", places=3)
    within = Table(
        f"{dimension}_within{name}",
        f"{dimension}{name}: share of a speaker's own pairs in the right order",
        places=3,
    )
    for order, (high, low) in _ORDERS[dimension].items():
        draws: tuple[list[Floats], list[Floats]] = ([], [])
        for corpus, found in evaluations.items():
            labels, speakers = labels_of(found), found.speakers
            sides = np.isin(labels, high), np.isin(labels, low)
            pairs = compare(by(found, dimension), *sides, speakers)
            for table, draw, all_draws in zip(
                (auc, within), (pairs.auc, pairs.within), draws, strict=True
            ):
                if np.isfinite(draw[0]):
                    row = table.rows.setdefault(find_corpus(corpus).title, {})
                    row[order] = Cell.of(draw)
                    all_draws.append(draw)
        for table, each in zip((auc, within), draws, strict=True):
            # Resampled independently in each corpus, so that the mean's interval is
            # over the speakers of these corpora, not over corpora.
            mean: Floats = np.mean(each, axis=0)
            table.rows.setdefault("mean", {})[order] = Cell.of(mean)
    for table in (auc, within):
        table.rows["mean"] = table.rows.pop("mean")  # last
    return [auc, within]


def intensity_table(found: Evaluation) -> Table:
    """Return how often strong intensity is above normal in RAVDESS.

    Clips of the same actor, sentence and emotion are compared.
    """
    codes = [u.id.rsplit("/", 1)[-1].split("-") for u in found.utterances]
    strong = np.array([code[3] == "02" for code in codes])
    labels = labels_of(found)
    same = [f"{code[2]} {code[4]} {code[6]}" for code in codes]  # emotion, text, actor
    table = Table(
        "intensity",
        "arousal: share of pairs of strong and normal intensity in the right order, "
        "same actor, sentence and emotion",
        places=3,
    )
    values = values_of(found, Dimension.AROUSAL)
    for label in (_A, _H, _S, _CALM):
        own = labels == label
        pairs = compare(
            values, strong & own, ~strong & own, found.speakers, matched=same
        )
        table.rows[label] = {"strong above normal": Cell.of(pairs.within)}
    emotional = np.isin(labels, (_A, _H, _S))
    sides = strong & emotional, ~strong & emotional
    pairs = compare(values, *sides, found.speakers, matched=same)
    table.rows["anger, happiness, sadness"] = {
        "strong above normal": Cell.of(pairs.within)
    }
    return table


def calibration_table(
    dimension: Dimension, evaluations: Mapping[str, Evaluation]
) -> Table:
    """Return mean values by level, and the gap between value and mean level.

    The gap is the expected calibration error in ten bins of equal width, every level
    counting the same.
    """
    table = Table(
        f"{dimension}_calibration",
        f"{dimension}: mean value by level, and calibration error (clips balanced by "
        "level)",
    )
    for corpus, found in evaluations.items():
        values = values_of(found, dimension)
        levels = levels_of(found.utterances, dimension)
        row = {
            name: Cell(float(values[levels == k].mean()))
            for k, name in enumerate(("low", "middle", "high"))
            if (levels == k).any()
        }
        row["calibration error"] = Cell(_gap(values, levels))
        table.rows[find_corpus(corpus).title] = row
    columns = ("low", "middle", "high", "calibration error")
    table.rows["mean"] = {
        name: Cell(
            float(
                np.mean([row[name].value for row in table.rows.values() if name in row])
            )
        )
        for name in columns
    }
    return table


def _gap(values: Floats, levels: NDArray[np.intp]) -> float:
    weights = balanced_weights(levels.tolist(), total=1.0)
    bins = np.minimum((values * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, weights * (values - levels / 2), N_BINS)
    return float(np.abs(gaps).sum())
