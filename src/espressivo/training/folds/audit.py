"""Audit of folds for leaks: speakers, recordings or audio in several parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from espressivo.audio.parallel import map_recordings
from espressivo.training.corpora.check import decode_digest
from espressivo.training.folds.overlap import (
    Finding,
    compare_parts,
    find_absent,
    find_misnamed,
    find_twice,
    talker_of,
)
from espressivo.training.folds.table import (
    PARTS,
    ListedFold,
)
from espressivo.types import Emotion, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from espressivo.training.folds.overlap import (
        Member,
        Members,
    )
    from espressivo.training.folds.splits import Fold
    from espressivo.types import Progress


@dataclass(frozen=True, slots=True)
class PartCount:
    """Numbers of utterances and speakers in one part of a fold.

    Attributes:
        fold: Name of the fold.
        part: `train`, `validation` or `test`.
        labels: Emotion, as written -> number of utterances.
        n_speakers: Number of speakers, identified as by `overlap.talker_of`.
        n_speakers_trained: Number of these that are also in the training part; 0 for
            the training part itself.
    """

    fold: str
    part: str
    labels: Mapping[str, int]
    n_speakers: int
    n_speakers_trained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Findings of an audit.

    Attributes:
        counts: Counts of every part of every fold.
        findings: Leaks, and harmless findings that belong beside a score.
        n_recordings: Number of different recordings in the folds.
        n_decoded: Number of recordings whose audio was compared.
        undecodable: Recordings that do not decode, or are empty or silent.
        decoded: Whether audio was compared at all.
    """

    counts: tuple[PartCount, ...]
    findings: tuple[Finding, ...]
    n_recordings: int
    n_decoded: int = 0
    undecodable: tuple[Unreadable, ...] = ()
    decoded: bool = True

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that inflate the test score."""
        return tuple(finding for finding in self.findings if finding.leak)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as JSON values, with all names."""
        return {
            "leak": bool(self.leaks),
            "decoded": self.decoded,
            "n_recordings": self.n_recordings,
            # Keys of the JSON stay as published, older than our attributes.
            "n_heard": self.n_decoded,
            "unheard": [
                {"id": b.id, "path": str(b.path), "reason": b.reason}
                for b in self.undecodable
            ],
            "findings": [
                {
                    "kind": f.kind,
                    "leak": f.leak,
                    "fold": f.fold,
                    "parts": list(f.parts),
                    "names": list(f.names),
                    "n_utterances": f.n_utterances,
                    "share": f.share,
                }
                for f in self.findings
            ],
            "parts": [
                {
                    "fold": c.fold,
                    "part": c.part,
                    "labels": dict(c.labels),
                    "n_speakers": c.n_speakers,
                    "n_speakers_trained": c.n_speakers_trained,
                }
                for c in self.counts
            ],
        }


def audit(
    folds: Sequence[Fold] | Sequence[ListedFold],
    *,
    decode: bool = True,
    progress: Progress | None = None,
) -> Audit:
    """Compare the parts of each fold: speakers, recordings, audio and sentences.

    Args:
        folds: Folds from `make_folds` or `read_folds`.
        decode: Whether to decode every recording and compare samples, which takes
            most of the time; each recording is decoded once.
        progress: Called after every decoded recording.
    """
    everyone = {(m.id, m.path): m for f in folds for p in PARTS for m in getattr(f, p)}
    members: Members = list(everyone.values())
    digests, undecodable = _decode(members, progress) if decode else ({}, [])
    findings = list(find_misnamed(members))
    for fold in folds:
        for part in PARTS:
            findings += find_twice(fold.name, part, getattr(fold, part), digests)
        # Earlier parts first: findings count utterances of the second part of a pair.
        for pair in combinations(PARTS, 2):
            a, b = (getattr(fold, part) for part in pair)
            findings += compare_parts(fold.name, pair, a, b, digests)
        findings += find_absent(fold)
    return Audit(
        counts=tuple(_count(fold, part) for fold in folds for part in PARTS),
        findings=tuple(findings),
        n_recordings=len(members),
        n_decoded=sum(m.path in digests for m in members),
        undecodable=tuple(undecodable),
        decoded=decode,
    )


def _decode(
    members: Members, progress: Progress | None
) -> tuple[dict[Path | None, str], list[Unreadable]]:
    """Map paths to digests of their samples; list failed recordings with the reason."""
    names = {member.path: member.id for member in members if member.path}
    digests: dict[Path | None, str] = {}
    undecodable: list[Unreadable] = []
    decoded = map_recordings(decode_digest, [*names], progress)
    for path, (digest, reason) in zip(names, decoded, strict=True):
        if reason:
            undecodable.append(Unreadable(names[path], path, reason))
        else:
            digests[path] = digest
    return digests, undecodable


def _count(fold: Fold | ListedFold, part: str) -> PartCount:
    members: Members = getattr(fold, part)
    found = Counter(str(m.emotion or "") for m in members)
    # Our emotions keep their fixed order; the other labels of a table follow.
    order = [e for e in map(str, Emotion) if e in found]
    speakers = _talkers(members)
    trained = speakers & _talkers(fold.train) if part != "train" else set()
    return PartCount(
        fold=fold.name,
        part=part,
        labels={k: found[k] for k in (*order, *sorted(found.keys() - set(order)))},
        n_speakers=len(speakers),
        n_speakers_trained=len(trained),
    )


def _talkers(members: Iterable[Member]) -> set[str]:
    return {talker_of(member) for member in members}
