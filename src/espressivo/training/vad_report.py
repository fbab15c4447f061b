"""Tables of what finding speech first is worth, and their JSON."""

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
from espressivo.training.vad_study import ALL, Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from espressivo.training.vad_study import Cell, HeardNotes, Value

SCHEMA = "espressivo.vad-study/1"
WAYS = {
    "first": "first 8 s",
    "whole": "whole file",
    "fixed": "fixed windows",
    "vad": "VAD windows",
    "fixed-short": "fixed, 3 s",
    "vad-short": "VAD, at most 3 s",
}
"""What tables call them."""
_HEADS = {
    "ua": "UA, %",
    "neutral": "others called neutral, %",
    "ece": "ECE",
    "brier": "Brier",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What there was of one kind of gaps.

    Attributes:
        gaps: The kind.
        n_notes: Heard.
        n_unheard: Notes without any speech found, left out of all ways.
        seconds: Shortest, median and longest note.
        speech_found: Share of the speech that the detector found, mean over notes.
        gaps_taken: Share of the gaps that it took for speech; None without gaps.
    """

    gaps: str
    n_notes: int
    n_unheard: int
    seconds: tuple[float, float, float]
    speech_found: float
    gaps_taken: float | None

    @classmethod
    def of(cls, notes: HeardNotes) -> Found:
        """Count heard notes."""
        seconds = notes.seconds
        gaps = float(np.mean([heard.gaps_taken for heard in notes.heard]))
        return cls(
            notes.gaps.name,
            len(notes.spoken),
            len(notes.unheard),
            (min(seconds), float(np.median(seconds)), max(seconds)),
            float(np.mean([heard.speech_found for heard in notes.heard])),
            None if math.isnan(gaps) else gaps,
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One model and the speakers it was studied on, or several such together.

    Attributes:
        title: Of the corpus, or the part of it.
        models: Name, version, hash and training corpora of each.
        n_speakers: Whose notes.
        confirms: Whether it only confirms: it counts for no choice.
        found: What there was; empty for several corpora together.
        cells: What came out.
    """

    title: str
    models: tuple[dict[str, Any], ...]
    n_speakers: int
    confirms: bool
    found: tuple[Found, ...]
    cells: tuple[Cell, ...]

    def cell(self, gaps: str, way: str, aggregation: str = "duration") -> Cell | None:
        """Return one cell; None where there is none."""
        key = Key(gaps, way, aggregation)
        return next((cell for cell in self.cells if cell.key == key), None)

    @property
    def gaps(self) -> list[str]:
        """All kinds of gaps, those together last."""
        return list(dict.fromkeys(cell.key.gaps for cell in self.cells))


def write_cases(cases: Sequence[Case], details: dict[str, Any], path: Path) -> None:
    """Write all cases as JSON, whole or not at all.

    Args:
        cases: What was found.
        details: How: seeds, versions.
        path: Of the file.
    """
    content = {"schema": SCHEMA, **details, "cases": [_to_dict(case) for case in cases]}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(text + "\n", path)


def write_csv(cases: Sequence[Case], path: Path) -> None:
    """Write a row a number: what of, what against, the number, its interval."""
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


def _numbers(cell: Cell) -> Iterator[tuple[str, str, Value]]:
    for against, values in {"": cell.scores, **cell.differences}.items():
        for name, value in values.items():
            yield against, name, value


def _triple(value: Value) -> list[float | None]:
    """Return value, low and high, None where not defined."""
    ends = value.interval
    numbers = [value.value, *((ends.low, ends.high) if ends else (None, None))]
    return [None if n is None or math.isnan(n) else n for n in numbers]


def _to_dict(case: Case) -> dict[str, Any]:
    return {
        "title": case.title,
        "models": list(case.models),
        "speakers": case.n_speakers,
        "confirms": case.confirms,
        "notes": [
            {
                "gaps": found.gaps,
                "notes": found.n_notes,
                "unheard": found.n_unheard,
                "seconds": [round(s, 2) for s in found.seconds],
                "speech_found": found.speech_found,
                "gaps_taken": found.gaps_taken,
            }
            for found in case.found
        ],
        "cells": [
            {
                **cell.key._asdict(),
                "scores": {k: _triple(v) for k, v in cell.scores.items()},
                "differences": {
                    other: {k: _triple(v) for k, v in values.items()}
                    for other, values in cell.differences.items()
                },
            }
            for cell in case.cells
        ],
    }


def to_markdown(cases: Sequence[Case]) -> str:
    """Return the tables of each case: ways by gaps, aggregations, what was found."""
    return "\n".join(_case(case) for case in cases)


def _case(case: Case) -> str:
    models = ", ".join(f"{m['name']} {m['sha256'][:12]}" for m in case.models)
    use = "; chose nothing" if case.confirms else ""
    lines = [f"**{case.title}**: {case.n_speakers} speakers; {models}{use}", ""]
    for title, score in (("UA", "ua"), ("others called neutral", "neutral")):
        lines += [*_by_gaps(case, title, score), ""]
    lines += [*_by_aggregation(case), ""]
    if case.found:
        lines += [*_found(case), ""]
    return "\n".join(lines)


def _by_gaps(case: Case, title: str, score: str) -> list[str]:
    rivals = [
        ("vad", "fixed"),
        ("vad", "whole"),
        ("vad-short", "fixed"),
        ("vad-short", "vad"),
    ]
    heads = [*WAYS.values(), "VAD - fixed", "VAD - whole"]
    heads += ["3 s: VAD - fixed", "VAD: 3 s - 8 s"]
    lines = [
        f"| {title}, % | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(heads),
    ]
    for gaps in case.gaps:
        cells = {way: case.cell(gaps, way) for way in WAYS}
        texts = [text_of(cell.scores[score]) if cell else "" for cell in cells.values()]
        for way, other in rivals:
            cell = cells[way]
            value = cell.differences.get(other, {}).get(score) if cell else None
            texts.append(text_of(value, sign=True) if value else "")
        lines.append(f"| {gaps} | " + " | ".join(texts) + " |")
    return lines


def _by_aggregation(case: Case) -> list[str]:
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
        name = WAYS[cell.key.way]
        if cell.key.way not in ("first", "whole"):
            name += f", {cell.key.aggregation}"
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return lines


def _is_percent(score: str) -> bool:
    return score not in ("ece", "brier")


def _found(case: Case) -> list[str]:
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
            f"| {f.gaps} | {f.n_notes} | {f.n_unheard} | {median:.0f} ({least:.0f} to "
            f"{most:.0f}) | {100 * f.speech_found:.1f} | {taken} |"
        )
    return lines


def text_of(value: Value, *, sign: bool = False, percent: bool = True) -> str:
    """Say a number and its interval.

    >>> from espressivo.training.vad_study import Value
    >>> from espressivo.training.scores.bootstrap import Interval
    >>> text_of(Value(0.123, Interval(-0.01, 0.2)), sign=True)
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
