"""What `espressivo archive` does, for Python; made in `espressivo.batch`.

>>> from espressivo.archive import analyze_archive
>>> summary = analyze_archive("notes", "tables")  # doctest: +SKIP
"""

from espressivo.batch import (
    ArchiveOptions,
    Entry,
    Progress,
    Summary,
    analyze_archive,
    find_entries,
    read_summary,
)

__all__ = [
    "ArchiveOptions",
    "Entry",
    "Progress",
    "Summary",
    "analyze_archive",
    "find_entries",
    "read_summary",
]
