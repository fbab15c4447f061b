"""An archive's folder: a part of it is finished or not there, whatever happens.

A part is a file in each of three tables, `recordings`, `windows` and `failures`. The
one in `recordings` is written last, when the other two are on the disk, so a part is
finished where that file exists.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from espressivo.batch.plan import Plan
from espressivo.batch.store import store_at
from espressivo.batch.tables import TABLES
from espressivo.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from espressivo.batch.store import Store

_PLAN = "archive.json"


class ArchiveFolder:
    """The tables of one plan.

    Attributes:
        place: Path or address of the folder.
        plan: Recordings, model and shard size of the archive.
    """

    def __init__(self, place: str | Path, plan: Plan) -> None:
        self.place, self.plan = place, plan
        self._store = store_at(place)

    def finished(self) -> set[int]:
        """Return the numbers of the shards whose parts are finished."""
        there = self._store.names("recordings")
        return {n for n in range(self.plan.n_shards) if _part(n) in there}

    def write(self, shard: int, files: Mapping[str, bytes]) -> None:
        """Write a shard's part of each table; unfinished until the last one is there.

        Args:
            shard: Number of the shard.
            files: Name of a table -> its Parquet file.

        Raises:
            ArchiveError: There is no room, or the folder may not be written to.
        """
        with _explained(self.place):
            for table in TABLES:
                self._store.write(f"{table}/{_part(shard)}", files[table])

    def read(self, shard: int, table: str) -> bytes:
        """Return the Parquet file of a table, for a shard that is finished."""
        with _explained(self.place):
            return self._store.read(f"{table}/{_part(shard)}")


@contextmanager
def opened(place: str | Path, plan: Plan, *, restart: bool) -> Iterator[ArchiveFolder]:
    """Begin an archive, or go on with one of the same plan; lock it meanwhile.

    Args:
        place: Path of its folder, created if need be, or its address.
        plan: Recordings, model and shard size.
        restart: Delete the archive that is there, whatever its plan.

    Raises:
        ArchiveError: Another process has locked it, it has another plan, or the folder
            holds other things.
    """
    with ExitStack() as stack:
        with _explained(place):
            store = store_at(place)
            _require_ours(place, store)
            stack.enter_context(store.held())
            _prepare(place, store, plan, restart=restart)
        yield ArchiveFolder(place, plan)


def read_archive(place: str | Path) -> ArchiveFolder:
    """Open an existing archive for reading, finished or not.

    Raises:
        ArchiveError: The folder holds no archive, or one of a later version.
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
            f"{place}: its {_PLAN} {error}; update espressivo, or name another folder"
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
        return
    # `recordings` goes first and the plan last, so that an archive that is half deleted
    # is still a valid one, with fewer parts.
    for table in reversed(TABLES):
        for name in sorted(store.names(table)):
            if name.startswith("part-"):
                store.delete(f"{table}/{name}")
    store.write(_PLAN, plan.to_json().encode("utf-8"))


def _require_ours(place: str | Path, store: Store) -> None:
    """Refuse a folder that holds files but no archive, which we might overwrite."""
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
