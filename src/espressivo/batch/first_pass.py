"""Files of the first pass over an archive that is adapted: Parquet, a row a recording.

They hold the plain model's report of each recording, and the voice vectors of its
windows, so that the second pass reads no sound.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.batch.outcome import Outcome, Voices
from espressivo.batch.tables import read_columns, table_bytes
from espressivo.errors import ArchiveError
from espressivo.model.window_statistics import WindowStatistics
from espressivo.types import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from espressivo.batch.entries import Entry

_COUNTS = ("n_windows", "n_recordings", "n_samples")
_ARRAYS = ("cells", "weights", "sums", "mean", "scatter")
_STATISTICS = (*_COUNTS, *_ARRAYS)
_WINDOWS = ("spans", "probabilities", "dimensions", "vectors")


def first_pass_file(outcomes: Iterable[Outcome]) -> bytes:
    """Return the content of a shard's file; its rows are in the order of outcomes."""
    return table_bytes([_row(outcome) for outcome in outcomes], _schema())


def read_outcomes(content: bytes, entries: Sequence[Entry]) -> Iterator[Outcome]:
    """Yield the outcomes in a shard's file.

    Args:
        content: Content of the file.
        entries: Recordings of the shard, in order.

    Raises:
        ArchiveError: The file is damaged, or of other recordings.
    """
    names = ("report", "failure", *_WINDOWS, *_STATISTICS)
    for entry, row in _rows(content, names, entries):
        if row["report"] is None:
            failure = Unreadable(**json.loads(row["failure"]))
            yield Outcome(entry, failure=failure)
        else:
            yield Outcome(entry, json.loads(row["report"]), voices=_voices(row))


def read_statistics(
    content: bytes, entries: Sequence[Entry]
) -> Iterator[tuple[Entry, WindowStatistics | None]]:
    """Yield each recording in a file with its statistics; None: it has no windows.

    Args:
        content: Content of the file.
        entries: Recordings of the shard, in order.

    Raises:
        ArchiveError: The file is damaged, or of other recordings.
    """
    for entry, row in _rows(content, _STATISTICS, entries):
        yield entry, _statistics(row)


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"id": outcome.entry.id}
    if outcome.failure is not None:
        failure = {**asdict(outcome.failure), "path": str(outcome.failure.path)}
        row["failure"] = json.dumps(failure)
    if outcome.report is not None:
        # The windows are made anew in the second pass.
        row["report"] = json.dumps({**outcome.report, "windows": []})
    if (voices := outcome.voices) is not None:
        row |= {name: getattr(voices, name).ravel() for name in _WINDOWS}
        row |= {name: getattr(voices.statistics, name) for name in _COUNTS}
        row |= {name: getattr(voices.statistics, name).ravel() for name in _ARRAYS}
    return row


def _voices(row: dict[str, Any]) -> Voices | None:
    if (statistics := _statistics(row)) is None:
        return None
    n = statistics.n_windows
    return Voices(
        np.array(row["spans"], np.int64).reshape(n, 2),
        np.array(row["probabilities"], np.float32).reshape(n, -1),
        np.array(row["dimensions"], np.float32).reshape(n, len(row["dimensions"]) // n),
        np.array(row["vectors"], np.float32).reshape(n, -1),
        statistics,
    )


def _statistics(row: dict[str, Any]) -> WindowStatistics | None:
    if row["n_windows"] is None:
        return None
    n_cells, n_axes = len(row["weights"]), len(row["mean"])
    return WindowStatistics(
        **{name: row[name] for name in _COUNTS},
        cells=np.array(row["cells"], np.int64).reshape(n_cells, -1),
        weights=np.array(row["weights"], np.float64),
        sums=np.array(row["sums"], np.float64).reshape(n_cells, -1),
        mean=np.array(row["mean"], np.float64),
        scatter=np.array(row["scatter"], np.float64).reshape(n_axes, n_axes),
    )


def _rows(
    content: bytes, names: Sequence[str], entries: Sequence[Entry]
) -> Iterator[tuple[Entry, dict[str, Any]]]:
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`

    try:
        ids, *columns = read_columns(content, ("id", *names))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _damaged(error) from error
    if ids != [entry.id for entry in entries]:
        raise _damaged("it is of other recordings")
    for entry, *values in zip(entries, *columns, strict=True):
        yield entry, dict(zip(names, values, strict=True))


def _damaged(why: Exception | str) -> ArchiveError:
    return ArchiveError(
        f"a file of the first pass is damaged ({str(why).strip()}); delete the folder "
        "`voices`, and give the command again, which hears all of it anew"
    )


def _schema() -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`

    whole, half, full = (pa.list_(t) for t in (pa.int64(), pa.float32(), pa.float64()))
    return pa.schema(
        [
            *((name, pa.string()) for name in ("id", "report", "failure")),
            *zip(_WINDOWS, (whole, *3 * (half,)), strict=True),
            *((name, pa.int64()) for name in _COUNTS),
            *zip(_ARRAYS, (whole, *4 * (full,)), strict=True),
        ]
    )
