"""Reading of user tables (.csv or .parquet), with each row's place in the file.

Tables come from spreadsheet programs of any language, from pandas and from R. What can
be told for certain is taken: the separator, byte order marks, the case of names. The
rest is refused with the place and the remedy.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from io import StringIO
from itertools import count, repeat, takewhile
from typing import TYPE_CHECKING, Any, NoReturn

from espressivo.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from espressivo.errors import EspressivoError

    Row = tuple[str, dict[str, str]]

CSV_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
"""Suffixes of text tables; Excel's "Unicode text" ends in .txt."""

TABLE_SUFFIXES = (*CSV_SUFFIXES, ".parquet")
"""Suffixes of all tables that `iter_rows` reads."""

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_HEAD_LETTERS = 2**16
_NOTE = "#"  # begins a line before the header, see `read_notes`
_AROUND = ' \t\r\n;,|"'  # what spreadsheets put around a line
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_NO_TEXT = {
    b"PK\x03\x04": "is an Excel workbook or a zip file",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook",
    b"PAR1": "is a Parquet file; end its name in .parquet",
}
# How pandas, numpy, R and Excel write that there is no value.
_INDEX = re.compile(r"__index_level_\d+__")  # what pandas adds to Parquet
_ALL_WHOLE = 2.0**53  # from here on floats are whole, and have fewer digits than shown
_ROWS_AT_ONCE = 8192
_MOST_LISTED, _LONGEST_NAME = 5_000_000, 32_767  # rows, and characters of their names
_LONGEST_CELL = 2**24  # bytes: the transcript of a week
# Some kilobytes of Parquet can unpack to gigabytes; real texts, by less than 100 times.
_MOST_ROWS, _MUCH, _MOST_PACKED = 50_000_000, 2**28, 500
_EMPTY = frozenset(
    (
        "",
        "nan",
        "NaN",
        "NAN",
        "None",
        "null",
        "NULL",
        "<NA>",
        "NaT",
        "NA",
        "N/A",
        "#N/A",
    )
)


def read_rows(
    table: Path,
    what: str,
    required: Sequence[str],
    optional: Sequence[str],
    error: type[EspressivoError],
) -> list[Row]:
    """Return the rows of a table as a list; see `iter_rows`.

    There may be 5 million rows, and 32,767 characters in required cells.
    """
    rows: list[Row] = []
    for where, row in iter_rows(table, what, required, optional, error):
        if len(rows) == _MOST_LISTED:
            raise error(
                f"{table}: has more than {_MOST_LISTED:,} rows; make several tables"
            )
        for name in required:
            if len(text := row[name]) > _LONGEST_NAME:
                raise error(
                    f"{table}, {where}, column {name}: has {len(text):,} characters "
                    f"({shortened(text, 40)}), more than {_LONGEST_NAME:,}; shorten it"
                )
        rows.append((where, row))
    return rows


def read_notes(table: Path, error: type[EspressivoError]) -> dict[str, str]:
    """Return what a table says of itself before its header, by name in lower case.

    In text these are first lines such as `# ratings: 1 to 7`, joined by commas if there
    are several of a name; in Parquet, the metadata of the schema.

    Args:
        table: Path of a `.csv` or a `.parquet`, as in `iter_rows`.
        error: Exception type to raise if the table is unreadable.
    """
    try:
        if table.suffix.lower() == ".parquet":
            return _parquet_notes(table, error)
        encoding = _encoding_of(table, error)
        with table.open(encoding=encoding, errors="replace") as file:
            first = [*takewhile(_is_before_header, file)]
    except OSError as cause:
        raise error(
            f"{table}: cannot be read ({cause.strerror or cause}); make it readable"
        ) from cause
    # Spreadsheets quote what holds a separator, and fill the line up with separators.
    found: dict[str, str] = {}
    for line in filter(_is_note, first):
        name, _, text = line.strip(_AROUND).removeprefix(_NOTE).partition(":")
        key = name.strip().lower()
        found[key] = ", ".join(filter(None, (found.get(key), text.strip())))
    return found


def iter_rows(
    table: Path,
    what: str,
    required: Sequence[str],
    optional: Sequence[str],
    error: type[EspressivoError],
    *,
    others: bool = False,
) -> Iterator[Row]:
    """Yield the rows of a table as stripped text; empty cells are empty strings.

    Names of columns are compared without case and outer spaces; rows without any value
    are left out. NaN and None are empty, whole floats of Parquet lose their `.0`.

    Args:
        table: Path of a `.csv` or a `.parquet`; other columns are allowed. CSV is UTF-8
            or UTF-16, separated by commas, semicolons, tabs or bars, as its first line
            shows.
        what: Kind of the table in messages, such as `manifest`.
        required: Names of columns that must be present, in lower case.
        optional: Names of columns that are read if present.
        error: Exception type to raise if the table is unreadable or lacks a column.
        others: Whether rows have all other columns too, whose names must differ.

    Yields:
        Place of the row (`line 3`, `row 2`), and its cells by column name.
    """
    suffix = table.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise error(
            f"{table}: ends in '{table.suffix}'; pass a .csv or .parquet {what}"
        )
    wanted = _Columns(table, required, optional, error, others=others)
    try:
        if suffix == ".parquet":
            yield from _parquet_rows(table, wanted, error)
        else:
            yield from _csv_rows(table, wanted, error)
    except OSError as cause:
        raise error(
            f"{table}: cannot be read ({cause.strerror or cause}); make it readable"
        ) from cause


class _Columns:
    """The columns that a table should have, and their places in the one it has."""

    def __init__(
        self,
        table: Path,
        required: Sequence[str],
        optional: Sequence[str],
        error: type[EspressivoError],
        *,
        others: bool = False,
    ) -> None:
        self.table, self.error, self.others = table, error, others
        self.required, self.names = required, (*required, *optional)

    def n_found(self, header: Iterable[str]) -> int:
        """Return how many of the columns a header names."""
        return len({_plain(name) for name in header} & set(self.names))

    def is_header(self, row: list[str]) -> bool:
        """Return whether a row names columns: not empty, a note, or Excel's `sep=;`."""
        if row and row[0].lower().startswith("sep=") and not any(row[1:]):
            return False
        if row and _is_note(row[0]):  # or the first column is `#` or `# nr`
            return {*self.required} <= {_plain(name) for name in row}
        return any(cell.strip() for cell in row)

    def places(self, header: Sequence[str], separated: str = "") -> dict[str, int]:
        """Return the place of each named column; other columns keep their names.

        Args:
            header: Names as written.
            separated: How the table is separated, for the message.
        """
        exact = {name.strip(): place for place, name in enumerate(header)}
        places: dict[str, int] = {}
        counts = Counter(_plain(name) for name in header)
        for place, name in enumerate(header):
            plain = _plain(name)
            if plain in self.names and counts[plain] > 1:
                n_exact = sum(other.strip() == plain for other in header)
                if n_exact != 1:
                    raise self.error(
                        f"{self.table}: has the column {plain} {counts[plain]} times; "
                        "rename all but one"
                    )
                places[plain] = exact[plain]
            elif plain in self.names:
                places[plain] = place
            elif plain and not _INDEX.fullmatch(plain):
                if self.others and name.strip() in places:
                    raise self.error(
                        f"{self.table}: has the column {name.strip()} more than once; "
                        "rename all but one"
                    )
                places[name.strip()] = place
        if missing := [name for name in self.required if name not in places]:
            names = ", ".join(filter(None, map(str.strip, header)))
            found = shortened(names, 400) or "none"
            raise self.error(
                f"{self.table}: has no column {', '.join(missing)} "
                f"(it has: {found}){separated}; add it, or rename one"
            )
        return places

    def values(self, name: str, column: Any) -> Iterator[Any]:
        """Yield a column of Parquet as values of Python, equal texts as one object.

        Args:
            name: Name of the column.
            column: Chunked array of Arrow; texts as dictionaries and their indices.
        """
        try:
            for chunk in column.chunks:
                is_text = hasattr(chunk, "dictionary")
                texts = self._texts(name, chunk.dictionary) if is_text else []
                values = chunk.indices if is_text else chunk
                for start in range(0, len(values), _ROWS_AT_ONCE):
                    found = values.slice(start, _ROWS_AT_ONCE).to_pylist()
                    if is_text:
                        found = [None if i is None else texts[i] for i in found]
                    yield from found
        except (ArithmeticError, ValueError) as cause:  # a year 12345, text of no UTF-8
            raise self.error(
                f"{self.table}, column {name}: holds what cannot be read ({cause}); "
                "write it as text, or leave the column out"
            ) from cause

    def _texts(self, name: str, texts: Any) -> list[Any]:
        import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
        from pyarrow import compute  # noqa: PLC0415

        if len(texts) and _is_text(texts.type, pa):
            longest = compute.max(compute.binary_length(texts)).as_py() or 0
            if longest > _LONGEST_CELL:
                raise self.error(
                    f"{self.table}, column {name}: has a cell of {longest:,} bytes, "
                    f"more than {_LONGEST_CELL:,}; shorten it, or leave the column out"
                )
        found: list[Any] = texts.to_pylist()
        return found


def _plain(name: str) -> str:
    # Also without the marks that spreadsheets and copied text leave.
    return name.strip(" \t\r\n\v\f\ufeff\u200b\u00a0'\"").lower()


def _csv_rows(
    table: Path, columns: _Columns, error: type[EspressivoError]
) -> Iterator[Row]:
    encoding = _encoding_of(table, error)
    try:
        with table.open(encoding=encoding, newline="") as file:
            separator = _separator_of(file.read(_HEAD_LETTERS), columns)
            file.seek(0)
            rows = _numbered(csv.reader(file, delimiter=separator, strict=True))
            header = next((row for _, row in rows if columns.is_header(row)), [])
            places = columns.places(
                header, f", separated by {_SEPARATORS[separator]}" if header else ""
            )
            for line, row in rows:
                cells = [_cell(text) for text in row]
                if any(cells[len(header) :]):
                    raise error(
                        f"{table}, line {line}: has {len(row)} cells, the first line "
                        f"{len(header)}; put cells that hold a separator "
                        f"({separator!r}) into quotation marks"
                    )
                if any(cells):
                    cells += [""] * (len(header) - len(cells))
                    yield f"line {line}", {k: cells[i] for k, i in places.items()}
    except UnicodeError:
        _raise_no_unicode(table, encoding, error)
    except csv.Error as cause:
        raise error(
            f"{table}: is no CSV ({cause}); close each quotation mark, leave columns "
            "of very long texts out, or save it as .parquet, which takes longer ones"
        ) from cause


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the lines on which they begin, from 1."""
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1


def _separator_of(head: str, columns: _Columns) -> str:
    """Return the separator with which the first line names most of the columns."""
    best, separator = (-1, -1), ","
    for candidate in _SEPARATORS:
        reader = csv.reader(StringIO(head, newline=""), delimiter=candidate)
        header = next((row for row in reader if columns.is_header(row)), [])
        score = columns.n_found(header), len(header)
        if score > best:
            best, separator = score, candidate
    return separator


def _encoding_of(table: Path, error: type[EspressivoError]) -> str:
    with table.open("rb") as file:
        head = file.read(4096)
    for magic, what in _NO_TEXT.items():
        if head.startswith(magic):
            raise error(f"{table}: {what}, not CSV; save it as 'CSV UTF-8'")
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    # UTF-16 without its mark: every second byte of Latin letters is zero.
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = head[first::2]
        if len(head) > 3 and 2 * zeros.count(0) > len(zeros):
            return encoding
    return "utf-8"


def _raise_no_unicode(
    table: Path, encoding: str, error: type[EspressivoError]
) -> NoReturn:
    kind, where = "UTF-16" if "16" in encoding else "UTF-32", ""
    if encoding.startswith("utf-8"):
        kind = "UTF-8"
        with table.open("rb") as file:
            where = next(
                filter(None, map(_fault, count(1), file, repeat(encoding))), ""
            )
    raise error(
        f"{table}{where}: is no CSV in {kind}; save it as 'CSV UTF-8' (if it is of "
        "Windows: iconv -f WINDOWS-1252 -t UTF-8)"
    )


def _fault(n: int, line: bytes, encoding: str) -> str:
    """Return the place and value of a line's first byte that is no text, if any."""
    try:
        line.decode(encoding)
    except UnicodeDecodeError as bad:
        n += line[: bad.start].count(b"\r")  # the lines of old Macs end so
        return f", line {n}, byte {line[bad.start]:#x}"
    return ""


def _cell(text: str) -> str:
    text = text.strip()
    return "" if text in _EMPTY else text


def _parquet_rows(
    table: Path, columns: _Columns, error: type[EspressivoError]
) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    try:
        schema = parquet.read_schema(table)
        header = list(schema.names)
        # Texts as dictionaries, so that a long one that repeats is in memory once.
        texts = [field.name for field in schema if _is_text(field.type, pa)]
        with parquet.ParquetFile(table, read_dictionary=texts) as file:
            _require_bounded(table, file.metadata, error)
            places = columns.places(header)
            names = {
                header[i]: k
                for k, i in places.items()
                if columns.others or k in columns.names
            }
            rows = count(1)
            for number in range(file.num_row_groups):
                group = file.read_row_group(number, [*names], use_threads=False)
                read = {k: columns.values(k, group[name]) for name, k in names.items()}
                for values in zip(*read.values(), strict=True):
                    cells = dict(zip(read, map(_text, values), strict=True))
                    yield f"row {next(rows)}", cells
    except pa.ArrowException as cause:
        raise error(
            f"{table}: is no Parquet file ({cause}); write it again, or as .csv"
        ) from cause


def _is_text(kind: Any, pa: Any) -> bool:
    """Return whether a type of Arrow is text or bytes; `pa` is pyarrow."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _require_bounded(table: Path, metadata: Any, error: type[EspressivoError]) -> None:
    """Raise if a Parquet file would unpack to what no list of recordings holds.

    Args:
        table: Path of the file.
        metadata: Its footer.
        error: Exception type to raise.
    """
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    chunks = [g.column(i) for g in groups for i in range(metadata.num_columns)]
    if metadata.num_rows > _MOST_ROWS:
        raise error(
            f"{table}: has {metadata.num_rows:,} rows, more than {_MOST_ROWS:,}; make "
            "several tables"
        )
    for chunk in chunks:
        if chunk.num_values > _MOST_ROWS:  # lists may hold many in one row
            raise error(
                f"{table}, column {shortened(chunk.path_in_schema)}: has "
                f"{chunk.num_values:,} values, more than {_MOST_ROWS:,}; leave it out"
            )
        packed, unpacked = chunk.total_compressed_size, chunk.total_uncompressed_size
        if unpacked > max(_MUCH, _MOST_PACKED * packed):
            raise error(
                f"{table}, column {shortened(chunk.path_in_schema)}: would unpack from "
                f"{packed:,} to {unpacked:,} bytes; leave the column out, or write it "
                "with less compression"
            )


def _is_note(line: str) -> bool:
    return line.lstrip(_AROUND).startswith(_NOTE)


def _is_before_header(line: str) -> bool:
    text = line.strip(_AROUND).lower()
    return not text or text.startswith((_NOTE, "sep="))


def _parquet_notes(table: Path, error: type[EspressivoError]) -> dict[str, str]:
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    try:
        found = parquet.read_schema(table).metadata or {}
    except pa.ArrowException as cause:
        raise error(
            f"{table}: is no Parquet file ({cause}); write it again, or as .csv"
        ) from cause
    return {
        name.decode("utf-8", "replace").lower(): text.decode("utf-8", "replace")
        for name, text in found.items()
    }


def _text(value: Any) -> str:
    """Return a value of a Parquet table as text; empty if there is none."""
    if value is None:
        return ""
    if isinstance(value, float):  # pandas makes floats of whole numbers beside NaN
        if math.isnan(value):
            return ""
        is_whole = value.is_integer() and abs(value) < _ALL_WHOLE
        return str(int(value)) if is_whole else str(value)
    if isinstance(value, bytes):
        return _cell(value.decode("utf-8", "surrogateescape"))
    return _cell(str(value))
