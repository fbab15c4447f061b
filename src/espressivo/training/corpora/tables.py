"""Reader of the metadata tables that corpora are published with."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class _Tabs(csv.excel_tab):
    # With the default, a sentence that begins with a quotation mark would swallow
    # the rows up to the next one.
    quoting = csv.QUOTE_NONE


def find_table(places: Iterable[Path]) -> Path | None:
    """Return the first of some paths that is a file; None if there is none."""
    return next((place for place in places if place.is_file()), None)


def read_table(
    table: Path, columns: Iterable[str], *, tabs: bool = False
) -> list[dict[str, str]]:
    """Read the rows of a published table.

    Args:
        table: UTF-8 file, comma-separated, whose first line names the columns.
        columns: Columns that are required.
        tabs: Whether cells are separated by tabs; quotes are then plain characters.

    Raises:
        CorpusError: A column is missing, or the file is no such table.
    """
    dialect = _Tabs if tabs else csv.excel
    try:
        # "-sig" drops the byte-order mark with which spreadsheets save UTF-8.
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, dialect=dialect)
            if missing := set(columns) - set(rows.fieldnames or ()):
                raise CorpusError(
                    f"{table}: has no column {', '.join(sorted(missing))}; "
                    "restore the table that the corpus was published with"
                )
            # csv gives missing cells the value None, and surplus cells the key None.
            return [{k: (v or "").strip() for k, v in row.items() if k} for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"{table}: is no table in UTF-8 ({error}); "
            "restore the one that the corpus was published with"
        ) from error


def to_age(value: str) -> int | None:
    """Parse an age in years; None if the cell holds no number."""
    return int(value) if value.isdecimal() else None
