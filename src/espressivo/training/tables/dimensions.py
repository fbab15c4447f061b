"""Table of dimensions: agreement of predictions with listeners' ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.tables.build import bounded
from espressivo.training.tables.labels import (
    INTERVALS,
    OVER_FOLDS,
    cautions,
    names_of,
    protocol_of,
)
from espressivo.training.tables.table import Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.scores.crossval_results import CrossvalResults

_SCALE = (
    "CCC: concordance correlation coefficient (Lin 1989), 1 is perfect agreement. "
    "Predictions and ratings are from 0 to 1, and so is RMSE."
)


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
                _n_rated(one, dimension),
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
        (_SCALE, OVER_FOLDS, INTERVALS, *cautions(shown, names)),
    )


def _n_rated(results: CrossvalResults, dimension: str) -> int:
    # Ids, not rows: there is a row for each seed.
    a = results.predictions
    rows = ~np.isnan(a.rated[:, a.dimension_names.index(dimension)])
    return len(np.unique(a.ids[rows]))
