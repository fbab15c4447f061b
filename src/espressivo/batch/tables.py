"""The three tables of an archive: recordings, windows, failures (Parquet)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from espressivo.text import to_unicode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from espressivo.batch.outcome import Outcome
    from espressivo.batch.selection import LeftOut
    from espressivo.types import Emotion

    _Row = dict[str, Any]

TABLES = ("windows", "failures", "recordings")
"""Names of the tables in the order of writing; the last file finishes a part."""


def parts_of(
    outcomes: Iterable[Outcome], emotions: Sequence[Emotion]
) -> dict[str, bytes]:
    """Return the content of one Parquet file per table; equal outcomes, equal bytes.

    Args:
        outcomes: Outcomes of the recordings, in the order of rows.
        emotions: Names of the probability columns, in order.
    """
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`
    from pyarrow import parquet  # noqa: PLC0415

    rows: dict[str, list[_Row]] = {table: [] for table in TABLES}
    for outcome in outcomes:
        if outcome.report is None:
            rows["failures"].append(_failure(outcome))
        else:
            rows["recordings"].append(_recording(outcome, outcome.report, emotions))
            rows["windows"] += _windows(outcome, outcome.report)
    files = {}
    for table, schema in _schemas(emotions).items():
        sink = pa.BufferOutputStream()
        parquet.write_table(
            pa.Table.from_pylist(rows[table], schema), sink, compression="zstd"
        )
        files[table] = sink.getvalue().to_pybytes()
    return files


def left_out_table(left_out: Iterable[LeftOut]) -> bytes:
    """Return the content of the Parquet file that lists what was left out."""
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`
    from pyarrow import parquet  # noqa: PLC0415

    schema = pa.schema([(name, pa.string()) for name in ("path", "kind")])
    rows = [item._asdict() for item in left_out]
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(rows, schema), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _recording(outcome: Outcome, report: _Row, emotions: Sequence[Emotion]) -> _Row:
    values = ("duration_s", "speech_s", "speech_share", "emotion", "uncertain")
    return {
        "id": outcome.entry.id,
        "path": to_unicode(outcome.entry.path),
        # Without speech, emotion, uncertain and probabilities are null.
        **{name: report[name] for name in values},
        **(report["probabilities"] or dict.fromkeys(emotions)),
        "n_windows": len(report["windows"]),
        "warnings": [to_unicode(warning) for warning in report["warnings"]],
        "model": report["model"]["name"],
        "model_version": report["model"]["version"],
        "model_sha256": report["model"]["sha256"],
    }


def _windows(outcome: Outcome, report: _Row) -> Iterator[_Row]:
    for index, window in enumerate(report["windows"]):
        names = ("start_s", "end_s", "emotion", "uncertain")
        yield {
            "id": outcome.entry.id,
            "index": index,
            **{name: window[name] for name in names},
            **window["probabilities"],
        }


def _failure(outcome: Outcome) -> _Row:
    assert outcome.failure is not None  # there is no report
    return {
        "id": outcome.entry.id,
        "path": to_unicode(outcome.entry.path),
        "kind": outcome.failure.kind,
        "reason": to_unicode(outcome.failure.reason),
    }


def _schemas(emotions: Sequence[Emotion]) -> dict[str, pa.Schema]:
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`

    text, real, whole = pa.string(), pa.float64(), pa.int32()
    found = {"emotion": text, "uncertain": pa.bool_()}
    found |= dict.fromkeys(map(str, emotions), real)
    named = dict.fromkeys(("id", "path"), text)
    span = dict.fromkeys(("start_s", "end_s"), real)
    lengths = dict.fromkeys(("duration_s", "speech_s", "speech_share"), real)
    model = dict.fromkeys(("model", "model_version", "model_sha256"), text)
    rest = {"n_windows": whole, "warnings": pa.list_(text)}
    columns: dict[str, dict[str, pa.DataType]] = {
        "windows": {"id": text, "index": whole, **span, **found},
        "failures": {**named, "kind": text, "reason": text},
        "recordings": {**named, **lengths, **found, **rest, **model},
    }
    return {name: pa.schema([*fields.items()]) for name, fields in columns.items()}
