"""Shards: groups of consecutive recordings that are written together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from espressivo.batch.first_pass import first_pass_file
from espressivo.batch.folder import VOICES
from espressivo.batch.tables import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from espressivo.batch.entries import Entry
    from espressivo.batch.folder import ArchiveFolder
    from espressivo.batch.outcome import Outcome
    from espressivo.profile.profile import Profile


@dataclass(frozen=True, slots=True)
class ArchiveJob:
    """Input of an engine.

    Attributes:
        archive: Folder of the tables to write.
        entries: All recordings, sorted by id.
        model: Name of a bundled model, or a model folder.
        setting: Setting that every recording is judged by; None: none.
    """

    archive: ArchiveFolder
    entries: Sequence[Entry]
    model: str | Path
    setting: Profile | None = None

    def entries_of(self, shard: int) -> Sequence[Entry]:
        """Return the recordings of a shard, in order."""
        size = self.archive.plan.shard_size
        return self.entries[shard * size : (shard + 1) * size]


class DoneCount(NamedTuple):
    """Increment of an engine's progress.

    Attributes:
        n_recordings: Number of recordings with an outcome.
        n_failed: Number of recordings among them that failed.
        sound_s: Total duration of the others, in seconds.
    """

    n_recordings: int
    n_failed: int
    sound_s: float

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """Return the counts of outcomes."""
        reports = [outcome.report for outcome in outcomes]
        lengths = [report["duration_s"] for report in reports if report is not None]
        return cls(len(reports), len(reports) - len(lengths), sum(lengths))


class ShardBuffer:
    """Buffer of outcomes, in any order, that writes each shard once it is complete."""

    def __init__(self, archive: ArchiveFolder) -> None:
        self._archive = archive
        self._shard_of: dict[str, int] = {}
        self._open: dict[int, tuple[Sequence[Entry], dict[str, Outcome]]] = {}

    def open_shard(self, shard: int, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield the recordings of a shard, whose outcomes `add` then accepts."""
        self._open[shard] = (entries, {})
        self._shard_of.update((entry.id, shard) for entry in entries)
        yield from entries

    def add(self, outcome: Outcome) -> None:
        """Add an outcome, and write its shard if that is now complete.

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
            plan = self._archive.plan
            if plan.is_adapted:
                files = {VOICES: first_pass_file(in_order)}
            else:
                told = plan.tells_effects
                columns = plan.emotions, plan.dimensions
                files = parts_of(in_order, *columns, adapted=told, columns=plan.columns)
            self._archive.write(shard, files)
            del self._open[shard]
