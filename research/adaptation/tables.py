"""Tables of the study: by condition (rows) and corpus (columns)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from research.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from research.adaptation.checks import Rate
    from research.adaptation.scores import Paired, Which

MEAN = "mean"
"""Column of the mean over corpora, each of equal weight."""

_TITLES = {
    "speakers": "history of the speaker",
    "settings": "setting",
    "both": "setting of others and history of the speaker",
    "archive": "archive, all recordings heard before",
    "windows": "notes of clips, no pipeline",
    "notes": "notes through the analyzer",
}
_SCORES = {
    "ua": ("UA, %", 100, 1),
    "ece": ("ECE", 1, 3),
    "certain": ("share of certain estimates, %", 100, 1),
    "right": ("accuracy of certain estimates, %", 100, 1),
}


@dataclass(frozen=True, slots=True)
class Case:
    """Results of one model on one corpus, or on a part of it.

    Attributes:
        name: Name of the corpus or part, which seeds the resampling.
        title: Title in tables.
        averaged: Whether it counts in the mean.
        parts: Part of the study -> condition -> scores.
        rates: The same of what is no score.
    """

    name: str
    title: str
    averaged: bool = True
    parts: dict[str, dict[str, Paired]] = field(default_factory=dict)
    rates: dict[str, dict[str, Rate]] = field(default_factory=dict)


def all_tables(cases: Sequence[Case]) -> list[Table]:
    """Return all tables for which there are results."""
    tables = []
    for part, title in _TITLES.items():
        if not any(part in case.parts for case in cases):
            continue
        tables.append(_table(cases, part, "ua", "change", f"{title}: change of UA"))
        for score, (what, _, _) in _SCORES.items():
            named = f"{title}: {what}"
            tables.append(_table(cases, part, score, "adapted", named))
        named = f"{title}: ECE without adaptation, same clips"
        tables.append(_table(cases, part, "ece", "plain", named))
        tables.append(_sizes(cases, part, f"{title}: clips in the history"))
    heard = any("speakers" in case.parts for case in cases)
    tables += [
        _table(cases, "speakers", score, "plain", f"no adaptation: {what}", first=True)
        for score, (what, _, _) in _SCORES.items()
        if heard
    ]
    if any("variants" in case.parts for case in cases):
        tables += _variant_tables(cases)
    tables += [
        _rate_table(cases, name, title)
        for name, title in (
            ("fit", "clips said not to fit a profile of 20 other clips, %"),
            ("spread", "profiles said to be of several voices, %"),
            ("noise", "noises that stay uncertain, %"),
        )
        if any(name in case.rates for case in cases)
    ]
    return tables


def changes(cases: Sequence[Case], part: str) -> dict[tuple[str, str], float]:
    """Return the change of UA in points, by condition and title of the case."""
    return {
        (name, case.title): 100 * float(paired.scores(case.name)["ua"][0])
        for case in cases
        for name, paired in case.parts.get(part, {}).items()
    }


def mean_draws(draws: Mapping[str, np.ndarray], cases: Sequence[Case]) -> np.ndarray:
    """Return the mean [1 + R] over the cases that count, by name of the case.

    Speakers are resampled within their corpus; corpora are not resampled.
    """
    rows = [draws[case.name] for case in cases if case.averaged and case.name in draws]
    n = min(map(len, rows))
    mean: np.ndarray = np.mean([row[:n] for row in rows], axis=0)
    return mean


def _table(
    cases: Sequence[Case],
    part: str,
    score: str,
    of: Which,
    title: str,
    *,
    first: bool = False,
) -> Table:
    """Return a table of a score; `first`: of the first condition alone."""
    _, factor, places = _SCORES[score]
    short = "plain" if first else part
    table = Table(f"{short}-{score}-{of}", title, places, signed=of == "change")
    names = dict.fromkeys(name for case in cases for name in case.parts.get(part, {}))
    for name in [*names][:1] if first else names:
        draws = {
            case.name: factor * case.parts[part][name].scores(case.name, of)[score]
            for case in cases
            if name in case.parts.get(part, {})
        }
        table.rows["no history" if first else name] = _row(draws, cases)
    return table


def _row(draws: Mapping[str, np.ndarray], cases: Sequence[Case]) -> dict[str, Cell]:
    row = {}
    if any(case.averaged and case.name in draws for case in cases):
        row[MEAN] = Cell.of(mean_draws(draws, cases))
    for case in cases:
        if case.name in draws:
            row[case.title] = Cell.of(draws[case.name])
    return row


def _sizes(cases: Sequence[Case], part: str, title: str) -> Table:
    table = Table(f"{part}-clips", title, 1)
    for case in cases:
        for name, paired in case.parts.get(part, {}).items():
            table.rows.setdefault(name, {})[case.title] = Cell(paired.n_mean)
    return table


def _variant_tables(cases: Sequence[Case]) -> list[Table]:
    """Return the mean change of UA and of ECE by variant and history, and the worst."""
    tables = []
    for score, title in (("ua", "change of UA"), ("ece", "ECE")):
        _, factor, places = _SCORES[score]
        of: Which = "change" if score == "ua" else "adapted"
        table = Table(
            f"variants-{score}",
            f"other settings of the method: {title}",
            places,
            signed=score == "ua",
        )
        for key in dict.fromkeys(k for c in cases for k in c.parts.get("variants", {})):
            variant, _, condition = key.partition("|")
            draws = {}
            for case in cases:
                if (paired := case.parts.get("variants", {}).get(key)) is not None:
                    draws[case.name] = factor * paired.scores(case.name, of)[score]
            row = table.rows.setdefault(variant, {})
            row[condition] = Cell(float(mean_draws(draws, cases)[0]))
            if score == "ua":
                least = min(float(values[0]) for values in draws.values())
                worst = row.get("worst of any corpus")
                if worst is None or least < worst.value:
                    row["worst of any corpus"] = Cell(least)
        tables.append(table)
    return tables


def _rate_table(cases: Sequence[Case], name: str, title: str) -> Table:
    table = Table(name, title, 1)
    for row in dict.fromkeys(k for case in cases for k in case.rates.get(name, {})):
        draws = {
            case.name: 100 * case.rates[name][row].draws(case.name)
            for case in cases
            if row in case.rates.get(name, {})
        }
        table.rows[row] = _row(draws, cases)
    return table
