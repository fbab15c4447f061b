"""Tables that compare systems: paired tests of ours, and published results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.training.corpora import CORPORA
from espressivo.training.scores.bootstrap import holm
from espressivo.training.tables.build import ECE_NOTE, SCORES
from espressivo.training.tables.labels import (
    MEASURES,
    OVER_FOLDS,
    cautions,
    design_of,
    names_of,
    protocol_of,
    variant_heading,
    with_variants,
)
from espressivo.training.tables.published import (
    NOT_MEASURED,
    OTHERS,
    STUDY,
)
from espressivo.training.tables.table import Bounded, Column, Row, Table
from espressivo.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.corpora import ScoringVariant
    from espressivo.training.scores.crossval_results import Comparison, CrossvalResults
    from espressivo.training.tables.published import Published

# Only UA decides; p values of the others describe, so there is no correction
# over measures.
_COMPARED = ("wa", "ua", "macro_f1", "ece", *(f"ccc_{name}" for name in Dimension))


def comparison_table(
    results: Sequence[CrossvalResults], against: CrossvalResults
) -> Table:
    """Compare each system with one other, on the utterances that both predicted.

    Raises:
        CorpusError: A system tested none of the other's utterances.
    """
    results = [one for one in results if one.folder != against.folder]
    names = names_of([*results, against])
    other_name = names.pop()
    found = [
        (name, one, one.compare(against)) for name, one in with_variants(results, names)
    ]
    # Resampling whole speakers takes two or more; else there is no difference to show.
    found = [(name, one, c) for name, one, c in found if c.differences]
    rows: list[Row] = []
    for measure in _COMPARED:
        # Not every pair of systems predicts dimensions.
        shown = [each for each in found if measure in each[2].differences]
        corrected = _corrected(shown, measure)
        for (name, one, c), p in zip(shown, corrected, strict=True):
            d = c.differences[measure]
            value = Bounded(d.difference, d.interval.low, d.interval.high)
            counts = (c.n_utterances, c.n_speakers)
            cells = (name, one.treatment, protocol_of(one), MEASURES[measure], *counts)
            rows.append(Row((*cells, value, d.p, p), measure == "ua"))
    heading = variant_heading(one.variant for one in results)
    columns = (
        *map(Column, ("system", heading, "protocol", "measure", "utterances")),
        *(Column("speakers"), Column("difference", signed=True)),
        *(Column("p", digits=4), Column("p (Holm)", digits=4)),
    )
    both = [*results, against]
    return Table(
        "comparison",
        f"Difference from {other_name} ({protocol_of(against)})",
        columns,
        tuple(rows),
        (
            (
                "Pooled over folds, on the utterances that both answered; both are "
                "resampled alike, by whole speakers. In parentheses: 95 % interval."
            ),
            (
                "p: two-sided, how often resampling turns the sign; at least 0.001 "
                "(of ECE: from the interval). "
                "p (Holm): the same, corrected for the number of systems compared."
            ),
            "UA is the measure that decides; the others describe. " + ECE_NOTE,
        ),
        cautions=cautions(both, [*names, other_name]),
    ).without_empty()


def published_table(
    results: Sequence[CrossvalResults],
    published: Sequence[Published] = (*STUDY, *OTHERS),
) -> Table | None:
    """List published results on the tested corpora beside ours, which are bold.

    Returns:
        The table; None if there are no published results on these corpora.
    """
    names = names_of(results)
    tested = {corpus for one in results for corpus in one.corpora}
    # Numbers of other corpora beside ours would invite a false comparison.
    shown = [p for p in published if p.corpus in tested]
    rows = [
        Row(
            (
                p.system,
                p.source,
                NOT_MEASURED,
                p.corpus,
                variant.included if (variant := _variant(p)) else "",
                p.protocol,
                *(p.measures.get(measure) for measure in SCORES),
                p.size,
            )
        )
        for p in shown
    ]
    if not rows:
        return None
    rows += [
        Row(
            (
                name,
                str(one.folder.name),
                "measured",
                ", ".join(one.corpora),
                one.treatment,
                design_of(one),
                *(one.over_folds(measure) for measure in SCORES),
                f"{one.n_parameters:,} parameters" if one.n_parameters else "",
            ),
            strong=True,
        )
        for name, one in with_variants(results, names)
    ]
    variants = [one.variant for one in results]
    heading = variant_heading([*variants, *(_variant(p) for p in shown)])
    headings = (
        *("system", "source", "status", "tested on", heading, "protocol"),
        *(MEASURES[m] for m in SCORES),
        "size",
    )
    return Table(
        "published",
        "Published results beside ours",
        tuple(Column(name) for name in headings),
        tuple(rows),
        (
            (
                "Only bold rows were measured here. Compare rows of the same corpus "
                "and protocol only."
            ),
            OVER_FOLDS + " Where others publish ±, its divisor is not always known.",
        ),
        cautions=cautions(results, names),
    ).without_empty()


def _variant(published: Published) -> ScoringVariant | None:
    """Return the scoring variant that a published number includes, if any."""
    # The study's confusion matrix gives its accuracy on RAVDESS only with calm.
    corpus = CORPORA.get(published.corpus)
    return corpus.variants[0] if corpus and corpus.variants else None


def _corrected(
    found: Sequence[tuple[str, CrossvalResults, Comparison]], measure: str
) -> list[float]:
    """Apply Holm's correction to a measure, separately with and without variants."""
    # Holm's method over the systems of one measure. Scores without a variant are a
    # second analysis of the same systems, which must not make the first stricter.
    corrected = [0.0] * len(found)
    for treatment in {one.treatment for _, one, _ in found}:
        among = [i for i, (_, one, _) in enumerate(found) if one.treatment == treatment]
        p = holm([found[i][2].differences[measure].p for i in among])
        for i, value in zip(among, p, strict=True):
            corrected[i] = value
    return corrected
