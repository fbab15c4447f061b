"""Table of folds, one row per utterance and fold.

It may come from another project, and is then audited. Columns `fold`, `part` (train,
validation or test), `id` and `speaker` are required; `path`, `session`, `corpus`,
`emotion`, `original` and `text` are optional. Relative paths start at the table's
folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from espressivo.errors import SplitError
from espressivo.files.atomic import replacing
from espressivo.files.tables import read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.folds.splits import Fold

FOLDS = "folds.parquet"
"""File name of the table in a result folder."""

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

_REQUIRED = ("fold", "part", "id", "speaker")
_OPTIONAL = ("path", "session", "corpus", "emotion", "text")


@dataclass(frozen=True, slots=True)
class ListedUtterance:
    """An utterance as a foreign table lists it; nothing is verified.

    Attributes:
        id: Id as written.
        path: Path of the recording; None if the table has none.
        speaker: Speaker as written.
        session: Session as written; empty if not given.
        corpus: Corpus as written; empty if not given.
        emotion: Emotion as written; empty if not given.
        text: The words spoken; None if not given.
    """

    id: str
    path: Path | None
    speaker: str
    session: str = ""
    corpus: str = ""
    emotion: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ListedFold:
    """A fold as a foreign table lists it; its parts may overlap."""

    name: str
    train: tuple[ListedUtterance, ...] = ()
    validation: tuple[ListedUtterance, ...] = ()
    test: tuple[ListedUtterance, ...] = ()


def write_folds(folds: Sequence[Fold], path: Path) -> None:
    """Write folds as a Parquet file, atomically.

    Raises:
        OSError: The folder is absent, or the disk is full.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    rows = [
        (f.name, part, u) for f in folds for part in PARTS for u in getattr(f, part)
    ]
    text = pa.string()
    names = ("id", "corpus", "speaker", "session", "emotion_name", "original")
    columns: dict[str, Any] = {
        "fold": pa.array([fold for fold, _, _ in rows], text),
        "part": pa.array([part for _, part, _ in rows], text),
    }
    for name in names:
        columns[name.removesuffix("_name")] = pa.array(
            [str(getattr(u, name)) for _, _, u in rows], text
        )
    columns["text"] = pa.array([u.text for _, _, u in rows], text)
    # Absolute, since relative paths would count from the folder of the table.
    columns["path"] = pa.array([str(u.path.absolute()) for _, _, u in rows], text)
    with replacing(path) as whole:
        parquet.write_table(pa.table(columns), whole)


def read_folds(path: Path) -> list[ListedFold]:
    """Read a table of folds, in the order of their first rows.

    Args:
        path: Table, `.parquet` or `.csv`, or a folder that contains `folds.parquet`.

    Raises:
        SplitError: The table cannot be read, lacks a column, or has a row that lacks
            a value or has an unknown part.
    """
    table = path / FOLDS if path.is_dir() else path
    if not table.is_file():
        raise SplitError(
            f"{table}: no such file; pass a table of folds (.csv or .parquet), or a "
            f"folder that holds {FOLDS}"
        )
    found: dict[str, dict[Part, list[ListedUtterance]]] = {}
    for where, row in read_rows(
        table, "table of folds", _REQUIRED, _OPTIONAL, SplitError
    ):
        for column in _REQUIRED:
            if not row.get(column):
                raise SplitError(f"{table}, {where}: {column} is empty; fill it")
        part = _part(f"{table}, {where}", row["part"])
        parts = found.setdefault(row["fold"], {name: [] for name in PARTS})
        parts[part].append(_listed(table.parent, row))
    if not found:
        raise SplitError(f"{table}: has no rows; list each utterance of each fold")
    return [
        ListedFold(name, **{part: tuple(rows) for part, rows in parts.items()})
        for name, parts in found.items()
    ]


def locate(
    folds: Sequence[ListedFold], utterances: Sequence[Utterance]
) -> list[ListedFold]:
    """Fill in paths and texts of listed utterances from a corpus on this machine.

    Ids match with or without the corpus prefix; unknown ones stay unchanged.
    """
    known = {name: u for u in utterances for name in (u.id.rpartition("/")[2], u.id)}

    def found(one: ListedUtterance) -> ListedUtterance:
        # Other people's tables have bare file names, or a corpus's name of their own.
        utterance = known.get(one.id) or known.get(one.id.rpartition("/")[2])
        if utterance is None:
            return one
        return replace(one, path=utterance.path, text=one.text or utterance.text)

    return [
        ListedFold(fold.name, *(tuple(map(found, getattr(fold, p))) for p in PARTS))
        for fold in folds
    ]


def _part(where: str, value: str) -> Part:
    for part in PARTS:
        if value.lower() == part:
            return part
    raise SplitError(
        f"{where}: part is '{value}', not one of {', '.join(PARTS)}; rename it"
    )


def _listed(folder: Path, row: dict[str, str]) -> ListedUtterance:
    # A path that is absolute after expansion replaces `folder`.
    path = folder / Path(row["path"]).expanduser() if row.get("path") else None
    kept = {name: row.get(name, "") for name in ("session", "corpus", "emotion")}
    text = row.get("text") or None
    return ListedUtterance(row["id"], path, row["speaker"], text=text, **kept)
