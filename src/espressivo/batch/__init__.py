"""Batch analysis of many recordings to Parquet tables: parallel and resumable.

>>> from espressivo.archive import analyze_archive
>>> summary = analyze_archive("notes", "tables")  # doctest: +SKIP
"""

from espressivo.batch.entries import Entry, find_entries
from espressivo.batch.run import ArchiveOptions, ArchiveProgress, analyze_archive
from espressivo.batch.summary import AdaptationSummary, Summary, read_summary

__all__ = [
    "AdaptationSummary",
    "ArchiveOptions",
    "ArchiveProgress",
    "Entry",
    "Summary",
    "analyze_archive",
    "find_entries",
    "read_summary",
]
