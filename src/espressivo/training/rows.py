"""Rows of somebody's table, .csv or .parquet, with where each stands."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from espressivo.errors import EspressivoError

    Rows = list[tuple[str, dict[str, str]]]


def read_rows(
    table: Path,
    what: str,
    required: Sequence[str],
    optional: Sequence[str],
    error: type[EspressivoError],
) -> Rows:
    """Read the rows of a table as text, stripped, empty where nothing stands.

    Args:
        table: A `.csv` in UTF-8 or a `.parquet`; other columns may be there.
        what: It is, for messages: `manifest`.
        required: Columns that have to be there.
        optional: Columns that may.
        error: Raised where it cannot be read, or lacks a column.

    Returns:
        `line 3` or `row 2`, and that row.
    """
    readers = {".csv": _csv_rows, ".parquet": _parquet_rows}
    if table.suffix.lower() not in readers:
        raise error(
            f"{table}: ends in '{table.suffix}'; pass a .csv or .parquet {what}"
        )
    found, rows = readers[table.suffix.lower()](table, (*required, *optional), error)
    if missing := [column for column in required if column not in found]:
        raise error(
            f"{table}: has no column {', '.join(missing)} "
            f"(it has: {', '.join(found) or 'none'}); add it"
        )
    return rows


def _csv_rows(
    table: Path, _: Iterable[str], error: type[EspressivoError]
) -> tuple[list[str], Rows]:
    try:
        # Spreadsheets put a byte order mark in front.
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            # A row may be shorter than the header, or longer: then the key is None.
            rows = [
                (
                    f"line {reader.line_num}",
                    {k: (v or "").strip() for k, v in row.items() if k},
                )
                for row in reader
            ]
            return list(reader.fieldnames or ()), rows
    except (UnicodeDecodeError, csv.Error) as cause:
        raise error(
            f"{table}: is no CSV in UTF-8 ({cause}); save it as such"
        ) from cause


def _parquet_rows(
    table: Path, columns: Iterable[str], error: type[EspressivoError]
) -> tuple[list[str], Rows]:
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    try:
        found = list(parquet.read_schema(table).names)
        wanted = [column for column in columns if column in found]
        rows = parquet.read_table(table, columns=wanted).to_pylist()
    except pa.ArrowInvalid as cause:
        raise error(
            f"{table}: is no Parquet file ({cause}); write it again, or as .csv"
        ) from cause
    return found, [
        (f"row {n}", {k: "" if v is None else str(v).strip() for k, v in row.items()})
        for n, row in enumerate(rows, start=1)
    ]
