"""A table of numbers, independent of the output format."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from espressivo.training.scores.pooled import Spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Bounded:
    """A value and its 95 % interval, whose ends are NaN if there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


TableCell: TypeAlias = str | int | float | Spread | Bounded | None
"""None and NaN stand for values that are not known or not defined."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, and the format of its numbers."""

    name: str
    digits: int = 3
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row; `strong` emphasizes the row."""

    cells: tuple[TableCell, ...]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of numbers, independent of the output format.

    Attributes:
        name: Stem of its file names.
        title: Title.
        columns: Columns with their headings.
        rows: Rows with one cell per column; the first cell names the row.
        notes: Explanations, printed below the table.
        cautions: Caveats, as (system, caveat), printed below the notes.
        about: Values that hold for all rows, as (name, value): in the title of a
            printed table, a column each in CSV.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    about: tuple[tuple[str, str], ...] = field(default=())
    cautions: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"table {self.name}: a row of {len(row.cells)} cells below "
                    f"{len(self.columns)} columns"
                )

    @property
    def heading(self) -> str:
        """The title, followed by the facts that hold for all rows."""
        return "; ".join([self.title, *(f"{n}: {v}" for n, v in self.about)])

    @property
    def texts(self) -> list[list[str]]:
        """The cells as text, row by row."""
        return [
            [
                to_text(c, column)
                for c, column in zip(r.cells, self.columns, strict=True)
            ]
            for r in self.rows
        ]

    @property
    def of_words(self) -> list[bool]:
        """Whether each column holds text."""
        return [
            any(isinstance(row.cells[i], str) for row in self.rows)
            for i, _ in enumerate(self.columns)
        ]

    def of_rows(self, start: int, end: int) -> Table:
        """Return the table with rows `start` to `end` (excluded) only."""
        return replace(self, rows=self.rows[start:end])

    def without_empty(self) -> Table:
        """Return the table without the columns that are empty in all rows."""
        kept = [
            i
            for i, _ in enumerate(self.columns)
            if any(row.cells[i] not in (None, "") for row in self.rows)
        ]
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            rows=tuple(
                Row(tuple(row.cells[i] for i in kept), row.strong) for row in self.rows
            ),
        )


def notes_of(tables: Iterable[Table]) -> list[str]:
    """Return the notes and caveats of tables, each once.

    A caveat that several systems share names all of them.
    """
    tables = list(tables)
    whom: dict[str, dict[str, None]] = {}
    for name, caution in (pair for table in tables for pair in table.cautions):
        whom.setdefault(caution, {})[name] = None
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    return [*notes, *(f"{'; '.join(who)}: {text}" for text, who in whom.items())]


def with_shared_notes(tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """Return tables with only the notes of their own, and the notes that they share.

    Caveats are about systems, and so shared wherever there are several tables.
    """
    if len(tables) < 2:
        return list(tables), []
    counts = Counter(note for table in tables for note in table.notes)
    shared = {note for note, n in counts.items() if n > 1}
    common = [
        replace(table, notes=tuple(note for note in table.notes if note in shared))
        for table in tables
    ]
    own = [
        replace(
            table,
            notes=tuple(note for note in table.notes if note not in shared),
            cautions=(),
        )
        for table in tables
    ]
    return own, notes_of(common)


def turned(table: Table) -> Table:
    """Transpose a table to text, for few systems with many numbers."""
    first, *others = table.columns
    names = [Column(texts[0]) for texts in table.texts]
    rows = [
        Row((column.name, *(texts[i] for texts in table.texts)))
        for i, column in enumerate(others, 1)
    ]
    return replace(table, columns=(first, *names), rows=tuple(rows))


def to_text(cell: TableCell, column: Column) -> str:
    """Return one cell as text, in its column's number format.

    >>> to_text(Spread(0.595, 0.031), Column("WA"))
    '0.595 ± 0.031'
    >>> to_text(Bounded(0.05, -0.01, 0.11), Column("difference", signed=True))
    '+0.050 (-0.010 to +0.110)'
    >>> to_text(23491968, Column("parameters"))
    '23,491,968'
    >>> to_text(None, Column("parameters"))
    '-'
    """
    match cell:
        case None | str():
            return cell or "-"
        case int():
            return f"{cell:,}"
        case float():
            return _number(cell, column)
        case Spread(mean, sd):
            # A deviation has no sign, even in a column of differences.
            text, rest = _number(mean, column), f" ± {sd:.{column.digits}f}"
            known = not math.isnan(sd)
        case Bounded(value, low, high):
            text = _number(value, column)
            rest = f" ({_number(low, column)} to {_number(high, column)})"
            known = not math.isnan(low)
    return text + rest if known else text


def _number(value: float, column: Column) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:{'+' if column.signed else ''}.{column.digits}f}"
