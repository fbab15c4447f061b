"""What a cross-validation found: every test answer of every fold and seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.scores.pooled import (
    Pool,
    Spread,
    compare_pools,
    measures,
    spread,
)
from espressivo.training.scores.statistics import (
    fit_temperature,
    score,
    softmax,
    to_logits,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.scores.evaluation import Failure
    from espressivo.training.scores.statistics import (
        Difference,
        Interval,
    )

    Names: TypeAlias = NDArray[np.str_]

Run: TypeAlias = tuple[str, int]
"""A fold's name, and a seed."""

FEW_SPEAKERS = 20
"""With fewer, a bootstrap over speakers gives too narrow an interval."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Test answers, a row a run and utterance.

    Attributes:
        folds: [N], each the fold that tested it.
        seeds: int [N].
        ids: [N], of the utterances.
        corpora: [N].
        speakers: [N].
        originals: [N], the corpus's own labels.
        labels: int [N], in the order of `Emotion`.
        probabilities: float64 [N, 4], in the order of `Emotion`.
    """

    folds: Names
    seeds: NDArray[np.int64]
    ids: Names
    corpora: Names
    speakers: Names
    originals: Names
    labels: NDArray[np.intp]
    probabilities: NDArray[np.float64]

    def where(self, wanted: NDArray[np.bool_] | NDArray[np.intp]) -> Answers:
        """Keep some rows, by mask, or by index in that order."""
        return Answers(**{name: rows[wanted] for name, rows in vars(self).items()})

    @property
    def pool(self) -> Pool:
        """All runs together, each utterance counting once."""
        _, index, n_runs = np.unique(self.ids, return_inverse=True, return_counts=True)
        weights = 1 / n_runs[index]
        return Pool(self.labels, self.probabilities, self.speakers.tolist(), weights)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results on the utterances that both answered.

    Attributes:
        differences: By score; empty with a single speaker.
        n_utterances: How many utterances both answered.
        n_speakers: How many speakers these have.
    """

    differences: dict[str, Difference]
    n_utterances: int
    n_speakers: int


@dataclass(frozen=True, eq=False)  # compared by its arrays
class Results:
    """A result folder's test answers, and what follows from them.

    A fold's score is the mean over its seeds; means and standard deviations are over
    these, never over folds times seeds. `pool` resamples speakers over all folds.

    Attributes:
        folder: Where it was read.
        name: Of the system, as in tables.
        protocol: `session`, `speaker-group`, `corpus` or `random`.
        planned_folds: Names of all folds, in order; some may not have been run.
        planned_seeds: All seeds.
        network: Kind of the network.
        n_parameters: Of the network; None when not said.
        n_trained: How many of them are trained; None when not said.
        unreadable: Clips left out because they could not be read.
        answers: Of the test parts.
        calm: Empty where no utterance is calm; else how they count: `as neutral`, or
            `left out` of the test.
        chosen_by_test: Whether a fold was validated on what it tests, so that its
            scores flatter it.
        validation: Answers of the validation parts; None where nothing validated.
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
    unreadable: tuple[Failure, ...]
    answers: Answers
    calm: str = ""
    chosen_by_test: bool = False
    validation: Answers | None = None
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def by_run(self) -> dict[Run, dict[str, float]]:
        """The measures of each finished run, folds and seeds in order."""
        a = self.answers
        finished = set(zip(a.folds.tolist(), a.seeds.tolist(), strict=True))
        runs = [(f, s) for f in self.planned_folds for s in self.planned_seeds]
        found = {}
        for run in [run for run in runs if run in finished]:
            rows = (a.folds == run[0]) & (a.seeds == run[1])
            found[run] = measures(score(a.labels[rows], a.probabilities[rows]))
        return found

    @property
    def folds(self) -> list[str]:
        """The folds of which at least one seed is finished, in order."""
        return list(dict.fromkeys(fold for fold, _ in self.by_run))

    def in_fold(self, fold: str, measure: str) -> Spread:
        """Mean and standard deviation over the finished seeds of one fold."""
        return spread([m[measure] for run, m in self.by_run.items() if run[0] == fold])

    def over_folds(self, measure: str) -> Spread:
        """Mean and standard deviation over folds, each being the mean of its seeds."""
        return spread([self.in_fold(fold, measure).mean for fold in self.folds])

    def by_seed(self, measure: str) -> dict[int, float]:
        """Mean over folds for each seed that finished all of `folds`."""
        return {
            seed: spread([self.by_run[fold, seed][measure] for fold in self.folds]).mean
            for seed in self.planned_seeds
            if all((fold, seed) in self.by_run for fold in self.folds)
        }

    @cached_property
    def pool(self) -> Pool:
        """All test answers, each utterance counting once however many seeds."""
        return self.answers.pool

    @cached_property
    def pooled(self) -> dict[str, float]:
        """The measures of all test answers together."""
        return measures(self.pool.scores)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of `pooled`, over speakers; empty for a single speaker."""
        return self.pool.intervals()

    @property
    def n_utterances(self) -> int:
        """How many utterances were tested."""
        return len(np.unique(self.answers.ids))

    @property
    def n_speakers(self) -> int:
        """How many speakers they have."""
        return len(np.unique(self.answers.speakers))

    @property
    def corpora(self) -> list[str]:
        """What was tested."""
        return sorted(set(self.answers.corpora.tolist()))

    @property
    def is_partial(self) -> bool:
        """Whether some planned run is not there."""
        return len(self.by_run) < len(self.planned_folds) * len(self.planned_seeds)

    @property
    def without_calm(self) -> Results | None:
        """The same scored without calm utterances; None where there are none."""
        kept = self.answers.originals != "calm"
        if kept.all() or not kept.any():
            return None
        return replace(self, answers=self.answers.where(kept), calm="left out")

    def calibrated(self) -> Results:
        """Return the same, each run at the temperature that suits its validation part.

        No answer changes, only how sure it is.

        Raises:
            CorpusError: A run validated nothing, or what it tests.
        """
        known, asked = self.validation, self.answers
        if known is None or self.chosen_by_test:
            raise CorpusError(
                f"{self.name}: has no validation part apart from the test to fit a "
                "temperature to; use a protocol that has one"
            )
        found = asked.probabilities.copy()
        for fold, seed in self.by_run:
            held = (known.folds == fold) & (known.seeds == seed)
            if not held.any():
                raise CorpusError(f"{self.name}, {fold}: nothing validated there")
            temperature = fit_temperature(
                to_logits(known.probabilities[held]), known.labels[held]
            )
            rows = (asked.folds == fold) & (asked.seeds == seed)
            found[rows] = softmax(to_logits(found[rows]), temperature)
        note = "each run at the temperature fitted to its validation part."
        cautions = [*self.card.get("cautions", ()), note]
        return replace(
            self,
            answers=replace(asked, probabilities=found),
            card={**self.card, "cautions": cautions},
        )

    def compare(self, other: Results) -> Comparison:
        """Say how much better this is than `other`, on what both answered.

        Raises:
            CorpusError: They have no utterance in common, or one has two labels.
        """
        mine, theirs = self.answers, other.answers
        mine = mine.where(np.isin(mine.ids, theirs.ids))
        theirs = theirs.where(np.isin(theirs.ids, mine.ids))
        if len(mine.ids) == 0:
            raise CorpusError(
                f"{self.name} and {other.name} tested no utterance in common; "
                "compare results on the same corpus"
            )
        if differ := _facts(mine) ^ _facts(theirs):
            raise CorpusError(
                f"{min(differ)[0]}: its label or speaker in {self.name} is not "
                f"that in {other.name}; compare results made with the same readers"
            )
        n_speakers = len(np.unique(mine.speakers))
        differences = compare_pools(theirs.pool, mine.pool)
        return Comparison(differences, len(np.unique(mine.ids)), n_speakers)

    def curves(self) -> dict[Run, list[float]]:
        """Read the validation UA of each epoch, of the runs that logged several.

        One epoch, as of a classifier in closed form, is no curve.
        """
        found = {}
        for fold, seed in self.by_run:
            path = self.folder / fold / f"seed-{seed}" / "metrics.jsonl"
            if len(values := _curve(path)) > 1:
                found[fold, seed] = values
        return found


def _facts(answers: Answers) -> set[tuple[str, int, str]]:
    return set(
        zip(
            answers.ids.tolist(),
            answers.labels.tolist(),
            answers.speakers.tolist(),
            strict=True,
        )
    )


def _curve(path: Path) -> list[float]:
    """Read the validation UA of each epoch; a run cut short may end in half a line."""
    values = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            value = json.loads(line).get("mean_recall")
        except ValueError:
            continue
        if value is not None:
            values.append(float(value))
    return values
