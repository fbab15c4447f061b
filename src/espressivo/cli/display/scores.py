"""Scores of `espressivo evaluate`, printed for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from espressivo.training.scores.bootstrap import PairedDifference
    from espressivo.training.scores.evaluation import Evaluation

_ROWS = (
    ("WA", "wa"),
    ("UA", "ua"),
    ("macro F1", "macro_f1"),
    ("ECE", "ece"),
    ("Brier", "brier"),
    ("log loss", "log_loss"),
)


def print_evaluation(console: Console, corpus: str, whole: Evaluation) -> None:
    """Print scores with intervals, the confusion matrix, and unscored recordings."""
    from espressivo.training.corpora import scoring_variants

    columns = [("all", whole)]
    for variant in scoring_variants():
        if (without := whole.without(variant)) is not None:
            columns = [(variant.title, whole), (variant.title_without, without)]
    title = f"{whole.model} {whole.model_version} on {corpus} ({whole.protocol})"
    console.print(title, style="bold")
    _print_scores(console, columns)
    _print_confusion(console, whole)
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
            row += [f"{e.scores.recall[i]:.3f}, {e.scores.f1[i]:.3f}", ""]
        table.add_row(*row)
    console.print(table)


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


def print_differences(
    console: Console, against: Path, differences: dict[str, PairedDifference]
) -> None:
    """Print the difference of each score from that of the predictions `against`."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(f"less {against}")
    for heading in ("difference", "95 %", "p"):
        table.add_column(heading, justify="right")
    for label, name in _ROWS:
        found = differences[name]
        interval = f"{found.interval.low:+.3f}..{found.interval.high:+.3f}"
        table.add_row(label, f"{found.difference:+.3f}", interval, f"{found.p:.4f}")
    console.print()
    console.print(table)
