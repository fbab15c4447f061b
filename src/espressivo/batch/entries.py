"""Recordings of a batch, listed from a folder, a pattern or a manifest."""

from __future__ import annotations

import glob
import hashlib
import os
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from espressivo.batch.selection import LeftOut, why_left_out
from espressivo.batch.store import fetched, is_remote
from espressivo.errors import ArchiveError
from espressivo.files.tables import TABLE_SUFFIXES, iter_rows
from espressivo.text import shortened, to_unicode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


_LONGEST = {"id": 4096, "path": 32_767, "group": 4096, "speaker": 4096}
"""Characters of a manifest's cells; systems take no longer paths."""

_MOST_REPEATS = 1000
"""Ids of a manifest that occur again until the rest of it is not read."""


class Entry(NamedTuple):
    """One recording to analyse.

    Attributes:
        id: Name of the recording in all tables; unique in its archive.
        path: Absolute path, or URL in an object store.
        group: What it shares a setting with, such as a call centre; empty: nothing, or
            the whole archive is one group.
        speaker: Name of the speaker in the group; empty: this recording is all that
            there is of its speaker.
        cells: Values of the manifest's columns other than id and path, as text.
    """

    id: str
    path: str
    group: str = ""
    speaker: str = ""
    cells: tuple[str, ...] = ()


class Listing(NamedTuple):
    """What a source holds.

    Attributes:
        entries: Its recordings, sorted by id.
        left_out: What else is in a folder, sorted by path; of a pattern and a manifest,
            nothing is left out.
        columns: Names of a manifest's columns other than id and path, in its order.
    """

    entries: list[Entry]
    left_out: list[LeftOut]
    columns: tuple[str, ...] = ()


def find_entries(source: str | Path) -> list[Entry]:
    """Return the recordings of a folder, a pattern or a manifest, sorted by id.

    Args:
        source: A folder, searched with its subfolders; a pattern such as
            `notes/**/*.ogg`; or a .csv or .parquet table with columns `id` and `path`,
            perhaps `group` and `speaker`, where relative paths start at the table's
            folder. The id of a file is its path relative to the folder, or to the
            pattern's part without wildcards.

    Raises:
        ArchiveError: No recording is found, a folder or table cannot be read, or an id
            occurs twice.
    """
    return list_source(source).entries


def list_source(source: str | Path, out: str | Path | None = None) -> Listing:
    """Return the recordings of a source as `find_entries`, and what is left out.

    Args:
        source: Folder, pattern or manifest, as for `find_entries`.
        out: Folder of the tables, which is not searched; None: there is none.

    Raises:
        ArchiveError: As for `find_entries`.
    """
    left_out: list[LeftOut] = []
    columns: list[str] = []
    found = _sorted(source, _find(source, left_out, out, columns))
    left_out.sort()
    if not found:
        rest = f" ({described(left_out)})" if left_out else ""
        raise ArchiveError(
            f"{source}: holds no recording{rest}; pass a folder, a pattern or a "
            "manifest of some"
        )
    _require_unique(source, found)
    return Listing(found, left_out, tuple(columns))


def list_folder(folder: Path) -> Listing:
    """Return the recordings of a folder as `list_source`; there may be none.

    Args:
        folder: The folder, searched with its subfolders.

    Raises:
        ArchiveError: A folder cannot be read.
    """
    left_out: list[LeftOut] = []
    found = _sorted(folder, _in_folder(folder, left_out, None))
    return Listing(found, sorted(left_out))


def described(left_out: Sequence[LeftOut]) -> str:
    """Return the counts of what is left out by kind, with an example of each.

    >>> described([LeftOut("a.txt", "text"), LeftOut("b.txt", "text")])
    'left out: 2 text, such as a.txt'
    """
    counts = Counter(item.kind for item in left_out)
    first = {item.kind: item.path for item in reversed(left_out)}
    kinds = [f"{n:,} {kind}, such as {first[kind]}" for kind, n in counts.most_common()]
    return f"left out: {'; '.join(kinds)}"


def digest_of(entries: Iterable[Entry]) -> str:
    """Return the SHA-256 of all ids and paths in order, in hexadecimal."""
    return _digest((entry.id, entry.path) for entry in entries)


def digest_of_groups(entries: Iterable[Entry]) -> str:
    """Return the SHA-256 of all ids, groups and speakers in order, in hexadecimal."""
    return _digest((entry.id, entry.group, entry.speaker) for entry in entries)


def require_groups(source: str | Path, entries: Sequence[Entry]) -> None:
    """Raise if some recordings have a group and others have none.

    Raises:
        ArchiveError: Some have none.
    """
    empty = [entry.id for entry in entries if not entry.group]
    if 0 < len(empty) < len(entries):
        some = ", ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
        raise ArchiveError(
            f"{source}, column group: is empty for {len(empty)} of {len(entries)} "
            f"recordings ({some}); give every recording a group, or leave the column "
            "out, which makes the whole archive one group"
        )


def digest_of_cells(entries: Iterable[Entry]) -> str:
    """Return the SHA-256 of all ids and other cells in order, in hexadecimal."""
    return _digest((entry.id, *entry.cells) for entry in entries)


def _sorted(source: str | Path, entries: Iterable[Entry]) -> list[Entry]:
    try:
        return sorted(entries, key=lambda entry: entry[:2])
    except OSError as error:
        where = error.filename or source
        raise ArchiveError(
            f"{where}: cannot be read ({error.strerror or error}); make it readable"
        ) from error


def _digest(rows: Iterable[tuple[str, ...]]) -> str:
    sha256 = hashlib.sha256()
    # NUL separates fields, since it cannot occur in a path; `surrogateescape` restores
    # the bytes of file names that are not Unicode.
    for row in rows:
        text = "".join(f"{field}\0" for field in row)
        sha256.update(text.encode("utf-8", "surrogateescape"))
    return sha256.hexdigest()


def _find(
    source: str | Path,
    left_out: list[LeftOut],
    out: str | Path | None,
    columns: list[str],
) -> Iterator[Entry]:
    if source == "":  # such as a variable of the shell that is not set
        raise ArchiveError("'': is no source; pass a folder, a pattern or a manifest")
    if is_remote(source):
        return _in_remote_manifest(str(source), columns)
    place = Path(source).expanduser()
    if place.is_dir():
        skipped = None if out is None or is_remote(out) else os.path.realpath(out)
        return _in_folder(place, left_out, skipped)
    if place.suffix.lower() in TABLE_SUFFIXES and place.is_file():
        return _in_manifest(place, str(place.absolute().parent), columns)
    if glob.has_magic(str(place)):
        return _matching(place)
    found = "is a file" if place.exists() else "no such file"
    raise ArchiveError(
        f"{source}: {found}; pass a folder, a pattern such as 'notes/**/*.ogg', or a "
        "manifest (.csv or .parquet)"
    )


def _in_folder(
    folder: Path, left_out: list[LeftOut], skipped: str | None
) -> Iterator[Entry]:
    """Yield the recordings below a folder; add what else is there to a list.

    Links to folders are not followed, since they can form a cycle.

    Args:
        folder: The folder.
        left_out: List of what is left out, which grows.
        skipped: Path of a folder to ignore.
    """
    # No Path for each file: a folder can hold millions of them.
    root = str(folder.absolute())
    n_root = len(root.rstrip(os.sep)) + 1
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for entry in found:
                is_folder = _is_folder(entry)
                why = (_why_not_searched if is_folder else why_left_out)(entry)
                id_ = to_unicode(entry.path[n_root:].replace(os.sep, "/"))
                if why is not None:
                    left_out.append(LeftOut(id_, why))
                elif not is_folder:
                    yield Entry(id_, entry.path)
                elif skipped is None or os.path.realpath(entry.path) != skipped:
                    waiting.append(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _why_not_searched(folder: os.DirEntry[str]) -> str | None:
    if folder.name.startswith("."):
        return "hidden folder"
    return "link to a folder" if folder.is_symlink() else None


def _matching(pattern: Path) -> Iterator[Entry]:
    fixed = next(p for p in pattern.parents if not glob.has_magic(str(p)))
    # Path.glob is not used, since its final "**" matches only folders (before Python
    # 3.13). iglob can return a name twice, hence the set.
    found = set(glob.iglob(str(pattern), recursive=True))  # noqa: PTH207
    for path in map(Path, found):
        if not path.is_dir():
            yield _entry(path, fixed)


def _entry(path: Path, folder: Path) -> Entry:
    id_ = to_unicode(path.relative_to(folder).as_posix())
    return Entry(id_, str(path.absolute()))


def _in_remote_manifest(address: str, columns: list[str]) -> Iterator[Entry]:
    if not address.lower().endswith(TABLE_SUFFIXES):
        raise ArchiveError(
            f"{address}: is no manifest; from a remote store, pass a .csv or .parquet "
            "table that names the recordings"
        )
    with fetched(address) as copy:
        yield from _in_manifest(copy, address.rpartition("/")[0], columns)


def _in_manifest(table: Path, folder: str, columns: list[str]) -> Iterator[Entry]:
    """Yield the recordings of a manifest; add its other columns' names to a list."""
    required, optional = ("id", "path"), ("group", "speaker")
    ids: set[str] = set()
    rows = iter_rows(table, "manifest", required, optional, ArchiveError, others=True)
    for n_rows, (where, row) in enumerate(rows, 1):
        if not columns:
            columns += [name for name in row if name not in required]
        for column in required:
            if not row.get(column):
                raise ArchiveError(f"{table}, {where}, column {column}: is empty")
        for column, most in _LONGEST.items():
            if len(row.get(column, "")) > most:
                raise ArchiveError(
                    f"{table}, {where}, column {column}: has {len(row[column]):,} "
                    f"characters ({shortened(row[column], 40)}), more than {most:,}; "
                    "shorten it"
                )
        ids.add(row["id"])
        if n_rows - len(ids) > _MOST_REPEATS:
            return  # `_require_unique` refuses it; a small file may have a billion rows
        path = row["path"]
        if not (is_remote(path) or os.path.isabs(path)):  # noqa: PTH117 - of either kind
            path = f"{folder}/{path}"
        # A value is in memory once, and not for each of a million recordings.
        group, speaker = (sys.intern(row.get(column, "")) for column in optional)
        cells = tuple(sys.intern(row[column]) for column in columns)
        yield Entry(row["id"], path, group, speaker, cells)


def _require_unique(source: str | Path, entries: list[Entry]) -> None:
    twice = sorted({a.id for a, b in pairwise(entries) if a.id == b.id})
    if twice:
        some = ", ".join(shortened(id_) for id_ in twice[:3])
        more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
        raise ArchiveError(
            f"{source}: has ids more than once ({some}{more}); "
            "give every recording its own"
        )
