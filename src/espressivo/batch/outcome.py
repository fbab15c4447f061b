"""Outcome of one recording in a batch: a report or a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from espressivo.report import moved
from espressivo.types import to_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.batch.entries import Entry
    from espressivo.model.window_statistics import WindowStatistics
    from espressivo.report import Report
    from espressivo.types import Unreadable


class Voices(NamedTuple):
    """Windows of one recording, as adaptation needs them; W windows, C emotions.

    D is the number of dimensions, which may be 0.

    Attributes:
        spans: First sample of each window and the one after its last, int64 [W, 2].
        probabilities: Probabilities of the plain model, float32 [W, C].
        dimensions: Dimensions, which adaptation does not change, float32 [W, D].
        vectors: Voice vectors, float32 [W, columns].
        statistics: Statistics of the vectors.
    """

    spans: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    dimensions: NDArray[np.float32]
    vectors: NDArray[np.float32]
    statistics: WindowStatistics


class Outcome(NamedTuple):
    """Outcome of one recording: exactly one of `report` and `failure` is set.

    Attributes:
        entry: The recording.
        report: Result of `row_of`.
        failure: Reason for the missing report; summaries count by its `kind`.
        voices: Its windows, in the first pass of an archive that is adapted.
    """

    entry: Entry
    report: dict[str, Any] | None = None
    failure: Unreadable | None = None
    voices: Voices | None = None


def voices_of(report: Report) -> Voices | None:
    """Return the windows of a report that was made with `voices`; None: no windows."""
    if report.voices is None or report.statistics is None or not report.estimates:
        return None
    segments = [estimate.segment for estimate in report.estimates]
    levels = [[*(e.dimensions or {}).values()] for e in report.estimates]
    return Voices(
        np.array([(s.start, s.end) for s in segments], np.int64),
        to_rows(report.estimates),
        np.array(levels, np.float32),
        report.voices,
        report.statistics,
    )


def row_of(report: Report) -> dict[str, Any]:
    """Return what tables tell of a report.

    This is `Report.to_dict` without `segments`, since tables contain only their total
    duration. If windows were adapted, each has `emotion_without` and `change` too.
    """
    row = report.to_dict()
    del row["segments"]
    effect = report.adaptation
    if not report.estimates:
        row["adaptation"] = None  # there was nothing to adapt
    elif effect is not None:
        pairs = zip(report.estimates, effect.without, strict=True)
        for window, (now, before) in zip(row["windows"], pairs, strict=True):
            window["emotion_without"] = before.emotion
            window["change"] = round(moved(now, before), 4)
        row["adaptation"]["several_speakers"] = effect.several is not None
    return row
