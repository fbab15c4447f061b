"""Tables of results, printed for a terminal."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from espressivo.training.tables import Table


def print_tables(console: Console, tables: Sequence[Table]) -> None:
    """Print tables; notes shared by consecutive tables follow the last of them."""
    for table, following in zip_longest(tables, tables[1:]):
        same = following is not None and following.notes == table.notes
        print_table(console, replace(table, notes=()) if same else table)


def print_table(console: Console, table: Table) -> None:
    """Print a table with its notes below."""
    from espressivo.training.tables import turned

    console.print(table.heading, style="bold")
    if table.name in ("main", "intervals", "dimensions"):
        # Wide tables with few rows are transposed, with as many systems as fit.
        # The labels take about 14 characters, and each system 26.
        abreast = max(1, (console.width - 14) // 26)
        for start in range(0, len(table.rows), abreast):
            _print_grid(console, turned(table.of_rows(start, start + abreast)))
    else:
        _print_grid(console, table)
    for note in table.notes:
        console.print(f"- {note}", style="dim")
    console.print()


def _print_grid(console: Console, table: Table) -> None:
    from rich import table as rich_table

    grid = rich_table.Table(box=None, pad_edge=False)
    for column, words in zip(table.columns, table.of_words, strict=True):
        grid.add_column(
            column.name, justify="left" if words else "right", overflow="fold"
        )
    for row, texts in zip(table.rows, table.texts, strict=True):
        grid.add_row(*texts, style="bold" if row.strong else None)
    console.print(grid)
    console.print()
