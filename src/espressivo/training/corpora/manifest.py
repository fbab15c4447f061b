"""Manifest: a CSV or Parquet table that lists the user's own recordings.

Columns `path`, `emotion` and `speaker` are required; `id`, `session`, `text` and
`corpus` are optional. Relative paths start at the table's folder.

Columns `arousal`, `valence` and `dominance` are mean ratings; their scale is a note
before the header, `# ratings: 1 to 7`. Columns such as `votes_anger` are numbers of
listeners, or shares. Another note maps labels to emotions, or to `-`, which leaves a
row out: `# labels: angry=anger, frustrated=-`. In Parquet, notes are metadata of the
schema, called `ratings` and `labels`.
"""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from espressivo.errors import CorpusError
from espressivo.files.tables import read_notes, read_rows
from espressivo.training.corpora.utterance import (
    Ratings,
    Utterance,
    require_unique,
    shares_of,
)
from espressivo.types import Dimension, Emotion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
REQUIRED = ("path", "emotion", "speaker")
_VOTES = {f"votes_{emotion}": emotion for emotion in Emotion}
OPTIONAL = ("id", "session", "text", "corpus", *Dimension, *_VOTES)
_SYNONYMS = {"activation": "arousal"}  # as IEMOCAP calls it
_NOTES = ("ratings", "labels")
_LEFT_OUT = "-"
_SCALE = re.compile(rf"\s*({_NUMBER})\s+to\s+({_NUMBER})\s*", re.IGNORECASE)


class _Notes(NamedTuple):
    """What a manifest says of itself: emotions of its labels, scale of its ratings."""

    labels: dict[str, Emotion | None]
    scale: tuple[float, float] | None


def read_manifest(table: Path, *, rated: bool = False) -> list[Utterance]:
    """Read a table of utterances, sorted by id.

    A row with ratings may have no emotion. It is left out unless `rated` is true.

    Defaults of a row: the id is the path as written, the session is the speaker, and
    the corpus is the table's name without its ending.

    Raises:
        CorpusError: The table cannot be read, lacks a column, or has a row that
            lacks a value, names an emotion other than the four or a file that is
            absent or already listed, or has a rating outside of the scale; or a
            note or a column seems to be a known one, misspelt.
    """
    if not table.is_file():
        found = "is a folder, not a table" if table.is_dir() else "no such file"
        raise CorpusError(f"{table}: {found}; pass a .csv or .parquet manifest")
    rows = read_rows(table, "manifest", REQUIRED, OPTIONAL, CorpusError)
    if not rows:
        raise CorpusError(f"{table}: has no rows; list one recording in each")
    _require_known(table, _columns_of(table, rows[0][1]))
    notes = _notes(table)
    if notes.scale and not any(name in row for _, row in rows for name in Dimension):
        raise CorpusError(
            f"{table}: its note `ratings` gives a scale, but there is no column "
            f"{', '.join(Dimension)}; rename the columns of ratings, or remove the note"
        )
    utterances = [
        _utterance(table, where, row, notes)
        for where, row in rows
        if notes.labels.get(row.get("emotion", "").lower(), "") is not None
    ]
    if not utterances:
        raise CorpusError(f"{table}: its note `labels` leaves every row out")
    utterances = [u for u in utterances if rated or u.emotion is not None]
    if not utterances:
        raise CorpusError(
            f"{table}: no row has an emotion; without, only dimensions can be learned "
            "(task = 'dimensions')"
        )
    require_unique((utterance.id, utterance.path) for utterance in utterances)
    # One file under two ids could be in two parts of a fold.
    require_unique((str(u.path.resolve()), u.path) for u in utterances)
    return sorted(utterances, key=lambda utterance: utterance.id)


def _utterance(
    table: Path, where: str, row: dict[str, str], notes: _Notes
) -> Utterance:
    values = {name: row.get(name, "") for name in (*REQUIRED, *OPTIONAL)}
    is_rated = any(values[name] for name in Dimension)
    for column in REQUIRED:
        if not (values[column] or (column == "emotion" and is_rated)):
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
        emotion=_emotion(
            f"{table}, {where}, column emotion", values["emotion"], notes.labels
        ),
        corpus=corpus,
        text=values["text"] or None,
        original=values["emotion"],
        ratings=_ratings(f"{table}, {where}", values, notes.scale),
        votes=_votes(f"{table}, {where}", values),
    )


def _columns_of(table: Path, row: Mapping[str, str]) -> list[str]:
    if table.suffix.lower() != ".parquet":
        return [*row]
    from pyarrow import parquet  # noqa: PLC0415 - slow, and only for this

    return list(parquet.read_schema(table).names)


def _require_known(table: Path, columns: Sequence[str]) -> None:
    """Refuse a column that seems to be a known one under another name.

    It would be ignored: its ratings, votes or sessions would silently be missing.
    Columns of any other name are the user's own.

    Raises:
        CorpusError: A column is called almost as a known one, or `votes_` and no
            emotion.
    """
    known = (*REQUIRED, *OPTIONAL)
    plain = {column.strip().lower() for column in columns}
    for name in sorted(plain - {*known}):
        close = get_close_matches(name, known, n=1, cutoff=0.85)
        meant = _SYNONYMS.get(name, close[0] if close else "")
        if name.startswith("votes_"):
            near = get_close_matches(name, _VOTES, n=1, cutoff=0)
            meant = near[0]
        if meant and meant not in plain:
            raise CorpusError(
                f"{table}: has a column {name}, which would be ignored; if it is "
                f"{meant}, rename it, else give it a name of its own"
            )


def _notes(table: Path) -> _Notes:
    """Read the notes `labels` and `ratings` before the header.

    Raises:
        CorpusError: A note is not as described above.
    """
    found = read_notes(table, CorpusError)
    for name in found.keys() - {*_NOTES}:
        close = get_close_matches(name, _NOTES, n=1, cutoff=0.7)
        # Others are comments, such as `# source: our hotline`, or a program's metadata.
        if close or (table.suffix.lower() != ".parquet" and _is_meant(found[name])):
            hint = f"; did you mean `{close[0]}`?" if close else ""
            raise CorpusError(
                f"{table}: has a note `{name}`, which would be ignored; the notes are "
                f"{' and '.join(_NOTES)}{hint}"
            )
    scale = None
    if text := found.get("ratings"):
        match = _SCALE.fullmatch(text)
        scale = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
        if not -math.inf < scale[0] < scale[1] < math.inf:
            raise CorpusError(
                f"{table}: its note `ratings` is '{text}'; write the lowest and the "
                "highest possible rating, as in `# ratings: 1 to 7`"
            )
    labels: dict[str, Emotion | None] = {}
    for pair in filter(None, map(str.strip, found.get("labels", "").split(","))):
        label, is_pair, emotion = (part.strip().lower() for part in pair.partition("="))
        if not (label and is_pair and emotion in {*Emotion, _LEFT_OUT}):
            raise CorpusError(
                f"{table}: its note `labels` has '{pair}'; write label=emotion with "
                f"one of {', '.join(Emotion)}, or label=- to leave its rows out"
            )
        meant = None if emotion == _LEFT_OUT else Emotion(emotion)
        if labels.setdefault(label, meant) != meant:
            raise CorpusError(
                f"{table}: its note `labels` has '{label}' twice; keep one meaning"
            )
    return _Notes(labels, scale)


def _is_meant(text: str) -> bool:
    """Return whether a note's text is that of one of ours: a scale, or labels."""
    meanings = re.findall(r"=\s*([\w-]+)\s*(?:,|$)", text.lower())
    return bool(_SCALE.fullmatch(text)) or not {*Emotion, _LEFT_OUT}.isdisjoint(
        meanings
    )


def _emotion(
    where: str, value: str, labels: dict[str, Emotion | None]
) -> Emotion | None:
    if not value:
        return None
    if emotion := labels.get(value.lower()):
        return emotion
    try:
        return Emotion(value.lower())
    except ValueError:
        raise CorpusError(
            f"{where}: '{value}' is not one of {', '.join(Emotion)}; rename it, leave "
            f"the row out, or begin the table with `# labels: {value}=anger` or "
            f"`# labels: {value}=-`"
        ) from None


def _ratings(
    where: str, values: dict[str, str], scale: tuple[float, float] | None
) -> Ratings | None:
    given = {name: _number(where, name, values[name]) for name in Dimension}
    if all(map(math.isnan, given.values())):
        return None
    if scale is None:
        raise CorpusError(
            f"{where}: has ratings, and the table does not say on which scale; begin "
            "it with the lowest and the highest possible rating, `# ratings: 1 to 7`"
        )
    for name, value in given.items():
        if value < scale[0] or value > scale[1]:
            raise CorpusError(
                f"{where}, column {name}: {value:g} is not from {scale[0]:g} to "
                f"{scale[1]:g}; correct it, or the note `ratings`"
            )
    return Ratings(
        valence=given[Dimension.VALENCE],
        arousal=given[Dimension.AROUSAL],
        dominance=given[Dimension.DOMINANCE],
    ).scaled(*scale)


def _votes(where: str, values: dict[str, str]) -> tuple[float, ...] | None:
    given = {
        emotion: _number(where, column, values[column])
        for column, emotion in _VOTES.items()
    }
    votes = {emotion: n for emotion, n in given.items() if not math.isnan(n)}
    if any(n < 0 for n in votes.values()):
        raise CorpusError(f"{where}: has fewer than 0 votes; correct the number")
    return shares_of(votes)


def _number(where: str, column: str, text: str) -> float:
    """Return a cell's number; NaN if it is empty."""
    value = float(text or "nan") if re.fullmatch(f"({_NUMBER})?", text) else math.inf
    if math.isinf(value):
        raise CorpusError(
            f"{where}, column {column}: '{text}' is not a number; write one such as 5.5"
        )
    return value


def _within(corpus: str, name: str) -> str:
    # Two corpora may both have a speaker 1. A name that has the prefix keeps it.
    return name if name.startswith(f"{corpus}/") else f"{corpus}/{name}"
