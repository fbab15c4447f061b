"""Sizes and times of systems, for the figure of UA against them."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.training.figures import Point
from espressivo.training.tables.labels import names_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from espressivo.training.scores.crossval_results import CrossvalResults

_COLUMNS = ("name", "size_mb", "time_ms", "ua", "low", "high", "published")


def read_points(path: Path, results: Sequence[CrossvalResults] = ()) -> list[Point]:
    """Read sizes and times of systems from a CSV with one row per system.

    Columns are `name`, and `size_mb` or `time_ms` or both. A row whose name is that of
    a result takes UA and interval from the result. Other rows require `ua`; `low` and
    `high` are optional, and any text in `published` marks a quoted UA.

    Args:
        path: Path of the CSV file.
        results: Results whose UA was measured here.

    Raises:
        CorpusError: The table cannot be read, or a row lacks a required value.
    """
    known = dict(zip(names_of(results), results, strict=True))
    try:
        # "-sig" drops the byte-order mark with which spreadsheets save UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: cannot be read as CSV ({error})") from error
    # Line 1 holds the column names.
    for n, row in enumerate(rows, 2):
        if strange := [name for name in row if name not in _COLUMNS]:
            raise CorpusError(
                f"{path}, line {n}: {strange[0]} is no column of it; "
                f"the columns are {', '.join(_COLUMNS)}"
            )
    return [_point(row, known, f"{path}, line {n}") for n, row in enumerate(rows, 2)]


def _point(
    row: dict[str, str | None], known: dict[str, CrossvalResults], where: str
) -> Point:
    name = (row.get("name") or "").strip()
    numbers = {key: _number(row.get(key), key, where) for key in _COLUMNS[1:-1]}
    one = known.get(name)
    if one is not None:
        interval = one.intervals.get("ua")
        numbers |= {
            "ua": one.pooled["ua"],
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
        }
    ua = numbers.pop("ua")
    if not name or ua is None:
        raise CorpusError(
            f"{where}: {name or 'a row without name'} is none of "
            f"{', '.join(known) or 'the results'} and says no ua; add it"
        )
    if numbers["size_mb"] is None and numbers["time_ms"] is None:
        raise CorpusError(f"{where}: {name} has neither size_mb nor time_ms; add one")
    return Point(
        name, ua, **numbers, published=bool((row.get("published") or "").strip())
    )


def _number(text: str | None, key: str, where: str) -> float | None:
    if not (text or "").strip():
        return None
    try:
        return float(str(text))
    except ValueError:
        raise CorpusError(f"{where}: {key} is {text!r}, not a number") from None
