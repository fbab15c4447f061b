"""CSV as Excel opens it by a double click: marked as UTF-8, and without formulas."""

from __future__ import annotations

import csv
import re
from io import StringIO

# Excel, LibreOffice and Google Sheets run cells that begin so as formulas, also in
# full-width letters and after white space (OWASP, "CSV Injection").
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_BREAKS = ("\t", "\r", "\n")


def to_excel(text: str, *, first: bool = True) -> str:
    r"""Return CSV text with a byte order mark, and with formulas made text.

    Cells that would be formulas begin with an apostrophe; numbers stay. All cells are
    quoted, since a semicolon separates cells where Excel has a decimal comma.

    >>> to_excel("name,share\n=1+1.ogg,-0.5\n")
    '\ufeff"name","share"\r\n"\'=1+1.ogg","-0.5"\r\n'

    Args:
        text: CSV with commas.
        first: Whether the text begins a file; only then it gets the mark.
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    for row in csv.reader(StringIO(text, newline="")):
        writer.writerow(map(_defused, row))
    return ("\ufeff" if first else "") + out.getvalue()


def _defused(cell: str) -> str:
    if _NUMBER.fullmatch(cell):
        return cell
    acts = cell.startswith(_BREAKS) or _FORMULA.match(cell)
    return f"'{cell}" if acts else cell
