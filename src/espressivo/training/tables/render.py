"""Rendering of a table as Markdown, LaTeX, CSV or HTML."""

from __future__ import annotations

import csv
import io
import math
import re
from html import escape
from itertools import chain
from typing import TYPE_CHECKING

from espressivo.training.scores.pooled import Spread
from espressivo.training.tables.table import Bounded, notes_of, with_shared_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from espressivo.training.tables.table import Table, TableCell


def to_markdown(table: Table) -> str:
    """Return a table as GitHub's Markdown, with its notes below."""
    lines = [f"**{_markdown(table.heading)}**", ""]
    lines.append(_pipes([_markdown(column.name) for column in table.columns]))
    lines.append(
        # Numbers are right-aligned; the first column names the row.
        _pipes(["---" if i == 0 else "--:" for i, _ in enumerate(table.columns)])
    )
    for row, texts in zip(table.rows, table.texts, strict=True):
        cells = [_markdown(text) for text in texts]
        lines.append(_pipes([f"**{c}**" for c in cells] if row.strong else cells))
    lines += ["", *(f"- {_markdown(note)}" for note in notes_of([table]))]
    return "\n".join(lines).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """Return a table as LaTeX for booktabs; graphicx scales a wide one to fit."""
    columns = "".join("l" if words else "r" for words in table.of_words)
    # `table*` spans both columns of a two-column paper; the box scales to fit.
    wide = len(table.columns) > 8
    names = [rf"\textbf{{{_latex(column.name)}}}" for column in table.columns]
    rows = []
    for row, texts in zip(table.rows, table.texts, strict=True):
        cells = [_latex(text) for text in texts]
        bold = [rf"\textbf{{{cell}}}" for cell in cells]
        rows.append(" & ".join(bold if row.strong else cells) + r" \\")
    body = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(names) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if wide:
        # The % stops TeX from reading the end of the line as a space inside the box.
        body = [r"\resizebox{\textwidth}{!}{%", *body[:-1], r"\end{tabular}}"]
    kind = "table*" if wide else "table"
    notes = [rf"\footnotesize {_latex(note)}\par" for note in notes_of([table])]
    return "\n".join(
        [
            "% needs booktabs" + (" and graphicx" if wide else ""),
            rf"\begin{{{kind}}}",
            r"\centering",
            rf"\caption{{{_latex(table.heading)}}}",
            rf"\label{{tab:{re.sub('[^a-z0-9-]', '-', table.name.lower())}}}",
            *body,
            r"\par\smallskip\raggedright" if notes else "",
            *notes,
            rf"\end{{{kind}}}",
            "",
        ]
    )


def to_csv(table: Table) -> str:
    """Return a table as CSV with unrounded numbers, one per column, and no notes.

    Values that hold for all rows get their own columns. A standard deviation follows
    its mean as `... sd`; an interval follows its value as `... low` and `... high`.
    """
    by_column = list(zip(*(row.cells for row in table.rows), strict=True))
    by_column = by_column or [() for _ in table.columns]
    kinds = [_endings(cells) for cells in by_column]
    out = io.StringIO()
    # The csv module's default is CR LF; all other files here have LF.
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [name for name, _ in table.about]
        + [
            c.name + e
            for c, kind in zip(table.columns, kinds, strict=True)
            for e in kind
        ]
    )
    about = [value for _, value in table.about]
    for row in table.rows:
        cells = (
            _numbers(cell, kind) for cell, kind in zip(row.cells, kinds, strict=True)
        )
        writer.writerow([*about, *chain.from_iterable(cells)])
    return out.getvalue()


def to_html(table: Table) -> str:
    """Return a table as HTML: a caption, headings with their scope, notes below."""
    right = ' class="n"'
    lines = [
        (
            # Focusable, so that a table wider than the screen scrolls by keyboard, too.
            '<div class="table" tabindex="0" role="group" '
            f'aria-label="{escape(table.title)}">'
        ),
        "<table>",
        f"<caption>{escape(table.heading)}</caption>",
        "<thead><tr>",
        *(
            f'<th scope="col"{"" if words else right}>{escape(column.name)}</th>'
            for column, words in zip(table.columns, table.of_words, strict=True)
        ),
        "</tr></thead>",
        "<tbody>",
    ]
    for row, (first, *texts) in zip(table.rows, table.texts, strict=True):
        lines.append('<tr class="strong">' if row.strong else "<tr>")
        lines.append(f'<th scope="row">{escape(first)}</th>')
        for cell, text in zip(row.cells[1:], texts, strict=True):
            kind = ' class="long"' if len(text) > 24 else ""
            kind = kind if isinstance(cell, str) else right
            lines.append(f"<td{kind}>{escape(text)}</td>")
        lines.append("</tr>")
    lines += ["</tbody>", "</table>", "</div>"]
    return "\n".join([*lines, *_listed(notes_of([table]))]) + "\n"


def tables_to_html(tables: Sequence[Table]) -> str:
    """Return tables as HTML; notes that they share follow the last, each once."""
    own, shared = with_shared_notes(tables)
    heading = ["<h3>Notes</h3>"] if shared else []
    return "\n".join([*map(to_html, own), *heading, *_listed(shared)])


FORMATS: dict[str, tuple[str, Callable[[Table], str]]] = {
    "markdown": ("md", to_markdown),
    "latex": ("tex", to_latex),
    "csv": ("csv", to_csv),
}
"""Name of a format -> ending of its files, and the function that renders it."""

# In TeX's default font encoding, <, > and | in text print as other signs.
_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    **{mark: rf"\{mark}" for mark in "&%$#_{}"},
}


def _latex(text: str) -> str:
    # Letter by letter, or the braces of one replacement would be replaced again.
    whole = "".join(_TEX.get(letter, letter) for letter in " ".join(text.split()))
    return re.sub(r"(?<![\w.])-(?=\d)", "$-$", whole)  # a minus, not a hyphen


def _markdown(text: str) -> str:
    # Joined into one line: a newline or a bare pipe would break the table's row.
    marked = re.sub(r"([\\|*`<\[\]])", r"\\\1", " ".join(text.split()))
    # GitHub's Markdown takes an underscore inside a word literally.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", marked)


def _listed(notes: Sequence[str]) -> list[str]:
    items = (f"<li>{escape(note)}</li>" for note in notes)
    return ['<ul class="notes">', *items, "</ul>"] if notes else []


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _endings(cells: tuple[TableCell, ...]) -> tuple[str, ...]:
    """Return the suffixes of the CSV columns that one column becomes."""
    kinds = {type(cell) for cell in cells}
    bounds = (" low", " high") if Bounded in kinds else ()
    return ("", *((" sd",) if Spread in kinds else ()), *bounds)


def _numbers(cell: TableCell, endings: tuple[str, ...]) -> list[str | float]:
    parts: dict[str, TableCell]
    match cell:
        case Spread(mean, sd):
            parts = {"": mean, " sd": sd}
        case Bounded(value, low, high):
            parts = {"": value, " low": low, " high": high}
        case _:
            parts = {"": cell}
    return [_plain(parts.get(ending)) for ending in endings]


def _plain(value: TableCell) -> str | float:
    if isinstance(value, float):
        # Empty cells are read as missing; digits beyond the ninth are rounding of sums.
        return "" if math.isnan(value) else round(value, 9)
    return "" if value is None else str(value)
