"""Reading of user tables (.csv or .parquet), with each row's place in the file."""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from espressivo.errors import EspressivoError

    Row = tuple[str, dict[str, str]]


def read_rows(
    table: Path,
    what: str,
    required: Sequence[str],
    optional: Sequence[str],
    error: type[EspressivoError],
) -> list[Row]:
    """Return the rows of a table as a list; see `iter_rows`."""
    return list(iter_rows(table, what, required, optional, error))


def iter_rows(
    table: Path,
    what: str,
    required: Sequence[str],
    optional: Sequence[str],
    error: type[EspressivoError],
) -> Iterator[Row]:
    """Yield the rows of a table as stripped text; empty cells are empty strings.

    Args:
        table: Path of a UTF-8 `.csv` or a `.parquet`; other columns are allowed.
        what: Kind of the table in messages, such as `manifest`.
        required: Names of columns that must be present.
        optional: Names of columns that are read if present.
        error: Exception type to raise if the table is unreadable or lacks a column.

    Yields:
        Place of the row (`line 3`, `row 2`), and its cells by column name.
    """
    suffix = table.suffix.lower()
    if suffix == ".csv":
        yield from _csv_rows(table, required, error)
    elif suffix == ".parquet":
        yield from _parquet_rows(table, required, optional, error)
    else:
        raise error(
            f"{table}: ends in '{table.suffix}'; pass a .csv or .parquet {what}"
        )


def _csv_rows(
    table: Path, required: Sequence[str], error: type[EspressivoError]
) -> Iterator[Row]:
    try:
        # Spreadsheet programs write a byte order mark, which `utf-8-sig` skips.
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _require_columns(table, reader.fieldnames or (), required, error)
            for row in reader:
                # DictReader fills short rows with None and collects surplus cells under
                # the key None.
                found = {k: (v or "").strip() for k, v in row.items() if k}
                yield f"line {reader.line_num}", found
    except (UnicodeDecodeError, csv.Error) as cause:
        raise error(
            f"{table}: is no CSV in UTF-8 ({cause}); save it as such"
        ) from cause


def _parquet_rows(
    table: Path,
    required: Sequence[str],
    optional: Sequence[str],
    error: type[EspressivoError],
) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    try:
        with parquet.ParquetFile(table) as file:
            found = list(file.schema_arrow.names)
            _require_columns(table, found, required, error)
            wanted = [name for name in (*required, *optional) if name in found]
            batches = (b.to_pylist() for b in file.iter_batches(columns=wanted))
            for n, row in enumerate(chain.from_iterable(batches), start=1):
                texts = {k: "" if v is None else str(v) for k, v in row.items()}
                yield f"row {n}", {k: text.strip() for k, text in texts.items()}
    except pa.ArrowInvalid as cause:
        raise error(
            f"{table}: is no Parquet file ({cause}); write it again, or as .csv"
        ) from cause


def _require_columns(
    table: Path,
    found: Iterable[str],
    required: Iterable[str],
    error: type[EspressivoError],
) -> None:
    if missing := [column for column in required if column not in found]:
        raise error(
            f"{table}: has no column {', '.join(missing)} "
            f"(it has: {', '.join(found) or 'none'}); add it"
        )
