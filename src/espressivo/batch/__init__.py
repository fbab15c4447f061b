"""Many recordings: analysed by several processes into Parquet, resumable.

>>> from espressivo.archive import analyze_archive
>>> summary = analyze_archive("notes", "tables")  # doctest: +SKIP
"""

from espressivo.batch.entries import (
    Entry,
    find_entries,
)
from espressivo.batch.run import (
    ArchiveOptions,
    Progress,
    analyze_archive,
)
from espressivo.batch.summary import (
    Summary,
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
