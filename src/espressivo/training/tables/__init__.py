"""Tables of cross-validation results, and the report that holds them all."""

from espressivo.training.tables.build import (
    class_table,
    confusion_table,
    dimension_table,
    fold_table,
    interval_table,
    main_table,
)
from espressivo.training.tables.comparison import comparison_table, published_table
from espressivo.training.tables.costs import read_points
from espressivo.training.tables.render import (
    FORMATS,
    tables_to_html,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
)
from espressivo.training.tables.report import REPORT, all_tables, write_report
from espressivo.training.tables.table import (
    Bounded,
    Column,
    Row,
    Table,
    TableCell,
    notes_of,
    turned,
    with_shared_notes,
)

__all__ = [
    "FORMATS",
    "REPORT",
    "Bounded",
    "Column",
    "Row",
    "Table",
    "TableCell",
    "all_tables",
    "class_table",
    "comparison_table",
    "confusion_table",
    "dimension_table",
    "fold_table",
    "interval_table",
    "main_table",
    "notes_of",
    "published_table",
    "read_points",
    "tables_to_html",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "turned",
    "with_shared_notes",
    "write_report",
]
