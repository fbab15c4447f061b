"""Results of a cross-validation, finished or not: predictions and scores.

`read_results` reads them from the folder that `espressivo crossval` wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.corpora import scoring_variants
from espressivo.training.scores.crossval_card import read_crossval_card
from espressivo.training.scores.crossval_predictions import (
    CrossvalPredictions,
    Run,
    chosen_by_test,
    read_prediction_rows,
    require_sound,
    to_predictions,
)
from espressivo.training.scores.dimensions import AGREEMENT
from espressivo.training.scores.metrics import score
from espressivo.training.scores.pooled import (
    PooledPredictions,
    Spread,
    compare_pooled,
    measures,
    spread,
)
from espressivo.training.scores.temperature import (
    fit_temperature,
    softmax,
    to_logits,
)
from espressivo.types import Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from espressivo.training.corpora import ScoringVariant
    from espressivo.training.scores.bootstrap import Interval, PairedDifference


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of two results on the utterances that both predicted.

    Attributes:
        differences: Metric -> difference; empty with a single speaker.
        n_utterances: Number of utterances that both predicted.
        n_speakers: Number of speakers of these.
    """

    differences: dict[str, PairedDifference]
    n_utterances: int
    n_speakers: int


@dataclass(frozen=True, eq=False)  # compared by its arrays
class CrossvalResults:
    """The predictions in a result folder, and the scores that follow from them.

    The score of a fold is the mean over its seeds. Means and standard deviations are
    over folds, never over folds times seeds, since seeds of one fold are not
    independent. Intervals resample the speakers of all folds.

    Attributes:
        folder: The result folder.
        name: Name of the system in tables.
        protocol: `session`, `speaker-group`, `corpus` or `random`.
        planned_folds: Names of all folds, in order; some may not have been run.
        planned_seeds: All seeds.
        network: Kind of the network.
        n_parameters: Number of parameters of the network; None if not recorded.
        n_trained: Number of trained parameters; None if not recorded.
        unreadable: Clips left out because they could not be read.
        predictions: Predictions on the test parts.
        variant: The scoring variant whose utterances were tested, if there is one.
        is_without: Whether these utterances are left out of the test.
        chosen_by_test: Whether the test part of a fold also validated, so that its
            scores are optimistic.
        validation: Predictions on the validation parts; None if there are none.
        card: The whole `crossval.json`.
    """

    folder: Path
    name: str
    protocol: str
    planned_folds: tuple[str, ...]
    planned_seeds: tuple[int, ...]
    network: str
    n_parameters: int | None
    n_trained: int | None
    unreadable: tuple[Unreadable, ...]
    predictions: CrossvalPredictions
    variant: ScoringVariant | None = None
    is_without: bool = False
    chosen_by_test: bool = False
    validation: CrossvalPredictions | None = None
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def by_run(self) -> dict[Run, dict[str, float]]:
        """The measures of each finished run, folds and seeds in order."""
        a = self.predictions
        finished = set(zip(a.folds.tolist(), a.seeds.tolist(), strict=True))
        runs = [(f, s) for f in self.planned_folds for s in self.planned_seeds]
        found = {}
        for run in [run for run in runs if run in finished]:
            part = a.select((a.folds == run[0]) & (a.seeds == run[1]))
            found[run] = _measures(part, self.dimension_names)
        return found

    @cached_property
    def dimension_names(self) -> tuple[str, ...]:
        """Dimensions that are predicted and rated. Their measures: `ccc_arousal` ..."""
        rated = self.predictions.rated_pool
        return () if rated is None else rated.names

    @property
    def folds(self) -> list[str]:
        """The folds with at least one finished seed, in order."""
        return list(dict.fromkeys(fold for fold, _ in self.by_run))

    def in_fold(self, fold: str, measure: str) -> Spread:
        """Mean and standard deviation over the finished seeds of one fold."""
        return spread([m[measure] for run, m in self.by_run.items() if run[0] == fold])

    def over_folds(self, measure: str) -> Spread:
        """Mean and standard deviation over folds of the means over their seeds."""
        return spread([self.in_fold(fold, measure).mean for fold in self.folds])

    def by_seed(self, measure: str) -> dict[int, float]:
        """Mean over folds of each seed that has finished all of `folds`."""
        return {
            seed: spread([self.by_run[fold, seed][measure] for fold in self.folds]).mean
            for seed in self.planned_seeds
            if all((fold, seed) in self.by_run for fold in self.folds)
        }

    @cached_property
    def pool(self) -> PooledPredictions:
        """All test predictions; each utterance counts once, over all its seeds."""
        return self.predictions.pool

    @cached_property
    def pooled(self) -> dict[str, float]:
        """The measures of all test predictions together."""
        rated = self.predictions.rated_pool
        return measures(self.pool.scores) | ({} if rated is None else rated.scores)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of `pooled`, over speakers; empty for a single speaker."""
        rated = self.predictions.rated_pool
        return self.pool.intervals() | ({} if rated is None else rated.intervals())

    @property
    def n_utterances(self) -> int:
        """Number of utterances that were tested."""
        return len(np.unique(self.predictions.ids))

    @property
    def n_speakers(self) -> int:
        """Number of speakers that were tested."""
        return len(np.unique(self.predictions.speakers))

    @property
    def corpora(self) -> list[str]:
        """The corpora that were tested."""
        return sorted(set(self.predictions.corpora.tolist()))

    @property
    def is_partial(self) -> bool:
        """Whether some planned run is missing."""
        return len(self.by_run) < len(self.planned_folds) * len(self.planned_seeds)

    @property
    def treatment(self) -> str:
        """Table cell: the variant's utterances are included or not; may be empty."""
        if self.variant is None:
            return ""
        return self.variant.excluded if self.is_without else self.variant.included

    @property
    def without_variant(self) -> CrossvalResults | None:
        """Results without the variant's utterances; None if there are none."""
        if self.variant is None:
            return None
        kept = self.predictions.originals != self.variant.label
        if kept.all() or not kept.any():
            return None
        return replace(self, predictions=self.predictions.select(kept), is_without=True)

    def calibrated(self) -> CrossvalResults:
        """Return the results with a temperature per run, fitted to its validation part.

        Temperature scaling changes probabilities, never the predicted class.

        Raises:
            CorpusError: A run has no validation part, or validates on its test part.
        """
        known, tested = self.validation, self.predictions
        if known is None or self.chosen_by_test:
            raise CorpusError(
                f"{self.name}: has no validation part apart from the test to fit a "
                "temperature to; use a protocol that has one"
            )
        # One temperature a run: every run is another network.
        found = tested.probabilities.copy()
        for fold, seed in self.by_run:
            held = (known.folds == fold) & (known.seeds == seed) & (known.labels >= 0)
            if not held.any():
                raise CorpusError(f"{self.name}, {fold}: nothing validated there")
            # Logarithms of probabilities are logits up to a constant per row.
            temperature = fit_temperature(
                to_logits(known.probabilities[held]), known.labels[held]
            )
            rows = (tested.folds == fold) & (tested.seeds == seed)
            found[rows] = softmax(to_logits(found[rows]), temperature)
        note = "each run at the temperature fitted to its validation part."
        cautions = [*self.card.get("cautions", ()), note]
        return replace(
            self,
            predictions=replace(tested, probabilities=found),
            card={**self.card, "cautions": cautions},
        )

    def compare(self, other: CrossvalResults) -> Comparison:
        """Compare these results with `other` on the utterances that both predicted.

        Raises:
            CorpusError: The two have no utterance in common, or one has two labels.
        """
        mine, theirs = self.predictions, other.predictions
        mine = mine.select(np.isin(mine.ids, theirs.ids))
        # `mine` is reduced already, so both now have the same utterances.
        theirs = theirs.select(np.isin(theirs.ids, mine.ids))
        if len(mine.ids) == 0:
            raise CorpusError(
                f"{self.name} and {other.name} tested no utterance in common; "
                "compare results on the same corpus"
            )
        if differ := _labels(mine) ^ _labels(theirs):
            raise CorpusError(
                f"{min(differ)[0]}: its label or speaker in {self.name} is not "
                f"that in {other.name}; compare results made with the same readers"
            )
        n_speakers = len(np.unique(mine.speakers))
        # Theirs first: the difference is second less first.
        differences = compare_pooled(theirs.pool, mine.pool)
        ours, others = mine.rated_pool, theirs.rated_pool
        if ours is not None and others is not None and ours.names == others.names:
            differences |= ours.compare(others)
        return Comparison(differences, len(np.unique(mine.ids)), n_speakers)


def _measures(
    predictions: CrossvalPredictions, names: tuple[str, ...]
) -> dict[str, float]:
    """Return the measures of one run; those of a dimension without ratings are NaN."""
    a = predictions
    missing = {f"{s}_{name}": np.nan for name in names for s in AGREEMENT}
    rated = a.rated_pool
    dimensions = missing | ({} if rated is None else rated.scores)
    return measures(score(a.labels, a.probabilities)) | dimensions


def _labels(predictions: CrossvalPredictions) -> set[tuple[str, int, str]]:
    columns = (predictions.ids, predictions.labels, predictions.speakers)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def read_results(folder: Path) -> CrossvalResults:
    """Read a folder that `espressivo crossval` wrote, finished or not.

    Folds and seeds that are missing are left out, and the tables say so.

    Args:
        folder: Folder with `crossval.json` and `predictions.parquet`; the latter may
            be in `<fold>/seed-<n>/` for each run if the cross-validation was stopped.

    Raises:
        TrainingError: The folder has no results, a table is broken, or no fold is
            finished.
    """
    card = read_crossval_card(folder)
    planned, seeds = tuple(card["folds"]), tuple(map(int, card["seeds"]))
    test, validation = read_prediction_rows(folder, planned, seeds)
    predictions = to_predictions(test, folder)
    require_sound(predictions, planned, seeds, folder)
    originals = set(predictions.originals.tolist())
    unreadable = tuple(
        Unreadable(str(u["id"]), Path(u["path"]), str(u["reason"]))
        for u in card.get("unreadable", ())
    )
    return CrossvalResults(
        folder=folder,
        name=str(card["name"]),
        protocol=str(card["protocol"]),
        planned_folds=planned,
        planned_seeds=seeds,
        network=str(card.get("network", "")),
        n_parameters=card.get("n_parameters"),
        n_trained=card.get("n_trained"),
        unreadable=unreadable,
        predictions=predictions,
        variant=next((v for v in scoring_variants() if v.label in originals), None),
        chosen_by_test=chosen_by_test(test, validation),
        validation=to_predictions(validation, folder) if validation["id"] else None,
        card=card,
    )
