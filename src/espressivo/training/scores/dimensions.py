"""Agreement of predicted dimensions with listeners' ratings: CCC, RMSE, Pearson.

As in `metrics`, every score follows from sums over utterances, so that a bootstrap over
speakers only adds up rows again.

Source: Lin (1989), "A concordance correlation coefficient to evaluate reproducibility".
Its variances and covariance are divided by n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.training.scores.bootstrap import (
    Interval,
    PairedDifference,
    percentile_interval,
    resample_speakers,
    sums_by_speaker,
    two_sided,
)
from espressivo.training.scores.metrics import Floats, ratio
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.training.corpora.utterance import Utterance

AGREEMENT = ("ccc", "rmse", "pearson")
"""Names of the scores of one dimension."""

_N_SUMS = 6  # of a dimension: n, x, y, x^2, y^2, xy
_LEAST_VARIANCE = 1e-12  # less is rounding: the values are 0 to 1


@dataclass(frozen=True, eq=False)  # compared by its arrays
class RatedPredictions:
    """Predicted dimensions beside the ratings of the same utterances.

    Scores have the names `ccc_arousal`, `rmse_arousal`, `pearson_arousal` and so on.
    CCC is NaN with fewer than two ratings, and 0 if the predictions are constant;
    Pearson's correlation is NaN there.

    Attributes:
        names: Names of the D dimensions.
        rated: Ratings, float64 [N, D], 0 to 1; NaN where one is missing.
        predicted: Predictions, float [N, D], 0 to 1.
        speakers: Names of the speakers [N].
        weights: One over the number of runs that predicted the utterance, float [N];
            all 1 if None.
    """

    names: tuple[str, ...]
    rated: Floats
    predicted: NDArray[np.floating[Any]]
    speakers: Sequence[str]
    weights: Floats | None = None

    @property
    def n_rated(self) -> dict[str, int]:
        """Number of rows with a rating, by dimension."""
        counts = (~np.isnan(self.rated)).sum(0).tolist()
        return dict(zip(self.names, counts, strict=True))

    @property
    def sums(self) -> Floats:
        """Sums from which scores are computed, by speaker [S, K]."""
        return sums_by_speaker(self._rows, self.speakers)

    @property
    def scores(self) -> dict[str, float]:
        """Scores of all rows together."""
        values = self._scores_from(self._rows.sum(0)[None])
        return {name: float(value[0]) for name, value in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return scores, intervals and counts by dimension, as JSON values."""
        scores, intervals = self.scores, self.intervals()
        found: dict[str, Any] = {}
        for name, n in self.n_rated.items():
            values = {score: scores[f"{score}_{name}"] for score in AGREEMENT}
            ends = {score: intervals.get(f"{score}_{name}") for score in AGREEMENT}
            found[name] = {
                "n_rated": n,
                **{k: None if np.isnan(v) else v for k, v in values.items()},
                "intervals": {
                    k: [v.low, v.high]
                    for k, v in ends.items()
                    if v is not None and not np.isnan(v.low)
                },
            }
        return found

    def intervals(self, seed: int = 0) -> dict[str, Interval]:
        """Return the 95 % interval of every score, as `bootstrap.intervals` does."""
        times = resample_speakers(self.speakers, seed)
        if times is None:
            return {}
        values = self._scores_from(times @ self.sums)
        return {name: percentile_interval(v) for name, v in values.items()}

    def compare(
        self, other: RatedPredictions, seed: int = 0
    ) -> dict[str, PairedDifference]:
        """Compare these with other predictions of the same utterances, score by score.

        The difference is this score minus the other; paired, as `bootstrap.compare`.
        Scores that are not defined are left out; for a single speaker, all are.
        """
        times = resample_speakers(self.speakers, seed)
        if times is None:
            return {}
        mine = self._scores_from(times @ self.sums)
        theirs = other._scores_from(times @ other.sums)
        observed, before = self.scores, other.scores
        found = {}
        for name, values in mine.items():
            apart = values - theirs[name]
            if np.isnan(observed[name] - before[name]):
                continue
            found[name] = PairedDifference(
                observed[name] - before[name],
                percentile_interval(apart),
                two_sided(apart[~np.isnan(apart)]),
            )
        return found

    @property
    def _rows(self) -> Floats:
        """The summands of all scores, a row per utterance [N, D * 6]."""
        known = ~np.isnan(self.rated)
        # Around the middle of the scale, a sum of squares loses fewer digits.
        x = np.where(known, self.predicted, 0.5).astype(np.float64) - 0.5
        y = np.where(known, self.rated, 0.5) - 0.5
        parts = np.stack([known, x, y, x * x, y * y, x * y], axis=2)
        rows: Floats = parts.reshape(len(parts), -1)
        return rows if self.weights is None else rows * self.weights[:, None]

    def _scores_from(self, sums: Floats) -> dict[str, Floats]:
        """Turn R rows of sums into scores, [R] each."""
        values = _agreement(sums.reshape(len(sums), len(self.names), _N_SUMS))
        return {
            f"{score}_{name}": values[score][:, i]
            for i, name in enumerate(self.names)
            for score in AGREEMENT
        }


def rated_predictions(
    names: Sequence[str],
    rated: Floats,
    predicted: NDArray[np.floating[Any]],
    speakers: Sequence[str],
    weights: Floats | None = None,
) -> RatedPredictions | None:
    """Return the dimensions of which any row is rated; None if there are none.

    The arguments are the attributes of `RatedPredictions`.
    """
    shown = [i for i in range(len(names)) if not np.isnan(rated[:, i]).all()]
    if not shown:
        return None
    kept = tuple(names[i] for i in shown)
    return RatedPredictions(
        kept, rated[:, shown], predicted[:, shown], speakers, weights
    )


def ratings_of(utterances: Sequence[Utterance], names: Sequence[str]) -> Floats:
    """Return the ratings [N, D] of the named dimensions; NaN where one is missing."""
    # An utterance without ratings has None, which has no such attribute.
    rows = [[getattr(u.ratings, name, np.nan) for name in names] for u in utterances]
    return np.array(rows, np.float64).reshape(len(utterances), len(names))


def votes_of(utterances: Sequence[Utterance]) -> Floats:
    """Return the shares of the listeners' votes [N, 4]; NaN for rows without votes."""
    rows = [u.votes or [np.nan] * len(Emotion) for u in utterances]
    return np.array(rows, np.float64).reshape(-1, len(Emotion))


def mean_ccc(rated: RatedPredictions) -> float:
    """Return the mean CCC over dimensions that have one; NaN if none has."""
    scores = rated.scores
    found = [scores[f"ccc_{name}"] for name in rated.names]
    known = [value for value in found if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _agreement(sums: Floats) -> dict[str, Floats]:
    """Return the scores [R, D] of sums [R, D, 6]."""
    n, *totals = np.moveaxis(sums, 2, 0)
    x, y, xx, yy, xy = (ratio(total, n) for total in totals)
    var_x, var_y = xx - x * x, yy - y * y
    var_x, var_y = (np.where(v < _LEAST_VARIANCE, 0, v) for v in (var_x, var_y))
    covariance = np.where((var_x > 0) & (var_y > 0), xy - x * y, 0)
    ccc = ratio(2 * covariance, var_x + var_y + (x - y) ** 2)
    # Of one utterance there is no variance to agree on. Weights sum to whole numbers
    # of utterances, give or take a rounding.
    ccc = np.where(n > 1.5, ccc, np.nan)
    pearson = ratio(covariance, np.sqrt(var_x * var_y))
    rmse = np.sqrt(np.maximum(xx + yy - 2 * xy, 0))
    return {"ccc": ccc, "rmse": rmse, "pearson": pearson}
