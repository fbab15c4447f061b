"""Results of the profile study as Markdown and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.files.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from research.profiles.study import HistoryResult, MismatchRates

SCHEMA = "espressivo.profile-study/1"


@dataclass(frozen=True, slots=True)
class ProfileCase:
    """Results of one model on one corpus.

    Attributes:
        title: Name of the corpus, or of the part of it.
        model: Name, version and hash of the model.
        n_clips: Clips that were scored.
        n_speakers: Speakers of these clips.
        n_draws: Histories drawn per speaker, kind and size.
        cells: Scores by kind and size of history.
        mismatches: How often clips are flagged as not fitting a profile.
    """

    title: str
    model: dict[str, str]
    n_clips: int
    n_speakers: int
    n_draws: int
    cells: tuple[HistoryResult, ...]
    mismatches: MismatchRates | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict."""
        return {
            "title": self.title,
            "model": self.model,
            "clips": self.n_clips,
            "speakers": self.n_speakers,
            "draws": self.n_draws,
            "cells": [cell.to_dict() for cell in self.cells],
            "suspicions": self.mismatches and asdict(self.mismatches),
        }


def write_cases(cases: Sequence[ProfileCase], path: Path) -> None:
    """Write all cases as JSON, atomically."""
    content = {"schema": SCHEMA, "cases": [case.to_dict() for case in cases]}
    write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", path)


def to_markdown(cases: Sequence[ProfileCase]) -> str:
    """Return one Markdown table per case: UA by kind (rows) and size (columns)."""
    return "\n".join(_case(case) for case in cases)


def gains(
    cases: Sequence[ProfileCase],
) -> dict[tuple[str, tuple[int, ...], str], float]:
    """Return the mean change of UA over cases, by kind, emotions and size."""
    found: dict[tuple[str, tuple[int, ...], str], list[float]] = {}
    for case in cases:
        for cell in case.cells:
            if not cell.kind.transductive and cell.difference is not None:
                key = (cell.kind.name, cell.kind.emotions, size_name(cell.size))
                found.setdefault(key, []).append(cell.difference.difference)
    return {key: float(np.mean(values)) for key, values in found.items()}


def size_name(size: int | None) -> str:
    """Return the title of a size in tables."""
    return "all" if size is None else str(size)


def _case(case: ProfileCase) -> str:
    sizes = list(dict.fromkeys(cell.size for cell in case.cells))
    kinds = list(dict.fromkeys(cell.kind for cell in case.cells))
    by = {(cell.kind, cell.size): cell for cell in case.cells}
    model = f"{case.model['name']} {case.model['sha256'][:12]}"
    about = f"{case.n_clips} clips of {case.n_speakers} speakers; {model}"
    lines = [
        f"**{case.title}**: {about}",
        "",
        "| clips heard before | " + " | ".join(map(size_name, sizes)) + " |",
        "|---|" + "---|" * len(sizes),
    ]
    for kind in kinds:
        cells = [_text(by[kind, size]) for size in sizes]
        lines.append(f"| {kind.title} | " + " | ".join(cells) + " |")
    first = kinds[0]
    errors = [f"{by[first, size].ece:.3f}" for size in sizes]
    lines.append(f"| {first.title}: ECE | " + " | ".join(errors) + " |")
    if (found := case.mismatches) is not None:
        rates = f"of the same voice {found.same:.1%}, of another {found.other:.1%}"
        said = f"Clips said not to fit a profile of {found.n_clips} clips: {rates}."
        lines += ["", said]
    return "\n".join([*lines, ""])


def _text(cell: HistoryResult) -> str:
    """Format UA %, its interval, its change, and the actual number of clips."""
    text = f"{100 * cell.ua:.1f}"
    if cell.size is not None and not cell.size:
        if cell.interval is None:
            return text
        return (
            f"{text} ({100 * cell.interval.low:.1f} to {100 * cell.interval.high:.1f})"
        )
    if cell.interval is None or cell.difference is None:
        return text
    low, high = 100 * cell.interval.low, 100 * cell.interval.high
    change = 100 * cell.difference.difference
    text = f"{text} ({low:.1f} to {high:.1f}), {change:+.1f}"
    few = cell.size is not None and cell.n_mean < cell.size - 0.05
    return f"{text} [{cell.n_mean:.1f}]" if few else text
