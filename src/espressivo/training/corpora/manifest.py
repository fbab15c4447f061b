"""Manifest: a CSV or Parquet table that lists the user's own recordings.

Columns `path`, `emotion` and `speaker` are required; `id`, `session`, `text` and
`corpus` are optional. Relative paths start at the table's folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.files.tables import read_rows
from espressivo.training.corpora.utterance import Utterance, require_unique
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

REQUIRED = ("path", "emotion", "speaker")
OPTIONAL = ("id", "session", "text", "corpus")


def read_manifest(table: Path) -> list[Utterance]:
    """Read a table of utterances, sorted by id.

    Defaults of a row: the id is the path as written, the session is the speaker, and
    the corpus is the table's name without its ending.

    Raises:
        CorpusError: The table cannot be read, lacks a column, or has a row that
            lacks a value, names an emotion other than the four or a file that is
            absent or already listed.
    """
    if not table.is_file():
        found = "is a folder, not a table" if table.is_dir() else "no such file"
        raise CorpusError(f"{table}: {found}; pass a .csv or .parquet manifest")
    rows = read_rows(table, "manifest", REQUIRED, OPTIONAL, CorpusError)
    if not rows:
        raise CorpusError(f"{table}: has no rows; list one recording in each")
    utterances = [_utterance(table, where, row) for where, row in rows]
    require_unique((utterance.id, utterance.path) for utterance in utterances)
    # One file under two ids could be in two parts of a fold.
    require_unique((str(u.path.resolve()), u.path) for u in utterances)
    return sorted(utterances, key=lambda utterance: utterance.id)


def _utterance(table: Path, where: str, row: dict[str, str]) -> Utterance:
    values = {name: row.get(name, "") for name in (*REQUIRED, *OPTIONAL)}
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
    # Two corpora may both have a speaker 1. A name that has the prefix keeps it.
    return name if name.startswith(f"{corpus}/") else f"{corpus}/{name}"
