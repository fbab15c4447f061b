"""Recordings of a batch, listed from a folder, a pattern or a manifest."""

from __future__ import annotations

import glob
import hashlib
import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from espressivo.batch.store import fetched, is_remote
from espressivo.errors import ArchiveError
from espressivo.files.tables import iter_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIXES = frozenset(
    (
        *(".aac", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".m4b"),
        *(".mka", ".mkv", ".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav"),
        *(".webm", ".wma", ".3gp"),
    )
)
"""Lower-case suffixes of the files in a folder that count as recordings."""

_TABLES = (".csv", ".parquet")


class Entry(NamedTuple):
    """One recording to analyse.

    Attributes:
        id: Name of the recording in all tables; unique in its archive.
        path: Absolute path, or URL in an object store.
    """

    id: str
    path: str


def find_entries(source: str | Path) -> list[Entry]:
    """Return the recordings of a folder, a pattern or a manifest, sorted by id.

    Args:
        source: A folder, searched with its subfolders; a pattern such as
            `notes/**/*.ogg`; or a .csv or .parquet table with columns `id` and `path`,
            where relative paths start at the table's folder. The id of a file is its
            path relative to the folder, or to the pattern's part without wildcards.

    Raises:
        ArchiveError: No recording is found, a folder or table cannot be read, or an id
            occurs twice.
    """
    try:
        found = sorted(_find(source))
    except OSError as error:
        where = error.filename or source
        raise ArchiveError(
            f"{where}: cannot be read ({error.strerror or error}); make it readable"
        ) from error
    if not found:
        raise ArchiveError(
            f"{source}: holds no recording ({', '.join(sorted(SUFFIXES))}); pass a "
            "folder, a pattern or a manifest of some"
        )
    _require_unique(source, found)
    return found


def digest_of(entries: Iterable[Entry]) -> str:
    """Return the SHA-256 of all ids and paths in order, in hexadecimal."""
    sha256 = hashlib.sha256()
    # NUL separates fields, since it cannot occur in a path; `surrogateescape` restores
    # the bytes of file names that are not Unicode.
    for entry in entries:
        text = f"{entry.id}\0{entry.path}\0"
        sha256.update(text.encode("utf-8", "surrogateescape"))
    return sha256.hexdigest()


def printable(text: str) -> str:
    """Return text with non-Unicode bytes escaped; file names can contain them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _find(source: str | Path) -> Iterator[Entry]:
    if is_remote(source):
        return _in_remote_manifest(str(source))
    place = Path(source).expanduser()
    if place.is_dir():
        return _in_folder(place)
    if place.suffix.lower() in _TABLES and place.is_file():
        return _in_manifest(place, str(place.absolute().parent))
    if glob.has_magic(str(place)):
        return _matching(place)
    found = "is a file" if place.exists() else "no such file"
    raise ArchiveError(
        f"{source}: {found}; pass a folder, a pattern such as 'notes/**/*.ogg', or a "
        "manifest (.csv or .parquet)"
    )


def _in_folder(folder: Path) -> Iterator[Entry]:
    """Yield the recordings below a folder; skip hidden files and links to folders."""

    def stop(error: OSError) -> None:  # by default `walk` ignores unreadable folders
        raise error

    for parent, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield _entry(path, folder)


def _matching(pattern: Path) -> Iterator[Entry]:
    fixed = next(p for p in pattern.parents if not glob.has_magic(str(p)))
    # Path.glob is not used, since its final "**" matches only folders (before Python
    # 3.13). iglob can return a name twice, hence the set.
    found = set(glob.iglob(str(pattern), recursive=True))  # noqa: PTH207
    for path in map(Path, found):
        if not path.is_dir():
            yield _entry(path, fixed)


def _entry(path: Path, folder: Path) -> Entry:
    id_ = printable(path.relative_to(folder).as_posix())
    return Entry(id_, str(path.absolute()))


def _in_remote_manifest(address: str) -> Iterator[Entry]:
    if not address.lower().endswith(_TABLES):
        raise ArchiveError(
            f"{address}: is no manifest; from a remote store, pass a .csv or .parquet "
            "table that names the recordings"
        )
    with fetched(address) as copy:
        yield from _in_manifest(copy, address.rpartition("/")[0])


def _in_manifest(table: Path, folder: str) -> Iterator[Entry]:
    for where, row in iter_rows(table, "manifest", ("id", "path"), (), ArchiveError):
        for column in ("id", "path"):
            if not row.get(column):
                raise ArchiveError(f"{table}, {where}, column {column}: is empty")
        path = row["path"]
        if not (is_remote(path) or os.path.isabs(path)):  # noqa: PTH117 - of either kind
            path = f"{folder}/{path}"
        yield Entry(row["id"], path)


def _require_unique(source: str | Path, entries: list[Entry]) -> None:
    twice = sorted({a.id for a, b in pairwise(entries) if a.id == b.id})
    if twice:
        some = ", ".join(twice[:3]) + (", ..." if len(twice) > 3 else "")
        raise ArchiveError(
            f"{source}: {len(twice)} ids are there more than once ({some}); "
            "give every recording its own"
        )
