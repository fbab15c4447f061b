"""Public names of `espressivo.batch`: the analysis of many recordings.

>>> from espressivo.archive import analyze_archive
>>> summary = analyze_archive("notes", "tables")  # doctest: +SKIP
"""

from espressivo.batch import (
    AdaptationSummary,
    ArchiveOptions,
    ArchiveProgress,
    Entry,
    Summary,
    analyze_archive,
    find_entries,
    read_summary,
)

Progress = ArchiveProgress
"""Earlier name of `ArchiveProgress`."""

__all__ = [
    "AdaptationSummary",
    "ArchiveOptions",
    "ArchiveProgress",
    "Entry",
    "Progress",
    "Summary",
    "analyze_archive",
    "find_entries",
    "read_summary",
]
