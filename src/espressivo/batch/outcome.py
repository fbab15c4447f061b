"""Outcome of one recording in a batch: a report or a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from espressivo.batch.entries import Entry
    from espressivo.types import Unreadable


class Outcome(NamedTuple):
    """Outcome of one recording: exactly one of `report` and `failure` is set.

    Attributes:
        entry: The recording.
        report: Result of `Report.to_dict`, without `segments`.
        failure: Reason for the missing report; summaries count by its `kind`.
    """

    entry: Entry
    report: dict[str, Any] | None = None
    failure: Unreadable | None = None
