"""Tables of numbers with intervals, as Markdown and CSV."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from espressivo.training.scores.bootstrap import Interval, percentile_interval

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.training.scores.metrics import Floats


class Cell(NamedTuple):
    """A number, with its 95 % interval where it has one."""

    value: float
    interval: Interval | None = None

    @classmethod
    def of(cls, draws: Floats) -> Cell:
        """Return the cell of a number [1 + R]: as measured, then in R resamples."""
        return cls(float(draws[0]), percentile_interval(draws[1:]))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a study.

    Attributes:
        name: Its name in the CSV.
        title: What it shows, with the unit.
        places: Digits after the point in Markdown.
        signed: Whether positive numbers have a sign in Markdown.
        rows: Name of a row -> name of a column -> the cell.
    """

    name: str
    title: str
    places: int = 2
    signed: bool = False
    rows: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def to_markdown(self) -> str:
        """Return the title and the table."""
        columns = list(
            dict.fromkeys(name for row in self.rows.values() for name in row)
        )
        lines = [
            f"**{self.title}**",
            "",
            "| | " + " | ".join(columns) + " |",
            "|---|" + "---|" * len(columns),
        ]
        for name, row in self.rows.items():
            cells = [self._text(row[c]) if c in row else "" for c in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join([*lines, ""])

    def _text(self, cell: Cell) -> str:
        sign = "+" if self.signed else ""
        numbers = (
            cell.value,
            *((cell.interval.low, cell.interval.high) if cell.interval else ()),
        )
        # "+ 0.0" turns a rounded -0.0 into 0.0.
        first, *ends = (
            f"{round(v, self.places) + 0.0:{sign}.{self.places}f}" for v in numbers
        )
        return f"{first} ({' to '.join(ends)})" if ends else first


def write_csv(tables: list[Table], path: Path) -> None:
    """Write all tables as one, a line for each cell."""
    rows = [["table", "row", "column", "value", "low", "high"]]
    for table in tables:
        for name, row in table.rows.items():
            for column, (value, interval) in row.items():
                ends = (interval.low, interval.high) if interval else ()
                numbers = [f"{v:.4f}" for v in (value, *ends)]
                rows.append(
                    [table.name, name, column, *numbers, *[""] * (3 - len(numbers))]
                )
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
