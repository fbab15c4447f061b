"""Tables of results, printed for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from espressivo.training.tables import Table


def print_tables(console: Console, tables: Sequence[Table]) -> None:
    """Print tables; notes that they share follow the last, each once."""
    from espressivo.training.tables import notes_of, with_shared_notes

    own, shared = with_shared_notes(tables)
    for table in own:
        _print_table(console, table)
        _print_notes(console, notes_of([table]))
    _print_notes(console, shared)


def _print_table(console: Console, table: Table) -> None:
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


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"- {note}", style="dim")
    if notes:
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
