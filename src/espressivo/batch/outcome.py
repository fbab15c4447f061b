"""What came of one recording: a report, or a failure with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from espressivo.batch.entries import Entry


class Failure(NamedTuple):
    """Why a recording has no report.

    Attributes:
        kind: In a word or two, to count by.
        reason: In a line, that begins with the recording's id.
    """

    kind: str
    reason: str


class Outcome(NamedTuple):
    """What came of one recording: the one or the other.

    Attributes:
        entry: Which recording.
        report: What `Report.to_dict` says of it.
        failure: Why there is none.
    """

    entry: Entry
    report: dict[str, Any] | None = None
    failure: Failure | None = None
