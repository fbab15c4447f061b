"""The user's own recordings, listed in a CSV or Parquet table.

Columns `path`, `emotion` and `speaker` are required; `id`, `session`, `text` and
`corpus` are optional. Relative paths count from the table's folder.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TypeAlias

from espressivo.errors import CorpusError
from espressivo.training.corpora.utterance import Utterance, require_unique
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

REQUIRED = ("path", "emotion", "speaker")
OPTIONAL = ("id", "session", "text", "corpus")
_Rows: TypeAlias = "list[tuple[str, dict[str, str]]]"


def read_manifest(table: Path) -> list[Utterance]:
    """Read a table of utterances, sorted by id.

    Where a row does not say: id is the path as written, session the speaker, corpus
    the table's name without its ending.

    Raises:
        CorpusError: The table cannot be read, lacks a column, or has a row that
            lacks a value, names no emotion of ours, no file, or a file twice.
    """
    if not table.is_file():
        found = "is a folder, not a table" if table.is_dir() else "no such file"
        raise CorpusError(f"{table}: {found}; pass a .csv or .parquet manifest")
    readers: dict[str, Callable[[Path], _Rows]] = {
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    if table.suffix.lower() not in readers:
        raise CorpusError(
            f"{table}: ends in '{table.suffix}'; pass a .csv or .parquet manifest"
        )
    rows = readers[table.suffix.lower()](table)
    if not rows:
        raise CorpusError(f"{table}: has no rows; list one recording in each")
    utterances = [_utterance(table, where, row) for where, row in rows]
    require_unique((utterance.id, utterance.path) for utterance in utterances)
    require_unique((str(u.path.resolve()), u.path) for u in utterances)
    return sorted(utterances, key=lambda utterance: utterance.id)


def _csv_rows(table: Path) -> _Rows:
    try:
        # Spreadsheets put a byte order mark in front.
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _require_columns(table, reader.fieldnames or ())
            # A row may be shorter than the header, or longer: then the key is None.
            return [
                (f"line {reader.line_num}", {k: (v or "") for k, v in row.items() if k})
                for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"{table}: is no CSV in UTF-8 ({error}); save it as such"
        ) from error


def _parquet_rows(table: Path) -> _Rows:
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    try:
        columns = parquet.read_schema(table).names
        _require_columns(table, columns)
        wanted = [c for c in columns if c in (*REQUIRED, *OPTIONAL)]
        rows = parquet.read_table(table, columns=wanted).to_pylist()
    except pa.ArrowInvalid as error:
        raise CorpusError(
            f"{table}: is no Parquet file ({error}); write it again, or as .csv"
        ) from error
    return [
        (f"row {n}", {k: "" if v is None else str(v) for k, v in row.items()})
        for n, row in enumerate(rows, start=1)
    ]


def _require_columns(table: Path, columns: Iterable[str]) -> None:
    found = list(columns)
    if missing := [column for column in REQUIRED if column not in found]:
        raise CorpusError(
            f"{table}: has no column {', '.join(missing)} "
            f"(it has: {', '.join(found) or 'none'}); add it"
        )


def _utterance(table: Path, where: str, row: dict[str, str]) -> Utterance:
    values = {name: row.get(name, "").strip() for name in (*REQUIRED, *OPTIONAL)}
    for column in REQUIRED:
        if not values[column]:
            raise CorpusError(f"{table}, {where}, column {column}: is empty; fill it")
    path = table.parent / values["path"]
    if not path.is_file():
        raise CorpusError(
            f"{table}, {where}, column path: no such file: {path}; "
            "relative paths count from the manifest's folder"
        )
    corpus = values["corpus"] or table.stem
    return Utterance(
        id=_within(corpus, values["id"] or values["path"]),
        path=path,
        speaker=_within(corpus, values["speaker"]),
        session=_within(corpus, values["session"] or values["speaker"]),
        emotion=_emotion(f"{table}, {where}, column emotion", values["emotion"]),
        corpus=corpus,
        text=values["text"] or None,
        original=values["emotion"],
    )


def _emotion(where: str, value: str) -> Emotion:
    try:
        return Emotion(value.lower())
    except ValueError:
        raise CorpusError(
            f"{where}: '{value}' is not one of {', '.join(Emotion)}; "
            "rename it, or leave the row out"
        ) from None


def _within(corpus: str, name: str) -> str:
    # Two corpora may both have a speaker 1; one who wrote "ravdess/01" meant that.
    return name if name.startswith(f"{corpus}/") else f"{corpus}/{name}"
