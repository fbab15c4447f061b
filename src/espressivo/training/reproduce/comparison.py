"""Tables that compare published numbers with the measured ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espressivo.training.corpora.ravdess import RAVDESS
from espressivo.training.tables import Bounded, Column, Row, Table
from espressivo.training.tables.build import SCORES, bounded, shares_of, stem_of
from espressivo.training.tables.labels import (
    INTERVALS,
    MEASURES,
    OVER_FOLDS,
    cautions,
    protocol_of,
)
from espressivo.training.tables.published import (
    NOT_MEASURED,
    STUDY_CONFUSION,
    Published,
)
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from espressivo.training.scores.crossval_results import CrossvalResults

_QUOTED = f"{NOT_MEASURED[0].upper()}{NOT_MEASURED[1:]}: what is not ours."
_ITS_SPREAD = "The published ± is over folds; its divisor is not said."
_VARIANT = RAVDESS.variants[0]
_VARIANT_NOTE = (
    f"The study's Fig. 1 counts {_VARIANT.title}: from its matrix WA is 0.431 so, and "
    f"0.497 {_VARIANT.title_without}, for which it prints no number."
)


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A measured result, and the published numbers of the same experiment.

    Attributes:
        title: Description of what was tested.
        published: Published numbers; None if there are none.
        results: Results that were measured here.
    """

    title: str
    published: Published | None
    results: CrossvalResults


def comparison_tables(
    name: str, title: str, pairs: Sequence[PublishedComparison]
) -> list[Table]:
    """Compare published scores with ours, in one table for each result and variant.

    Args:
        name: Stem of the tables' files.
        title: Title of all tables.
        pairs: Experiments; each table has the notes of all of them.
    """
    ways = [
        (pair, one)
        for pair in pairs
        for one in (pair.results, pair.results.without_variant)
        if one is not None
    ]
    has_variant = any(one.variant for _, one in ways)
    notes = (
        _QUOTED,
        *((_ITS_SPREAD,) if any(map(_has_spread, pairs)) else ()),
        OVER_FOLDS,
        INTERVALS,
        *((_VARIANT_NOTE,) if has_variant else ()),
    )
    found = cautions([pair.results for pair in pairs], [pair.title for pair in pairs])
    columns = (
        *map(Column, ("measure", "published", "ours")),
        Column("ours - published", signed=True),
        Column("ours, pooled"),
    )
    return [
        Table(
            f"{name}-{stem_of(one)}{_suffix(one)}",
            title,
            columns,
            tuple(_rows(pair.published, one)),
            notes,
            _about(pair.title, one),
            found,
        )
        for pair, one in ways
    ]


def table_two_comparison(plain: Mapping[str, Any]) -> Table:
    """Return the study's Table II, given the result of `TableTwo.to_dict`."""
    names = {"iemocap": "IEMOCAP", "crema-d": "CREMA-D"}
    heads = [head for name in names.values() for head in (name, f"{name}, study")]
    rows = []
    for emotion in map(str, Emotion):
        counts = (
            whose["counts"][name][emotion]
            for name in names
            for whose in (plain, plain["study"])
        )
        weights = (whose["weights"][emotion] for whose in (plain, plain["study"]))
        rows.append(Row((emotion, *counts, *weights)))
    return Table(
        "table-II",
        "Table II: utterances, and class weights averaged over the folds",
        tuple(map(Column, ("emotion", *heads, "class weight", "class weight, study"))),
        tuple(rows),
        (plain["verdict"],),
    )


def difference_table(
    name: str, pair: PublishedComparison, base: PublishedComparison
) -> Table:
    """Compare two results on the utterances that both predicted.

    Raises:
        CorpusError: The two have no utterance in common.
    """
    found = pair.results.compare(base.results)
    rows = []
    # With a single speaker there is nothing to resample, and so no difference.
    for measure in ("wa", "ua", "macro_f1") if found.differences else ():
        d = found.differences[measure]
        value = Bounded(d.difference, d.interval.low, d.interval.high)
        cells = (MEASURES[measure], value, d.p)
        rows.append(Row(cells, strong=measure == "ua"))
    columns = (Column("measure"), Column("difference", signed=True), Column("p", 4))
    return Table(
        f"{name}-difference-{stem_of(pair.results)}",
        f"Difference: {pair.title}, minus {base.title}",
        columns,
        tuple(rows),
        (
            (
                f"On the {found.n_utterances:,} utterances of {found.n_speakers} "
                "speakers that both answered, pooled; in parentheses the 95 % interval "
                "over speakers, both resampled alike. p: two-sided, at least 0.001."
            ),
        ),
        cautions=cautions([pair.results, base.results], [pair.title, base.title]),
    )


def confusion_comparison(pair: PublishedComparison) -> Table:
    """Compare the study's confusion matrix (Fig. 1) with ours, as shares by row."""
    # The printed matrix counts calm as neutral, so it stands beside both of ours.
    rows = [(f"study, {_VARIANT.title}", STUDY_CONFUSION)]
    rows += [
        (
            f"ours, {one.variant.label} {one.treatment}" if one.variant else "ours",
            shares_of(one.pool.confusion),
        )
        for one in (pair.results, pair.results.without_variant)
        if one is not None
    ]
    return Table(
        f"fig-1-confusion-{stem_of(pair.results)}",
        "Fig. 1: shares of the actual emotion that are taken for each",
        tuple(map(Column, ("whose", "actual", *map(str, Emotion)))),
        tuple(
            Row((whose, str(emotion), *shares), strong=whose.startswith("ours"))
            for whose, matrix in rows
            for emotion, shares in zip(Emotion, matrix.tolist(), strict=True)
        ),
        (_QUOTED,),
        (("tested", pair.title),),
        cautions([pair.results], [pair.title]),
    )


def _suffix(one: CrossvalResults) -> str:
    if one.variant is None or not one.is_without:
        return ""
    return "-" + one.variant.title_without.replace(" ", "-")


def _has_spread(pair: PublishedComparison) -> bool:
    measures = pair.published.measures if pair.published else {}
    return not all(math.isnan(s.sd) for s in measures.values())


def _about(title: str, one: CrossvalResults) -> tuple[tuple[str, str], ...]:
    about = [("tested", title), ("protocol", protocol_of(one))]
    if one.variant:
        about.append((one.variant.label, one.treatment))
    return tuple(about)


def _rows(published: Published | None, one: CrossvalResults) -> Iterator[Row]:
    for measure in SCORES:
        quoted = published.measures.get(measure) if published else None
        if one.is_without:
            quoted = None  # nothing is published of it
        ours = one.over_folds(measure)
        # Means over folds on both sides; studies publish no pooled scores.
        behind = None if quoted is None else ours.mean - quoted.mean
        cells = (MEASURES[measure], quoted, ours, behind, bounded(one, measure))
        yield Row(cells, strong=measure == "ua")
