"""The three tables of an archive: recordings, windows, failures (Parquet)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from espressivo.errors import ArchiveError
from espressivo.text import to_unicode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from espressivo.batch.outcome import Outcome
    from espressivo.batch.selection import LeftOut
    from espressivo.types import Dimension, Emotion

    _Row = dict[str, Any]

_EFFECTS = (
    "emotion_without",
    "change",
    "weight",
    "offset",
    "deviation",
    "several_speakers",
)
"""Columns of adapted recordings, from the entry `adaptation` of their reports."""

TABLES = ("windows", "failures", "recordings")
"""Names of the tables in the order of writing; the last file finishes a part."""


def parts_of(
    outcomes: Iterable[Outcome],
    emotions: Sequence[Emotion],
    dimensions: Sequence[Dimension] = (),
    *,
    adapted: bool = False,
    columns: Sequence[str] = (),
) -> dict[str, bytes]:
    """Return the content of one Parquet file per table; equal outcomes, equal bytes.

    Args:
        outcomes: Outcomes of the recordings, in the order of rows.
        emotions: Names of the probability columns, in order.
        dimensions: Names of the columns of dimensions, in order.
        adapted: Whether reports have the entry `adaptation`, and tables its columns.
        columns: Names of the columns of the manifest's `Entry.cells`.
    """
    rows: dict[str, list[_Row]] = {table: [] for table in TABLES}
    for outcome in outcomes:
        cells = map(to_unicode, outcome.entry.cells)
        told = {k: cell or None for k, cell in zip(columns, cells, strict=True)}
        if outcome.report is None:
            rows["failures"].append(told | _failure(outcome))
        else:
            row = _recording(outcome, outcome.report, [*emotions, *dimensions])
            rows["recordings"].append(told | row)
            rows["windows"] += _windows(outcome, outcome.report)
    schemas = _schemas([*emotions, *dimensions], adapted=adapted, columns=columns)
    return {table: table_bytes(rows[table], schemas[table]) for table in schemas}


def columns_of_manifest(
    columns: Sequence[str],
    emotions: Sequence[Emotion],
    dimensions: Sequence[Dimension] = (),
    *,
    adapted: bool = False,
) -> tuple[str, ...]:
    """Return the names that a manifest's columns have in the tables.

    Where a name is that of a column of ours, `manifest_` is put before it.

    Raises:
        ArchiveError: Another column has that name already.
    """
    schemas = _schemas([*emotions, *dimensions], adapted=adapted)
    ours = {name for schema in schemas.values() for name in schema.names}
    ours -= {"group", "speaker"}  # ours are the manifest's
    named = tuple(
        f"manifest_{name}" if name.casefold() in ours else name for name in columns
    )
    for name, given in zip(named, columns, strict=True):
        if named.count(name) > 1:
            raise ArchiveError(
                f"the manifest's column {given} would be {name} in the tables, as "
                "another one is; rename one"
            )
    return named


def left_out_table(left_out: Iterable[LeftOut]) -> bytes:
    """Return the content of the Parquet file that lists what was left out."""
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`

    schema = pa.schema([(name, pa.string()) for name in ("path", "kind")])
    return table_bytes([item._asdict() for item in left_out], schema)


def table_bytes(rows: Sequence[_Row], schema: pa.Schema) -> bytes:
    """Return the content of a Parquet file."""
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`
    from pyarrow import parquet  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist([*rows], schema)
    parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def is_whole(size: int, end: bytes) -> bool:
    """Return whether a Parquet file is there as a whole, as far as its end tells.

    The last bytes of a file say how long its columns are; a file that was cut, at the
    end or in the middle, is shorter.

    Args:
        size: Size of the file, in bytes.
        end: Its last bytes.
    """
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`
    from pyarrow import parquet  # noqa: PLC0415

    magic, n_footer = end[-4:], int.from_bytes(end[-8:-4], "little")
    if magic != b"PAR1" or n_footer + 12 > size:
        return False
    if n_footer + 8 > len(end):
        return True  # of thousands of columns, of which the end tells nothing
    try:
        found = parquet.read_metadata(pa.BufferReader(magic + end[-n_footer - 8 :]))
    except (pa.ArrowException, OSError):
        return False
    groups = [found.row_group(i) for i in range(found.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(found.num_columns)]
    n_bytes = len(magic) + sum(column.total_compressed_size for column in columns)
    return bool(n_bytes <= size - n_footer - 8)


def read_columns(content: bytes, names: Sequence[str]) -> list[list[Any]]:
    """Return columns of a Parquet file."""
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`
    from pyarrow import parquet  # noqa: PLC0415

    # On this thread alone: Arrow's own threads may free Python's bytes while the
    # interpreter ends, which aborts the process when all is done.
    with parquet.ParquetFile(pa.BufferReader(content), pre_buffer=False) as part:
        rows = part.read(columns=[*names], use_threads=False)
    return [rows[name].to_pylist() for name in names]


def _recording(outcome: Outcome, report: _Row, measured: Sequence[str]) -> _Row:
    values = ("duration_s", "speech_s", "speech_share", "emotion", "uncertain")
    moved = report.get("adaptation") or {}
    return {
        "id": outcome.entry.id,
        "path": to_unicode(outcome.entry.path),
        # Without speech, emotion, uncertain, probabilities and dimensions are null.
        **{name: report[name] for name in values},
        **dict.fromkeys(measured),
        **(report["probabilities"] or {}),
        **(report["dimensions"] or {}),
        **{name: moved[name] for name in _EFFECTS if name in moved},
        "group": to_unicode(outcome.entry.group) or None,
        "speaker": to_unicode(outcome.entry.speaker) or None,
        "n_windows": len(report["windows"]),
        "warnings": [to_unicode(warning) for warning in report["warnings"]],
        "model": report["model"]["name"],
        "model_version": report["model"]["version"],
        "model_sha256": report["model"]["sha256"],
    }


def _windows(outcome: Outcome, report: _Row) -> Iterator[_Row]:
    for index, window in enumerate(report["windows"]):
        id_ = outcome.entry.id
        values = window["probabilities"] | (window["dimensions"] or {})
        yield {"id": id_, "index": index, **window, **values}


def _failure(outcome: Outcome) -> _Row:
    assert outcome.failure is not None  # there is no report
    return {
        "id": outcome.entry.id,
        "path": to_unicode(outcome.entry.path),
        "kind": outcome.failure.kind,
        "reason": to_unicode(outcome.failure.reason),
    }


def _schemas(
    measured: Sequence[str], *, adapted: bool, columns: Sequence[str] = ()
) -> dict[str, pa.Schema]:
    """Return the columns of each table, which are taken from rows by name."""
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`

    text, real, whole = pa.string(), pa.float64(), pa.int32()
    found = {"emotion": text, "uncertain": pa.bool_()}
    found |= dict.fromkeys(map(str, measured), real)
    named = dict.fromkeys(("id", "path"), text)
    span = dict.fromkeys(("start_s", "end_s"), real)
    lengths = dict.fromkeys(("duration_s", "speech_s", "speech_share"), real)
    model = dict.fromkeys(("model", "model_version", "model_sha256"), text)
    rest = {"n_windows": whole, "warnings": pa.list_(text)}
    moved = {"emotion_without": text, "change": real} if adapted else {}
    history = dict.fromkeys(("weight", "offset", "deviation"), real)
    adaptation = {"group": text, "speaker": text, **moved, **history}
    adaptation = adaptation | {"several_speakers": pa.bool_()} if adapted else {}
    told = dict.fromkeys(columns, text)
    recording = {**named, **lengths, **found, **adaptation, **rest, **model}
    tables: dict[str, dict[str, pa.DataType]] = {
        "windows": {"id": text, "index": whole, **span, **found, **moved},
        "failures": {**named, "kind": text, "reason": text, **told},
        "recordings": {**recording, **told},
    }
    return {name: pa.schema([*fields.items()]) for name, fields in tables.items()}
