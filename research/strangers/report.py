"""Join the evaluations of models that each left one corpus out.

    python -m research.strangers.report RUNS --data DIR [--against DIR]

RUNS holds, for each corpus, `CORPUS/model` (the model that never met it) and
`scores/CORPUS/CONDITION` (what `espressivo evaluate --conditions --out RUNS/scores`
wrote of it). DIR is $ESPRESSIVO_DATA. Prints tables in Markdown: UA by corpus and
condition with the mean change from clean recordings; calibration and certainty, with
temperature and threshold of each model, which saw the other corpora only; what each
emotion is taken for. With --against, the paired difference from other evaluations in
the same layout, corpus by corpus.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import CorpusError
from espressivo.model.classifier import read_card
from espressivo.training.corpora import read_corpus
from espressivo.training.corpora.utterance import select_speakers
from espressivo.training.figures.selective import plot_risk_coverage
from espressivo.training.folds.weights import balanced_weights
from espressivo.training.scores import bootstrap
from espressivo.training.scores.conditions import (
    ConditionMatrix,
    ConditionScores,
    MeanScores,
)
from espressivo.training.scores.evaluation import Evaluation, read_evaluation
from espressivo.training.scores.selective import RiskCoverage, risk_coverage
from espressivo.types import Emotion
from research.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.scores.bootstrap import Interval

READERS = "librispeech"


def main() -> None:
    """Parse the arguments and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--against", type=Path, metavar="DIR")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="risk and coverage")
    raise SystemExit(run(_report, parser.parse_args()))


def _report(args: argparse.Namespace) -> int:
    matrix = read_matrix(args.runs / "scores", args.data)
    curves, overall = risk_coverages(matrix)
    for table in (
        condition_table(matrix),
        certainty_table(matrix, curves, args.runs),
        confusion_table(matrix),
    ):
        print("\n".join(table), end="\n\n")
    if args.plot:
        plot_risk_coverage(curves, overall, None, args.plot)
    if args.against:
        other = read_matrix(args.against / "scores", args.data)
        print("\n".join(difference_table(matrix, other)))
    return 0


def read_matrix(folder: Path, data: Path) -> ConditionMatrix:
    """Return all evaluations of a folder, by corpus and condition.

    Raises:
        CorpusError: The folder holds none, or one of other recordings.
    """
    rows = []
    for corpus in sorted(path.parent.name for path in folder.glob("*/clean")):
        utterances = _utterances(corpus, data)
        read = partial(read_evaluation, utterances=utterances, wanted={})
        clean = _found(read(folder / corpus / "clean"), folder)
        rows.append(ConditionScores(corpus, clean, clean))
        others = [p for p in sorted((folder / corpus).iterdir()) if p.name != "clean"]
        rows += [
            ConditionScores(corpus, found, clean)
            for path in others
            if (found := read(path)) is not None
        ]
    if not rows:
        raise CorpusError(f"{folder}: holds no CORPUS/clean; evaluate with --out")
    return ConditionMatrix(rows)


def _utterances(corpus: str, data: Path) -> list[Utterance]:
    if corpus == READERS:
        return select_speakers(read_corpus(corpus, data / "speech"), "odd")
    return read_corpus(corpus, data / "corpora" / corpus)


def _found(evaluation: Evaluation | None, folder: Path) -> Evaluation:
    if evaluation is None:
        raise CorpusError(f"{folder}: an evaluation is not finished; evaluate again")
    return evaluation


def condition_table(matrix: ConditionMatrix) -> list[str]:
    """Return UA by corpus and condition, and the mean change from clean."""
    lines = _head("UA %", [*matrix.corpora, "mean", "change of the mean"])
    means = _means(matrix)
    for condition in sorted(matrix.conditions, key=lambda name: name != "clean"):
        rows = [matrix.rows.get((corpus, condition)) for corpus in matrix.corpora]
        cells = ["" if row is None else f"{100 * row.ua:.1f}" for row in rows]
        mean = means.get(condition)
        if mean is None:
            lines.append(_row(condition, [*cells, "", ""]))
            continue
        change = "" if mean.change is None else _points(mean.change, mean.interval)
        lines.append(_row(condition, [*cells, f"{100 * mean.ua:.1f}", change]))
    return lines


def _means(matrix: ConditionMatrix) -> dict[str, MeanScores]:
    """Return the means of the conditions that all corpora of four emotions are in."""
    corpora = [corpus for corpus in matrix.corpora if corpus != READERS]
    complete = [
        name
        for name in matrix.conditions
        if all((corpus, name) in matrix.rows for corpus in corpora)
    ]
    whole = ConditionMatrix(matrix.rows[c, n] for c in corpora for n in complete)
    return {mean.condition: mean for mean in whole.means}


def certainty_table(
    matrix: ConditionMatrix, curves: Mapping[str, RiskCoverage], runs: Path
) -> list[str]:
    """Return calibration, and how right the certain answers are, by corpus."""
    columns = ["UA %", "WA %", "ECE", "certain half right %", "answered %", "right %"]
    lines = _head("left out", columns)
    rows = []
    for corpus, curve in curves.items():
        evaluation = matrix.clean(corpus)
        scores = evaluation.scores
        certainty = read_card(runs / corpus / "model").certainty
        covered = curve.at_threshold(certainty.threshold) if certainty else (0, np.nan)
        rows.append(
            [scores.ua, scores.wa, scores.ece, curve.accuracy_at(0.5), *covered]
        )
        interval = evaluation.intervals["ua"]
        first = f"{100 * scores.ua:.1f} {_ends(interval)}"
        lines.append(_row(corpus, [first, *_cells(rows[-1][1:])]))
    means = np.mean(rows, axis=0).tolist()
    return [*lines, _row("mean", [f"{100 * means[0]:.1f}", *_cells(means[1:])])]


def risk_coverages(
    matrix: ConditionMatrix,
) -> tuple[dict[str, RiskCoverage], RiskCoverage]:
    """Return the curve of each corpus, and of all with equal weight."""
    parts = {c: matrix.clean(c) for c in matrix.corpora if c != READERS}
    curves = {
        corpus: risk_coverage(part.labels, part.probabilities)
        for corpus, part in parts.items()
    }
    each = list(parts.values())
    overall = risk_coverage(
        np.concatenate([part.labels for part in each]),
        np.concatenate([part.probabilities for part in each]),
        balanced_weights([c for c, part in parts.items() for _ in part.labels]),
    )
    return curves, overall


def _cells(values: Sequence[float]) -> list[str]:
    wa, ece, *rest = values
    return [f"{100 * wa:.1f}", f"{ece:.3f}", *(f"{100 * value:.1f}" for value in rest)]


def confusion_table(matrix: ConditionMatrix) -> list[str]:
    """Return what each emotion is taken for, in % of its clips, by corpus."""
    lines = _head("corpus", ["clips of", *map(str, Emotion)])
    for corpus in matrix.corpora:
        evaluation = matrix.clean(corpus)
        predicted = evaluation.probabilities.argmax(1)
        for index, emotion in enumerate(Emotion):
            of = predicted[evaluation.labels == index]
            if len(of):
                shares = np.bincount(of, minlength=len(Emotion)) / len(of)
                cells = [f"{100 * share:.0f}" for share in shares]
                lines.append(_row(corpus, [str(emotion), *cells]))
    return lines


def difference_table(matrix: ConditionMatrix, other: ConditionMatrix) -> list[str]:
    """Return the paired differences of UA from other evaluations."""
    conditions = [
        name
        for name in sorted(matrix.conditions, key=lambda name: name != "clean")
        if all(
            (c, name) in matrix.rows and (c, name) in other.rows for c in other.corpora
        )
    ]
    lines = _head("UA, points more than the other", conditions)
    for corpus in other.corpora:
        cells = []
        for name in conditions:
            now = matrix.rows[corpus, name].evaluation
            before = other.rows[corpus, name].evaluation
            ids = [utterance.id for utterance in before.utterances]
            both, rows = now.paired(ids, before.probabilities)
            found = bootstrap.compare(
                both.labels, rows, both.probabilities, both.speakers
            )["ua"]
            cells.append(_points(found.difference, found.interval))
        lines.append(_row(corpus, cells))
    return lines


def _points(value: float, interval: Interval | None) -> str:
    return f"{100 * value:+.1f} {_ends(interval)}"


def _ends(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _head(first: str, columns: Sequence[str]) -> list[str]:
    return [_row(first, columns), "|" + "---|" * (len(columns) + 1)]


def _row(first: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([first, *cells]) + " |"


if __name__ == "__main__":
    main()
