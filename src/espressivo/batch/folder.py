"""Folder of an archive, written in parts that are finished or absent (crash-safe).

A part is one file in each of three tables: `recordings`, `windows` and `failures`. The
file in `recordings` is written last, after the other two are on the disk. A part is
therefore finished if and only if that file exists; a run that resumes deletes it where
one of the three was cut or is gone.

An archive that is adapted is made in two passes. What the first one found is kept in
files of a folder `voices`, one a part, which is deleted in the end.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from espressivo.batch.plan import Plan
from espressivo.batch.store import store_at
from espressivo.batch.tables import TABLES, is_whole, left_out_table
from espressivo.errors import ArchiveError
from espressivo.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from espressivo.batch.selection import LeftOut
    from espressivo.batch.store import Store

VOICES = "voices"
"""Folder of the first pass's files."""

_PLAN = "archive.json"
_LEFT_OUT = "left-out.parquet"
_PART = re.compile(r"part-(\d{6,12})\.parquet")
_END_BYTES = 65_536  # the footer of a part has some thousand


class ArchiveFolder:
    """Tables of one plan, in a local folder or an object store.

    Attributes:
        place: Path or URL of the folder.
        plan: Recordings, model and shard size of the archive.
    """

    def __init__(self, place: str | Path, plan: Plan) -> None:
        self.place, self.plan = place, plan
        self._store = store_at(place)

    def finished(self, folder: str = "recordings") -> set[int]:
        """Return the numbers of the shards whose parts are finished.

        Args:
            folder: `recordings`, or `voices` for what the first pass has finished.
        """
        there = map(_PART.fullmatch, self._store.names(folder))
        numbers = {int(match[1]) for match in there if match}
        return {n for n in numbers if n < self.plan.n_shards}

    def unfinished(self, folder: str = "recordings") -> list[int]:
        """Return the numbers of the other shards, in order."""
        return sorted({*range(self.plan.n_shards)} - self.finished(folder))

    def write(self, shard: int, files: Mapping[str, bytes]) -> None:
        """Write a shard's part of each table, `recordings` last.

        Args:
            shard: Number of the shard.
            files: Content of the Parquet files by name of the table, or of the one file
                of the first pass.

        Raises:
            ArchiveError: The disk is full, the folder is not writable, or another run
                has begun there.
        """
        with _explained(self.place):
            self._require_own()
            for table in (*TABLES, VOICES):
                if table in files:
                    self._store.write(f"{table}/{_part(shard)}", files[table])

    def _require_own(self) -> None:
        """Raise if another run has replaced the plan, where no lock keeps it out."""
        if self._store.has_locks:
            return
        if differences := self.plan.differences(_read_plan(self.place, self._store)):
            raise ArchiveError(
                f"{self.place}: another run is writing there, with other inputs "
                f"({'; '.join(differences)}); name another folder for one of them"
            )

    def write_left_out(self, left_out: Sequence[LeftOut]) -> None:
        """Write the list of what is no recording, or replace it.

        Raises:
            ArchiveError: The disk is full, or the folder is not writable.
        """
        with _explained(self.place):
            self._store.write(_LEFT_OUT, left_out_table(left_out))

    def read_left_out(self) -> bytes | None:
        """Return the content of the list of what was left out; None: there is none."""
        with _explained(self.place):
            there = _LEFT_OUT in self._store.names()
            return self._store.read(_LEFT_OUT) if there else None

    def read(self, shard: int, table: str) -> bytes:
        """Return the content of a finished shard's Parquet file in one table."""
        with _explained(self.place):
            return self._store.read(f"{table}/{_part(shard)}")

    def delete_first_pass(self) -> None:
        """Delete the files of the first pass."""
        with _explained(self.place):
            _delete_parts(self._store, VOICES)


@contextmanager
def opened(place: str | Path, plan: Plan, *, restart: bool) -> Iterator[ArchiveFolder]:
    """Yield a new archive, or resume one of the same plan; it is locked meanwhile.

    Args:
        place: Path of the folder, created if needed, or its URL.
        plan: Recordings, model and shard size.
        restart: Delete an existing archive first, whatever its plan.

    Raises:
        ArchiveError: Another process has locked the archive, it has another plan, or
            the folder contains other files.
    """
    with ExitStack() as stack:
        with _explained(place):
            store = store_at(place)
            _require_ours(place, store)
            stack.enter_context(store.held())
            _prepare(place, store, plan, restart=restart)
        yield ArchiveFolder(place, plan)


def read_archive(place: str | Path) -> ArchiveFolder:
    """Return an existing archive for reading, whether finished or not.

    Raises:
        ArchiveError: The folder contains no archive, or one of another version.
    """
    with _explained(place):
        return ArchiveFolder(place, _read_plan(place, store_at(place)))


def _part(shard: int) -> str:
    return f"part-{shard:06}.parquet"


def _read_plan(place: str | Path, store: Store) -> Plan:
    try:
        return Plan.from_json(store.read(_PLAN).decode("utf-8"))
    except FileNotFoundError as error:
        raise ArchiveError(
            f"{place}: holds no {_PLAN}; pass a folder that `espressivo archive` wrote"
        ) from error
    except ValueError as error:
        raise ArchiveError(
            f"{place}: its {_PLAN} {shortened(str(error))}; update espressivo, or name "
            "another folder"
        ) from error


def _prepare(place: str | Path, store: Store, plan: Plan, *, restart: bool) -> None:
    is_new = _PLAN not in store.names()
    if not is_new and not restart:
        if differences := plan.differences(_read_plan(place, store)):
            raise ArchiveError(
                f"{place}: is an archive of something else: {'; '.join(differences)}; "
                "give what it was begun with, name another folder, or delete what is "
                "there with --restart"
            )
        _delete_damaged(store)
        return
    # `recordings` is deleted first and the plan replaced last, so that an interrupted
    # deletion leaves a valid archive with fewer parts.
    for table in (*reversed(TABLES), VOICES):
        _delete_parts(store, table)
    store.write(_PLAN, plan.to_json().encode("utf-8"))


def _delete_damaged(store: Store) -> None:
    """Delete what makes a part finished if a file of it is missing or was cut."""
    whole = {
        table: {n for n, end in store.ends(table, _END_BYTES).items() if is_whole(*end)}
        for table in (*TABLES, VOICES)
    }
    whole["recordings"] = set.intersection(*(whole[table] for table in TABLES))
    for folder in ("recordings", VOICES):
        for name in sorted(store.names(folder) - whole[folder]):
            if _PART.fullmatch(name):
                store.delete(f"{folder}/{name}")


def _delete_parts(store: Store, folder: str) -> None:
    for name in sorted(store.names(folder)):
        if name.startswith("part-"):
            store.delete(f"{folder}/{name}")


def _require_ours(place: str | Path, store: Store) -> None:
    """Raise if a folder contains files but no archive: they might be overwritten."""
    names = store.names()
    if names and _PLAN not in names:
        raise ArchiveError(
            f"{place}: holds other things ({', '.join(sorted(names)[:3])}); name a new "
            "or an empty folder"
        )


@contextmanager
def _explained(place: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveError(
            f"{place}: cannot be used ({error.strerror or error}); make room or give "
            "leave, then give the command again, which goes on where it was"
        ) from error
