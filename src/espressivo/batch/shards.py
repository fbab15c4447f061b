"""Shards: runs of consecutive recordings, each written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from espressivo.batch.tables import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from espressivo.batch.entries import Entry
    from espressivo.batch.folder import ArchiveFolder
    from espressivo.batch.outcome import Outcome


@dataclass(frozen=True, slots=True)
class ArchiveJob:
    """What an engine is asked to do.

    Attributes:
        archive: Folder that the tables are written to.
        entries: All recordings, sorted by id.
        model: Name of a bundled model, or a model folder.
    """

    archive: ArchiveFolder
    entries: Sequence[Entry]
    model: str | Path

    def entries_of(self, shard: int) -> Sequence[Entry]:
        """Return the recordings of a shard, in order."""
        size = self.archive.plan.shard_size
        return self.entries[shard * size : (shard + 1) * size]


class DoneCount(NamedTuple):
    """How much an engine has done since it last said so.

    Attributes:
        n_recordings: Recordings that have an outcome.
        n_failed: Those of them without a report.
        sound_s: Total length of the others, in seconds.
    """

    n_recordings: int
    n_failed: int
    sound_s: float

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """Count outcomes."""
        reports = [outcome.report for outcome in outcomes]
        lengths = [report["duration_s"] for report in reports if report is not None]
        return cls(len(reports), len(reports) - len(lengths), sum(lengths))


class ShardBuffer:
    """Keeps outcomes, in any order, until their shard is complete and is written."""

    def __init__(self, archive: ArchiveFolder) -> None:
        self._archive = archive
        self._shard_of: dict[str, int] = {}
        self._open: dict[int, tuple[Sequence[Entry], dict[str, Outcome]]] = {}

    def open_shard(self, shard: int, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield the recordings of a shard; `add` accepts their outcomes from now on."""
        self._open[shard] = (entries, {})
        self._shard_of.update((entry.id, shard) for entry in entries)
        yield from entries

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; write its shard when that is complete.

        Raises:
            ArchiveError: The shard cannot be written.
        """
        shard = self._shard_of.pop(outcome.entry.id)
        entries, outcomes = self._open[shard]
        outcomes[outcome.entry.id] = outcome
        if len(outcomes) == len(entries):
            # Rows follow the entries, not the order of arrival, so that the same
            # recordings give the same bytes whatever the number of workers.
            in_order = [outcomes[entry.id] for entry in entries]
            files = parts_of(in_order, self._archive.plan.emotions)
            self._archive.write(shard, files)
            del self._open[shard]
