"""What one recording gave: a report, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from espressivo.batch.entries import Entry
    from espressivo.types import Unreadable


class Outcome(NamedTuple):
    """What one recording gave: exactly one of a report and a failure.

    Attributes:
        entry: The recording.
        report: The document of `Report.to_dict`, without `segments`.
        failure: Why there is no report; its `kind` is what tables count by.
    """

    entry: Entry
    report: dict[str, Any] | None = None
    failure: Unreadable | None = None
