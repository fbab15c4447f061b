"""Results of the VAD study as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.files.atomic import (
    replacing,
    write_text,
)
from research.vad.study import ALL, Condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from research.vad.study import ConditionResult, IntervalScore, PredictedNotes

SCHEMA = "espressivo.vad-study/1"
STRATEGY_TITLES = {
    "first": "first 8 s",
    "whole": "whole file",
    "fixed": "fixed windows",
    "vad": "VAD windows",
    "fixed-short": "fixed, 3 s",
    "vad-short": "VAD, at most 3 s",
}
"""Titles of the windowing strategies in tables."""
_HEADS = {
    "ua": "UA, %",
    "neutral": "others called neutral, %",
    "ece": "ECE",
    "brier": "Brier",
}


@dataclass(frozen=True, slots=True)
class GapSummary:
    """Notes and speech detection for one kind of gaps.

    Attributes:
        gaps: The kind of gaps.
        n_notes: Number of notes that were scored.
        n_without_speech: Number of notes without detected speech, which are not scored.
        seconds: Length of the shortest, the median and the longest note.
        speech_found: Share of the speech that was detected, mean over notes.
        gaps_taken: Share of the gaps that was detected as speech; None without gaps.
    """

    gaps: str
    n_notes: int
    n_without_speech: int
    seconds: tuple[float, float, float]
    speech_found: float
    gaps_taken: float | None

    @classmethod
    def of(cls, notes: PredictedNotes) -> GapSummary:
        """Summarise predicted notes."""
        seconds = notes.seconds
        gaps = float(np.mean([note.gaps_taken for note in notes.predictions]))
        return cls(
            notes.gaps.name,
            len(notes.spoken),
            len(notes.without_speech),
            (min(seconds), float(np.median(seconds)), max(seconds)),
            float(np.mean([note.speech_found for note in notes.predictions])),
            None if math.isnan(gaps) else gaps,
        )


@dataclass(frozen=True, slots=True)
class VadCase:
    """Results of one model on one corpus, or the mean over several.

    Attributes:
        title: Name of the corpus, or of the part of it.
        models: Name, version, hash and training corpora of each model.
        n_speakers: Speakers of the notes.
        confirms: Whether the corpus is a held-out confirmation, which chose no setting.
        found: Notes by kind of gaps; empty for a mean over corpora.
        cells: Scores by condition.
    """

    title: str
    models: tuple[dict[str, Any], ...]
    n_speakers: int
    confirms: bool
    found: tuple[GapSummary, ...]
    cells: tuple[ConditionResult, ...]

    def cell(
        self, gaps: str, strategy: str, aggregation: str = "duration"
    ) -> ConditionResult | None:
        """Return the scores of one condition, None where there are none."""
        key = Condition(gaps, strategy, aggregation)
        return next((cell for cell in self.cells if cell.key == key), None)

    @property
    def gaps(self) -> list[str]:
        """Names of all kinds of gaps; all kinds together come last."""
        return list(dict.fromkeys(cell.key.gaps for cell in self.cells))


def write_cases(cases: Sequence[VadCase], details: dict[str, Any], path: Path) -> None:
    """Write all cases as JSON, atomically.

    Args:
        cases: Results by corpus.
        details: Seeds and versions.
        path: Path of the file.
    """
    content = {"schema": SCHEMA, **details, "cases": [_to_dict(case) for case in cases]}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(text + "\n", path)


def write_csv(cases: Sequence[VadCase], path: Path) -> None:
    """Write one row per score: condition, baseline, value and interval."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        write = csv.writer(file, lineterminator="\n").writerow
        write(
            [
                "case",
                "gaps",
                "way",
                "aggregation",
                "against",
                "score",
                "value",
                "low",
                "high",
            ]
        )
        for case in cases:
            for cell in case.cells:
                for against, name, value in _numbers(cell):
                    shown = ["" if n is None else f"{n:.6f}" for n in _triple(value)]
                    write([case.title, *cell.key, against, name, *shown])


def _numbers(cell: ConditionResult) -> Iterator[tuple[str, str, IntervalScore]]:
    for against, values in {"": cell.scores, **cell.differences}.items():
        for name, value in values.items():
            yield against, name, value


def _triple(value: IntervalScore) -> list[float | None]:
    """Return value, low and high end, None where undefined."""
    ends = value.interval
    numbers = [value.value, *((ends.low, ends.high) if ends else (None, None))]
    return [None if n is None or math.isnan(n) else n for n in numbers]


def _to_dict(case: VadCase) -> dict[str, Any]:
    return {
        "title": case.title,
        "models": list(case.models),
        "speakers": case.n_speakers,
        "confirms": case.confirms,
        "notes": [
            {
                "gaps": found.gaps,
                "notes": found.n_notes,
                "unheard": found.n_without_speech,
                "seconds": [round(s, 2) for s in found.seconds],
                "speech_found": found.speech_found,
                "gaps_taken": found.gaps_taken,
            }
            for found in case.found
        ],
        "cells": [
            {
                "gaps": cell.key.gaps,
                "way": cell.key.strategy,
                "aggregation": cell.key.aggregation,
                "scores": {k: _triple(v) for k, v in cell.scores.items()},
                "differences": {
                    other: {k: _triple(v) for k, v in values.items()}
                    for other, values in cell.differences.items()
                },
            }
            for cell in case.cells
        ],
    }


def to_markdown(cases: Sequence[VadCase]) -> str:
    """Return Markdown tables: strategies by gaps, aggregations, detected speech."""
    return "\n".join(_case(case) for case in cases)


def _case(case: VadCase) -> str:
    models = ", ".join(f"{m['name']} {m['sha256'][:12]}" for m in case.models)
    use = "; chose nothing" if case.confirms else ""
    lines = [f"**{case.title}**: {case.n_speakers} speakers; {models}{use}", ""]
    for title, score in (("UA", "ua"), ("others called neutral", "neutral")):
        lines += [*_by_gaps(case, title, score), ""]
    lines += [*_by_aggregation(case), ""]
    if case.found:
        lines += [*_found(case), ""]
    return "\n".join(lines)


def _by_gaps(case: VadCase, title: str, score: str) -> list[str]:
    rivals = [
        ("vad", "fixed"),
        ("vad", "whole"),
        ("vad-short", "fixed"),
        ("vad-short", "vad"),
    ]
    heads = [*STRATEGY_TITLES.values(), "VAD - fixed", "VAD - whole"]
    heads += ["3 s: VAD - fixed", "VAD: 3 s - 8 s"]
    lines = [
        f"| {title}, % | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(heads),
    ]
    for gaps in case.gaps:
        cells = {strategy: case.cell(gaps, strategy) for strategy in STRATEGY_TITLES}
        texts = [text_of(cell.scores[score]) if cell else "" for cell in cells.values()]
        for strategy, other in rivals:
            cell = cells[strategy]
            value = cell.differences.get(other, {}).get(score) if cell else None
            texts.append(text_of(value, sign=True) if value else "")
        lines.append(f"| {gaps} | " + " | ".join(texts) + " |")
    return lines


def _by_aggregation(case: VadCase) -> list[str]:
    scores = list(case.cells[0].scores)
    heads = [_HEADS.get(score, f"{score}, %") for score in scores]
    heads += ["UA - duration's", "neutral - duration's", "Brier - duration's"]
    lines = [
        f"| {ALL} | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(heads),
    ]
    for cell in case.cells:
        if cell.key.gaps != ALL:
            continue
        texts = [text_of(cell.scores[s], percent=_is_percent(s)) for s in scores]
        for score in ("ua", "neutral", "brier"):
            value = cell.differences.get("duration", {}).get(score)
            percent = _is_percent(score)
            texts.append(text_of(value, sign=True, percent=percent) if value else "")
        name = STRATEGY_TITLES[cell.key.strategy]
        if cell.key.strategy not in ("first", "whole"):
            name += f", {cell.key.aggregation}"
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return lines


def _is_percent(score: str) -> bool:
    return score not in ("ece", "brier")


def _found(case: VadCase) -> list[str]:
    heads = [
        "notes",
        "without speech",
        "s, median (range)",
        "speech found, %",
        "gaps taken, %",
    ]
    lines = ["| gaps | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for f in case.found:
        least, median, most = f.seconds
        taken = "" if f.gaps_taken is None else f"{100 * f.gaps_taken:.1f}"
        lines.append(
            f"| {f.gaps} | {f.n_notes} | {f.n_without_speech} | "
            f"{median:.0f} ({least:.0f} to {most:.0f}) | "
            f"{100 * f.speech_found:.1f} | {taken} |"
        )
    return lines


def text_of(value: IntervalScore, *, sign: bool = False, percent: bool = True) -> str:
    """Format a score with its interval.

    >>> from research.vad.study import IntervalScore
    >>> from espressivo.training.scores.bootstrap import Interval
    >>> text_of(IntervalScore(0.123, Interval(-0.01, 0.2)), sign=True)
    '+12.3 (-1.0 to +20.0)'
    """
    times, digits = (100, 1) if percent else (1, 3)
    form = f"{'+' if sign else ''}.{digits}f"
    numbers = [None if n is None else format(times * n, form) for n in _triple(value)]
    if numbers[0] is None:
        return ""
    if numbers[1] is None or numbers[2] is None:
        return numbers[0]
    return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"
