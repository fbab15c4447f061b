"""`espressivo tables`: results of cross-validations as tables, figures and a page."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_excel
from espressivo.cli.display.printing import print_csv, print_lines, say

if TYPE_CHECKING:
    from espressivo.training.tables import Table

_FORMATS = ("markdown", "latex", "csv")
_TABLES = (
    *("main", "intervals", "comparison", "published"),
    *("emotions", "dimensions", "folds", "confusion"),
)

_DESCRIPTION = """\
Make tables of results that `espressivo crossval` wrote, from its predictions alone:
nothing is trained or run again. Each RESULT is one system. The main table contains
weighted accuracy (WA, the share of correct utterances), unweighted accuracy (UA, the
mean of the four recalls) and F1, each as mean ± standard deviation over folds, and the
UA of all test predictions with its 95 % interval over speakers. An unfinished result is
shown with its finished folds, and marked. Dimensions (arousal, valence, dominance)
have a table of their own with CCC, RMSE and Pearson's correlation. If a corpus has both
calm and neutral, scores with calm as neutral and scores without calm are shown side by
side."""

_EPILOG = """\
examples:
  espressivo tables runs/light-sernet runs/whisper
  espressivo tables runs/whisper --against runs/light-sernet   # better? interval, p
  espressivo tables runs/whisper --table folds --table emotions
  espressivo tables runs/whisper --latex > table.tex
  espressivo tables runs/* --out report                        # report.html and files
  espressivo tables runs/* --costs costs.csv --out report      # UA against size, time

exit codes:
  0 done, 1 a result folder is at fault"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "tables",
        help="tables, figures and a page of what cross-validation found",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULT",
        help="a folder that `espressivo crossval` wrote",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="RESULT",
        help="compare each with this one, on the utterances that both answered",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="also write report.html, and every table and figure, into this folder",
    )
    parser.add_argument(
        "--calibrated",
        action="store_true",
        help="score every run at the temperature fitted to its validation part, which "
        "changes ECE and no answer (default: as it was trained)",
    )
    parser.add_argument(
        "--costs",
        type=Path,
        metavar="CSV",
        help="draw UA against these (needs --out): columns name, size_mb, time_ms; and "
        "ua, low, high, published for systems that are not among the results",
    )
    parser.add_argument(
        "--table",
        action="append",
        choices=_TABLES,
        metavar="NAME",
        help=f"print this table, of {', '.join(_TABLES)}; may be given again (default: "
        "main; dimensions where they are rated; comparison with --against)",
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--format", choices=_FORMATS, help="print in this form, not for a terminal"
    )
    for form in _FORMATS:
        forms.add_argument(
            f"--{form}",
            dest="format",
            action="store_const",
            const=form,
            help=f"the same as --format {form}",
        )
    add_excel(parser)
    parser.set_defaults(run=run, error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Print the requested tables, and write all tables with --out."""
    from espressivo.errors import EspressivoError
    from espressivo.training.scores.crossval_results import read_results
    from espressivo.training.tables import (
        FORMATS,
        all_tables,
        read_points,
        write_report,
    )

    form = _form(args)
    if args.costs is not None and args.out is None:
        raise EspressivoError("--costs is for a figure; name its folder with --out")
    results = [read_results(folder) for folder in args.results]
    against = read_results(args.against) if args.against is not None else None
    if args.calibrated:
        results = [one.calibrated() for one in results]
        against = None if against is None else against.calibrated()
    points = read_points(args.costs, results) if args.costs is not None else ()
    tables = all_tables(results, against)
    wanted = args.table or ["main", "dimensions", "comparison"]
    shown = [t for name in wanted for t in tables if _is(t, name)]
    if not args.table:
        shown.sort(key=tables.index)  # the result first
    if not shown:
        raise EspressivoError(
            f"there is no table {' or '.join(wanted)} here; comparison needs "
            "--against, published a corpus that others published on, and dimensions "
            "ratings"
        )
    if form is not None:
        _, write = FORMATS[form]
        text = "\n".join(write(table) for table in shown)
        if form == "csv":
            print_csv(text, excel=args.excel)
        else:
            print_lines(text)
    else:
        from espressivo.cli.display.console import PlainConsole
        from espressivo.cli.display.tables import print_tables

        print_tables(PlainConsole(), shown)
    if args.out is not None:
        command = shlex.join(["espressivo", *sys.argv[1:]])
        page = write_report(
            results, args.out, against, points, command=command, excel=args.excel
        )
        if form is None:
            say(f"wrote {page}")
    return 0


def _form(args: argparse.Namespace) -> str | None:
    """Return the name of the form to print in; None: for a terminal."""
    form: str | None = args.format
    if args.excel and form not in (None, "csv"):
        args.error(f"--excel is a form of CSV; leave --{form} out")
    return "csv" if args.excel and args.out is None else form


def _is(table: Table, name: str) -> bool:
    """Return whether a table has a name, or belongs to the group of that name."""
    return table.name == name or table.name.startswith(f"{name}-")
