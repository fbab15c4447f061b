"""Many recordings: analysed by several processes into Parquet, resumable.

>>> from espressivo.archive import analyze_archive
>>> summary = analyze_archive("notes", "tables")  # doctest: +SKIP
"""

from espressivo.archive.entries import Entry, find_entries
from espressivo.archive.run import ArchiveOptions, Progress, analyze_archive
from espressivo.archive.summary import Summary, read_summary

__all__ = [
    "ArchiveOptions",
    "Entry",
    "Progress",
    "Summary",
    "analyze_archive",
    "find_entries",
    "read_summary",
]
