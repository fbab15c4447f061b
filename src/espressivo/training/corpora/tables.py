"""Tables that corpora are published with: what they say of speakers and clips."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class _Tabs(csv.excel_tab):
    quoting = csv.QUOTE_NONE


def find_table(places: Iterable[Path]) -> Path | None:
    """Return the first of some places where there is a file, if any."""
    return next((place for place in places if place.is_file()), None)


def read_table(
    table: Path, columns: Iterable[str], *, tabs: bool = False
) -> list[dict[str, str]]:
    """Read the rows of a published table.

    Args:
        table: Comma-separated, in UTF-8, its first line naming the columns.
        columns: Those that have to be there.
        tabs: Whether tabs separate, and quotes are plain characters.

    Raises:
        CorpusError: A column is not there, or the file is no such table.
    """
    dialect = _Tabs if tabs else csv.excel
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, dialect=dialect)
            if missing := set(columns) - set(rows.fieldnames or ()):
                raise CorpusError(
                    f"{table}: has no column {', '.join(sorted(missing))}; "
                    "restore the table that the corpus was published with"
                )
            # A row may be shorter than the header, or longer: then the key is None.
            return [{k: (v or "").strip() for k, v in row.items() if k} for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"{table}: is no table in UTF-8 ({error}); "
            "restore the one that the corpus was published with"
        ) from error


def to_age(value: str) -> int | None:
    """Read an age in years; None where none was told."""
    return int(value) if value.isdecimal() else None
