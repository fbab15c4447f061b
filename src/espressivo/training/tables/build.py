"""Tables of cross-validation results: scores by system, fold, class and dimension."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.pooled import spread
from espressivo.training.tables.labels import (
    INTERVALS,
    MEASURES,
    OVER_FOLDS,
    cautions,
    design_of,
    names_of,
    protocol_of,
    variant_heading,
    with_variants,
)
from espressivo.training.tables.table import Bounded, Column, Row, Table
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.training.scores.crossval_results import CrossvalResults
    from espressivo.training.scores.metrics import Floats

# WA, UA, macro F1 and F1 per class are the columns of the study's Table I.
_F1 = tuple(f"f1_{emotion}" for emotion in Emotion)
SCORES = ("wa", "ua", "macro_f1", *_F1)
_POOLED = (
    "With several seeds, counts are averaged over them, not probabilities: no ensemble."
)
ECE_NOTE = (
    "ECE: expected calibration error over 15 bins, less is better; its interval is an "
    "inverted bootstrap test, since chance raises an ECE."
)
_SCALE = (
    "CCC: concordance correlation coefficient (Lin 1989), 1 is perfect agreement. "
    "Predictions and ratings are from 0 to 1, and so is RMSE."
)


def main_table(results: Sequence[CrossvalResults]) -> Table:
    """Return the main table: a row per system, two if there is a scoring variant."""
    names = names_of(results)
    rows = tuple(
        Row(
            (
                name,
                one.treatment,
                design_of(one),
                ", ".join(one.corpora),
                len(one.planned_seeds),
                one.n_utterances,
                one.n_speakers,
                *(one.over_folds(measure) for measure in SCORES),
                bounded(one, "ua"),
                one.over_folds("ece"),
                one.n_parameters,
                one.n_trained,
                len(one.unreadable),
            )
        )
        for name, one in with_variants(results, names)
    )
    heading = variant_heading(one.variant for one in results)
    headings = (
        *("system", heading, "protocol", "tested on", "seeds"),
        *("utterances", "speakers", *(MEASURES[m] for m in SCORES)),
        *("UA pooled", "ECE", "parameters", "trained", "unreadable"),
    )
    return Table(
        "main",
        "Cross-validation",
        tuple(Column(name) for name in headings),
        rows,
        (OVER_FOLDS, INTERVALS, ECE_NOTE),
        cautions=cautions(results, names),
    ).without_empty()


def interval_table(results: Sequence[CrossvalResults]) -> Table:
    """Return each system's pooled test scores with 95 % intervals."""
    names = names_of(results)
    measures = (*SCORES, "ece")
    rows = tuple(
        Row(
            (
                name,
                one.treatment,
                protocol_of(one),
                *(bounded(one, m) for m in measures),
            )
        )
        for name, one in with_variants(results, names)
    )
    heading = variant_heading(one.variant for one in results)
    headings = ("system", heading, "protocol", *(MEASURES[m] for m in measures))
    return Table(
        "intervals",
        "All test answers together (pooled)",
        tuple(Column(name) for name in headings),
        rows,
        (INTERVALS, _POOLED, ECE_NOTE),
        cautions=cautions(results, names),
    ).without_empty()


def fold_table(results: CrossvalResults) -> Table:
    """Return scores by fold, by seed over all folds, and over all folds and seeds."""
    rows = [_fold_row(results, fold) for fold in results.planned_folds]
    measures = (*SCORES, "ece")
    n, speakers = results.n_utterances, results.n_speakers
    over = tuple(results.over_folds(m) for m in measures)
    rows.append(Row(("mean over folds", n, speakers, *over), strong=True))
    notes = [OVER_FOLDS, ECE_NOTE]
    if len(results.planned_seeds) > 1:
        by_seed = {m: results.by_seed(m) for m in measures}
        for seed in by_seed["ua"]:
            cells = (by_seed[m][seed] for m in measures)
            rows.append(Row((f"seed {seed}, mean over folds", n, speakers, *cells)))
        seeds = (spread(list(by_seed[m].values())) for m in measures)
        rows.append(Row(("over seeds", n, speakers, *seeds)))
        # Directly below the other note on ±, which has another meaning there.
        notes.insert(
            1,
            "In the row of a fold and in the row over seeds, ± is the sample standard "
            "deviation over seeds.",
        )
    headings = ("fold", "utterances", "speakers", *(MEASURES[m] for m in measures))
    return Table(
        f"folds-{stem_of(results)}",
        "Folds",
        tuple(Column(name) for name in headings),
        tuple(rows),
        tuple(notes),
        _about(results),
        cautions([results], [results.name]),
    )


def class_table(results: Sequence[CrossvalResults]) -> Table:
    """Return a table of recall and F1 per emotion."""
    names = names_of(results)
    rows = tuple(
        Row(
            (
                name,
                one.treatment,
                protocol_of(one),
                str(emotion),
                _n_utterances(one, one.predictions.labels == i),
                one.over_folds(f"recall_{emotion}"),
                bounded(one, f"recall_{emotion}"),
                one.over_folds(f"f1_{emotion}"),
                bounded(one, f"f1_{emotion}"),
            )
        )
        for name, one in with_variants(results, names)
        for i, emotion in enumerate(Emotion)
    )
    heading = variant_heading(one.variant for one in results)
    headings = (
        *("system", heading, "protocol", "emotion", "utterances"),
        *("recall", "recall pooled", "F1", "F1 pooled"),
    )
    return Table(
        "emotions",
        "Recall and F1 of each emotion",
        tuple(Column(name) for name in headings),
        rows,
        (OVER_FOLDS, INTERVALS),
        cautions=cautions(results, names),
    ).without_empty()


def dimension_table(results: Sequence[CrossvalResults]) -> Table | None:
    """Return CCC, RMSE and Pearson's r by system and dimension; None without ratings.

    A result without predicted and rated dimensions has no row.
    """
    shown = [one for one in results if one.dimension_names]
    if not shown:
        return None
    names = names_of(shown)
    rows = tuple(
        Row(
            (
                name,
                protocol_of(one),
                ", ".join(one.corpora),
                dimension,
                _n_utterances(one, _is_rated(one, dimension)),
                one.n_speakers,
                one.over_folds(f"ccc_{dimension}"),
                bounded(one, f"ccc_{dimension}"),
                bounded(one, f"rmse_{dimension}"),
                bounded(one, f"pearson_{dimension}"),
            )
        )
        for name, one in zip(names, shown, strict=True)
        for dimension in one.dimension_names
    )
    headings = (
        *("system", "protocol", "tested on", "dimension", "utterances", "speakers"),
        *("CCC", "CCC pooled", "RMSE pooled", "Pearson pooled"),
    )
    return Table(
        "dimensions",
        "Dimensions, against listeners' ratings",
        tuple(Column(name) for name in headings),
        rows,
        (_SCALE, OVER_FOLDS, INTERVALS),
        cautions=cautions(shown, names),
    )


def confusion_table(results: CrossvalResults) -> Table:
    """Return the confusion matrix over all folds, as shares of the actual class."""
    rows = [
        Row(
            (
                one.treatment,
                str(emotion),
                _n_utterances(one, one.predictions.labels == i),
                *shares,
            )
        )
        for _, one in with_variants([results], [results.name])
        for i, (emotion, shares) in enumerate(
            zip(Emotion, shares_of(one.pool.confusion).tolist(), strict=True)
        )
    ]
    heading = variant_heading([results.variant])
    headings = (heading, "actual", "utterances", *(f"taken for {e}" for e in Emotion))
    return Table(
        f"confusion-{stem_of(results)}",
        "Confusion",
        tuple(Column(name) for name in headings),
        tuple(rows),
        ("Confusion: shares of the actual emotion; all folds, mean over seeds.",),
        _about(results),
        cautions([results], [results.name]),
    ).without_empty()


def bounded(results: CrossvalResults, measure: str) -> Bounded:
    """Return a pooled measure with its 95 % interval over speakers."""
    value = results.pooled[measure]
    interval = results.intervals.get(measure)
    # With a single speaker there is nothing to resample, and so no interval.
    return Bounded(value, interval.low, interval.high) if interval else Bounded(value)


def shares_of(confusion: Floats) -> Floats:
    """Divide the rows of a confusion matrix [C, C] by their sums."""
    # A class without utterances gets zeros, not NaN.
    shares: Floats = confusion / np.maximum(confusion.sum(1, keepdims=True), 1e-9)
    return shares


def stem_of(results: CrossvalResults) -> str:
    """Return a file name that is valid on every file system."""
    # Resolved, since a folder passed as `.` has no name before that.
    return re.sub(r"[^\w.-]+", "-", results.folder.resolve().name)


def _fold_row(results: CrossvalResults, fold: str) -> Row:
    measures = (*SCORES, "ece")
    if fold not in results.folds:
        return Row((f"{fold} (not finished)", *(None for _ in (0, 1, *measures))))
    rows = results.predictions.folds == fold
    # Several seeds predict the same utterances, which count once.
    n_speakers = len(np.unique(results.predictions.speakers[rows]))
    counts = (_n_utterances(results, rows), n_speakers)
    return Row((fold, *counts, *(results.in_fold(fold, m) for m in measures)))


def _is_rated(results: CrossvalResults, dimension: str) -> NDArray[np.bool_]:
    a = results.predictions
    return ~np.isnan(a.rated[:, a.dimension_names.index(dimension)])


def _n_utterances(results: CrossvalResults, rows: NDArray[np.bool_]) -> int:
    # Ids, not rows: there is a row for each seed.
    return len(np.unique(results.predictions.ids[rows]))


def _about(results: CrossvalResults) -> tuple[tuple[str, str], ...]:
    tested = ", ".join(results.corpora)
    design = design_of(results)
    return (("system", results.name), ("tested on", tested), ("protocol", design))
