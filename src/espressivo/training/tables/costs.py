"""Sizes and times of systems, for the figure of UA against them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.files.tables import read_rows
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
    rows = read_rows(path, "table of costs", _COLUMNS[:1], _COLUMNS[1:], CorpusError)
    for where, row in rows:
        if strange := [name for name in row if name not in _COLUMNS]:
            raise CorpusError(
                f"{path}, {where}: {strange[0]} is no column of it; "
                f"the columns are {', '.join(_COLUMNS)}"
            )
    return [_point(row, known, f"{path}, {where}") for where, row in rows]


def _point(row: dict[str, str], known: dict[str, CrossvalResults], where: str) -> Point:
    name = row["name"]
    numbers = {key: _number(row.get(key, ""), key, where) for key in _COLUMNS[1:-1]}
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
    return Point(name, ua, **numbers, published=bool(row.get("published")))


def _number(text: str, key: str, where: str) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise CorpusError(f"{where}: {key} is {text!r}, not a number") from None
