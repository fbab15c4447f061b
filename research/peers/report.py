"""The comparison as Markdown tables and as CSV."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from espressivo.files.atomic import replacing
from espressivo.training.corpora import CORPORA as REGISTRY
from research.peers.clips import CORPORA, READ_SPEECH
from research.peers.results import MEAN, WITHOUT_CALM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from espressivo.training.scores.bootstrap import Interval
    from research.peers.results import Result
    from research.peers.systems import System

_CSV_COLUMNS = (
    *("system", "scored_on", "ua", "low", "high"),
    *("difference", "difference_low", "difference_high", "p"),
)


def to_markdown(
    results: Sequence[Result], systems: Mapping[str, System], reference: str
) -> str:
    """Return two tables: the mean with its cost, and every corpus.

    Args:
        results: The scores, in the order of the rows.
        systems: Systems by name, for their titles.
        reference: Name of the system that the others are compared with.
    """
    head = ["system", "mean UA, %", f"minus {reference}, points", "p"]
    head += ["read speech called neutral, %", "MB", "parameters", "ms per s"]
    rows = [_summary(result, _title(result.name, systems)) for result in results]
    columns = (*CORPORA, WITHOUT_CALM)
    titles = [REGISTRY[name].title if name in REGISTRY else name for name in columns]
    titles[0] += ", calm as neutral"
    titles[-1] = f"{REGISTRY[CORPORA[0]].title}, without calm"
    by_corpus = [
        [_title(result.name, systems), *(_score(result, name) for name in columns)]
        for result in results
    ]
    return f"{_table(head, rows)}\n\n{_table(['UA, %', *titles], by_corpus)}\n"


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write one row per system and column, with intervals; scores are in percent."""
    with replacing(path) as whole, whole.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(_CSV_COLUMNS)
        for result in results:
            for column, score in result.scores.items():
                row = [result.name, column, score.value, *_ends(score.interval)]
                if column in result.comparisons:
                    compared = result.comparisons[column]
                    row += [compared.difference, *_ends(compared.interval)]
                shown = [f"{100 * v:.2f}" if isinstance(v, float) else v for v in row]
                if column in result.comparisons:
                    shown.append(f"{result.comparisons[column].p:.4f}")
                writer.writerow(shown + [""] * (len(_CSV_COLUMNS) - len(shown)))


def write_costs(results: Sequence[Result], path: Path) -> None:
    """Write one row per system: bytes, parameters and time."""
    with replacing(path) as whole, whole.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("system", "bytes", "parameters", "ms_per_s"))
        for result in results:
            cost = result.cost
            time = "" if cost.ms_per_s is None else f"{cost.ms_per_s:.3f}"
            writer.writerow((result.name, cost.n_bytes, cost.n_parameters, time))


def _summary(result: Result, title: str) -> list[str]:
    difference, p = "", ""
    if MEAN in result.comparisons:
        compared = result.comparisons[MEAN]
        ends = _in_percent(compared.interval, signed=True)
        difference = f"{_signed(compared.difference)} ({ends})"
        p = "< 0.001" if compared.p < 0.001 else f"{compared.p:.3f}"
    cost = result.cost
    return [
        title,
        _score(result, MEAN),
        difference,
        p,
        _score(result, READ_SPEECH),
        "" if cost.n_bytes is None else _megabytes(cost.n_bytes),
        "" if cost.n_parameters is None else f"{cost.n_parameters:,}",
        "" if cost.ms_per_s is None else f"{cost.ms_per_s:.1f}",
    ]


def _megabytes(n_bytes: int) -> str:
    size = n_bytes / 1e6
    return f"{size:.1f}" if size >= 0.1 else f"{size:.1g}"


def _score(result: Result, column: str) -> str:
    if column not in result.scores:
        return "knows it" if column != MEAN else ""
    score = result.scores[column]
    return f"{100 * score.value:.1f} ({_in_percent(score.interval)})"


def _in_percent(interval: Interval, *, signed: bool = False) -> str:
    low, high = interval.low, interval.high
    if signed:
        return f"{_signed(low)} to {_signed(high)}"
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")  # noqa: RUF001 - a minus sign


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def _title(name: str, systems: Mapping[str, System]) -> str:
    return systems[name].title if name in systems else name


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
