"""Scores of `espressivo evaluate`, printed for a terminal."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from espressivo.training.scores.bootstrap import Interval, PairedDifference
    from espressivo.training.scores.conditions import ConditionMatrix
    from espressivo.training.scores.dimensions import RatedPredictions
    from espressivo.training.scores.evaluation import Evaluation

_ROWS = (
    ("WA", "wa"),
    ("UA", "ua"),
    ("macro F1", "macro_f1"),
    ("ECE", "ece"),
    ("Brier", "brier"),
    ("log loss", "log_loss"),
)
_AGREEMENT = (("CCC", "ccc"), ("RMSE", "rmse"), ("Pearson", "pearson"))


def print_evaluation(console: Console, corpus: str, whole: Evaluation) -> None:
    """Print scores, confusion matrix, agreement of dimensions, unscored recordings."""
    from espressivo.training.corpora import scoring_variants

    columns = [("all", whole)]
    for variant in scoring_variants():
        if (without := whole.without(variant)) is not None:
            columns = [(variant.title, whole), (variant.title_without, without)]
    title = f"{whole.model} {whole.model_version} on {corpus} ({whole.protocol})"
    console.print(title, style="bold")
    _print_scores(console, columns)
    _print_confusion(console, whole)
    if whole.rated is not None:
        _print_dimensions(console, whole.rated)
    if whole.without_speech:
        console.print(
            f"no speech found, not scored: {len(whole.without_speech)} of "
            f"{len(whole.without_speech) + len(whole.utterances)}: "
            + ", ".join(u.id for u in whole.without_speech[:10])
            + (", ..." if len(whole.without_speech) > 10 else "")
        )


def _print_scores(console: Console, columns: Sequence[tuple[str, Evaluation]]) -> None:
    from rich.table import Table

    from espressivo.types import Emotion

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name, _ in columns:
        table.add_column(name, justify="right", style="cyan")
        table.add_column("95 %", justify="right", style="dim")
    counts = [(len(e.utterances), len(set(e.speakers))) for _, e in columns]
    table.add_row("utterances", *(cell for n, _ in counts for cell in (str(n), "")))
    table.add_row("speakers", *(cell for _, n in counts for cell in (str(n), "")))
    for label, name in _ROWS:
        row = [label]
        for _, e in columns:
            interval = e.intervals.get(name)
            row.append(f"{getattr(e.scores, name):.3f}")
            row.append(f"{interval.low:.3f}..{interval.high:.3f}" if interval else "")
        table.add_row(*row)
    for i, emotion in enumerate(Emotion):
        row = [f"{emotion}: recall, F1"]
        for _, e in columns:
            row += [f"{_number(e.scores.recall[i])}, {_number(e.scores.f1[i])}", ""]
        table.add_row(*row)
    console.print(table)
    for note in dict.fromkeys(note for _, e in columns for note in e.cautions):
        console.print(f"- {note}", style="dim")


def _print_confusion(console: Console, evaluation: Evaluation) -> None:
    from rich.table import Table

    from espressivo.types import Emotion

    confusion = evaluation.confusion
    table = Table(box=None, pad_edge=False)
    table.add_column("actual \\ predicted")
    for emotion in Emotion:
        table.add_column(str(emotion), justify="right")
    for emotion, counts in zip(Emotion, confusion.tolist(), strict=True):
        total = max(1, sum(counts))
        cells = [f"{n} ({n / total:.0%})" for n in counts]
        table.add_row(str(emotion), *cells)
    console.print()
    console.print(table)


def _print_dimensions(console: Console, rated: RatedPredictions) -> None:
    from rich.table import Table

    scores, intervals = rated.scores, rated.intervals()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in rated.names:
        table.add_column(name, justify="right", style="cyan")
        table.add_column("95 %", justify="right", style="dim")
    table.add_row("rated", *(c for n in rated.n_rated.values() for c in (str(n), "")))
    for label, score in _AGREEMENT:
        row = [label]
        for name in rated.names:
            key = f"{score}_{name}"
            row += [_number(scores[key]), _span(intervals.get(key))]
        table.add_row(*row)
    console.print()
    console.print(table)


def print_differences(
    console: Console, against: Path, differences: dict[str, PairedDifference]
) -> None:
    """Print the difference of each score from that of the predictions `against`."""
    from rich.table import Table

    from espressivo.types import Dimension

    table = Table(box=None, pad_edge=False)
    table.add_column(f"less {against}")
    for heading in ("difference", "95 %", "p"):
        table.add_column(heading, justify="right")
    rows = [*_ROWS]
    for dimension in Dimension:
        rows += [
            (f"{label} {dimension}", f"{s}_{dimension}") for label, s in _AGREEMENT
        ]
    for label, name in rows:
        if (found := differences.get(name)) is None:
            continue
        interval = f"{found.interval.low:+.3f}..{found.interval.high:+.3f}"
        table.add_row(label, f"{found.difference:+.3f}", interval, f"{found.p:.4f}")
    console.print()
    console.print(table)


def print_conditions(console: Console, matrix: ConditionMatrix) -> None:
    """Print a table of conditions for each corpus, and one of all corpora."""
    model = matrix.model
    for corpus in matrix.corpora:
        clean = matrix.clean(corpus)
        title = f"{model.model} {model.model_version} on {corpus} ({model.protocol})"
        console.print(title, style="bold")
        n = len(clean.utterances)
        console.print(f"{n} utterances, {len(set(clean.speakers))} speakers")
        console.print(_conditions_of(matrix, corpus))
        for note in clean.cautions:
            console.print(f"- {note}", style="dim")
        console.print()
    if matrix.means:
        console.print("mean of the corpora with several emotions", style="bold")
        console.print(_means_of(matrix))
        console.print()
    if len(matrix.corpora) > 1:
        console.print("UA in %, and its change from clean in points", style="bold")
        console.print(_matrix_of(matrix))
        console.print("* the 95 % interval of the change, over speakers, excludes 0")


def _conditions_of(matrix: ConditionMatrix, corpus: str) -> Table:
    from rich.table import Table

    emotions = matrix.rows[corpus, "clean"].emotions
    rows = [matrix.rows[corpus, name] for name in matrix.conditions]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    # With one emotion there is one recall.
    name = "UA" if len(emotions) > 1 else f"called {emotions[0]}" if emotions else "UA"
    table.add_column(name, justify="right", style="cyan")
    table.add_column("95 %", justify="right", style="dim")
    table.add_column("change", justify="right", style="cyan")
    table.add_column("95 %", justify="right", style="dim")
    table.add_column("p", justify="right")
    table.add_column("ECE", justify="right")
    if any(row.n_unscored for row in rows):
        table.add_column("unscored", justify="right")  # all in 80 columns
    for row in rows:
        compared = row.changes.get("ua")
        cells = [
            row.condition,
            _number(row.ua),
            _span(row.interval),
            "" if row.change is None else f"{row.change:+.3f}",
            _span(compared.interval, "+") if compared else "",
            f"{compared.p:.4f}" if compared else "",
            _number(row.ece),
        ]
        table.add_row(*cells, *([str(row.n_unscored)] if row.n_unscored else []))
    return table


def _means_of(matrix: ConditionMatrix) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("UA", justify="right", style="cyan")
    table.add_column("change", justify="right", style="cyan")
    table.add_column("95 %", justify="right", style="dim")
    table.add_column("ECE", justify="right")
    for mean in matrix.means:
        change = mean.change
        table.add_row(
            mean.condition,
            _number(mean.ua),
            "" if change is None or isnan(change) else f"{change:+.3f}",
            _span(mean.interval, "+"),
            _number(mean.ece),
        )
    return table


def _matrix_of(matrix: ConditionMatrix) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for corpus in matrix.corpora:
        table.add_column(corpus, justify="right")
    if matrix.means:
        table.add_column("mean", justify="right", style="cyan")
    for at, name in enumerate(matrix.conditions):
        rows = [matrix.rows[corpus, name] for corpus in matrix.corpora]
        if name == "clean":
            cells = [f"{100 * row.ua:.1f} " for row in rows]
            means = [f"{100 * matrix.means[at].ua:.1f} "] if matrix.means else []
        else:
            cells = []
            for row in rows:
                compared = row.changes.get("ua")
                cells.append(
                    _points(row.change, compared.interval if compared else None)
                )
            mean = matrix.means[at] if matrix.means else None
            means = [_points(mean.change, mean.interval)] if mean else []
        table.add_row(name, *cells, *means)
    return table


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"


def _span(interval: Interval | None, sign: str = "") -> str:
    if interval is None or isnan(interval.low):
        return ""
    return f"{interval.low:{sign}.3f}..{interval.high:{sign}.3f}"


def _points(change: float | None, interval: Interval | None) -> str:
    if change is None or isnan(change):
        return "- "
    clear = interval is not None and (interval.low > 0 or interval.high < 0)
    return f"{100 * change:+.1f}{'*' if clear else ' '}"
