"""Summary of a study: reports of finished results, and published comparisons."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from espressivo.training.reproduce.comparison import (
    PublishedComparison,
    comparison_tables,
    confusion_comparison,
    difference_table,
    table_two_comparison,
)
from espressivo.training.reproduce.studies import ENTRIES
from espressivo.training.scores.crossval_card import CARD
from espressivo.training.scores.crossval_results import read_results
from espressivo.training.scores.evaluation import PREDICTIONS
from espressivo.training.tables import (
    FORMATS,
    tables_to_html,
    write_report,
)
from espressivo.training.tables.page import PAGE, to_figure

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.training.tables import Table

SUMMARY = "summary.html"
"""File name of the page that compares published values with ours."""

TABLE_TWO = "table-II.json"
"""File name of Table II in the output folder of `espressivo reproduce paper`."""

# Group -> stem and title of its tables, and the result that its others are compared
# with.
_GROUPS = {
    "I": ("table-I", "Table I", "iemocap-only"),
    "production": ("production", "Production model", ""),
    "fig1": ("fig-1", "Fig. 1: the production model on RAVDESS", ""),
    "all": ("all", "Published beside ours", "our-folds"),
}


def write_summary(study: str, out: Path) -> tuple[list[Path], list[Table]]:
    """Write a report for each table of a study, and one summary of all.

    `out/report/TABLE/` has all tables and figures of the results of one table, with
    intervals and paired comparisons. `out/summary.html`, and `out/summary/` as
    Markdown, LaTeX and CSV, compare published values with ours. Missing results are
    left out.

    Args:
        study: One of `ENTRIES`.
        out: Folder that contains the result folders.

    Returns:
        The pages that were written, the summary first; and the summary's tables except
        Table II.

    Raises:
        TrainingError: A result is broken, or the folder cannot be written.
    """
    tables: list[Table] = []
    pages: list[Path] = []
    figures: list[str] = []
    for group, (name, title, base) in _GROUPS.items():
        pairs = {
            entry.name: PublishedComparison(
                entry.title, entry.published, read_results(out / entry.name)
            )
            for entry in ENTRIES[study]
            if entry.table == group and _has_answers(out / entry.name)
        }
        if not pairs:
            continue
        results = [pair.results for pair in pairs.values()]
        # The paired tests of a group need a result besides the base.
        against = pairs[base].results if base in pairs and len(pairs) > 1 else None
        tables += comparison_tables(name, title, list(pairs.values()))
        if group == "fig1":
            tables += map(confusion_comparison, pairs.values())
        if against is not None:
            tables += [
                difference_table(name, pair, pairs[base])
                for other, pair in pairs.items()
                if other != base
            ]
        pages.append(write_report(results, out / "report" / name, against))
        if group == "fig1":
            figures += map(_figure, sorted(pages[-1].parent.glob("figures/conf*.svg")))
    kept = out / TABLE_TWO
    if study == "paper" and kept.is_file():
        # Read from disk, since an earlier call may have made Table II.
        plain = json.loads(kept.read_text("utf-8"))
        return [
            _write([table_two_comparison(plain), *tables], figures, out),
            *pages,
        ], tables
    return [_write(tables, figures, out), *pages], tables


def _has_answers(folder: Path) -> bool:
    """Return whether a fold is finished, even if predictions are not merged yet."""
    if not (folder / CARD).is_file():
        return False
    return any(folder.glob(PREDICTIONS)) or any(folder.glob(f"*/seed-*/{PREDICTIONS}"))


def _write(tables: list[Table], figures: list[str], out: Path) -> Path:
    (out / "summary").mkdir(parents=True, exist_ok=True)
    for table in tables:
        for ending, write in FORMATS.values():
            path = out / "summary" / f"{table.name}.{ending}"
            path.write_text(write(table), "utf-8")
    shown = "\n".join(figures) or "<p>See the reports.</p>"
    page = PAGE.format(lead="", tables=tables_to_html(tables), figures=shown, end="")
    (out / SUMMARY).write_text(page, "utf-8")
    return out / SUMMARY


def _figure(path: Path) -> str:
    alt = (
        "Confusion matrices, the study's right; the tables above hold the same shares."
    )
    # Groups have figures of the same name.
    name = re.sub(r"\W+", "-", f"{path.parents[1].name}-{path.stem}")
    return to_figure(path.read_text("utf-8"), name, alt)
