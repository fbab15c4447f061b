"""The unit that is finished or not: some recordings, consecutive by their ids."""

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
class Job:
    """What an engine is to do.

    Attributes:
        archive: Where to write.
        entries: All recordings, sorted.
        model: A bundled model's name, or a folder.
    """

    archive: ArchiveFolder
    entries: Sequence[Entry]
    model: str | Path

    def entries_of(self, shard: int) -> Sequence[Entry]:
        """Return the recordings of a part, in order."""
        size = self.archive.plan.shard_size
        return self.entries[shard * size : (shard + 1) * size]


class Done(NamedTuple):
    """How much was done since the last time.

    Attributes:
        n_recordings: How many.
        n_failed: How many of them have no report.
        sound_s: How long the others are together, in seconds.
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


class Gathering:
    """Outcomes in any order, kept until all of a part are there and it is written."""

    def __init__(self, archive: ArchiveFolder) -> None:
        self._archive = archive
        self._shard_of: dict[str, int] = {}
        self._begun: dict[int, tuple[Sequence[Entry], dict[str, Outcome]]] = {}

    def begin(self, shard: int, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield the recordings of a part, whose outcomes are awaited from now on."""
        self._begun[shard] = (entries, {})
        self._shard_of.update((entry.id, shard) for entry in entries)
        yield from entries

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; write its part when that is complete.

        Raises:
            ArchiveError: It cannot be written.
        """
        shard = self._shard_of.pop(outcome.entry.id)
        entries, outcomes = self._begun[shard]
        outcomes[outcome.entry.id] = outcome
        if len(outcomes) == len(entries):
            in_order = [outcomes[entry.id] for entry in entries]
            files = parts_of(in_order, self._archive.plan.emotions)
            self._archive.write(shard, files)
            del self._begun[shard]
