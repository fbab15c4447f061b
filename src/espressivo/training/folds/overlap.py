"""Overlap between the parts of a fold, and defects within a part.

Speakers of IEMOCAP are read from file names, not from a table's column, since studies
took prefixes of names for speakers: in `Ses01F_impro01_M003` the talker is M.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from espressivo.training.folds.leaky import iemocap_name
from espressivo.training.folds.table import (
    PARTS,
    ListedFold,
    ListedUtterance,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.folds.splits import Fold

    Member: TypeAlias = Utterance | ListedUtterance
    Members: TypeAlias = Sequence[Member]
    AudioDigests: TypeAlias = Mapping[Path | None, str]
    """Path -> digest of the samples, where they were decoded."""

Kind = Literal[
    "speakers",
    "recordings",
    "audio",
    "selection",
    "talkers",
    "sessions",
    "sentences",
    "audio-in-part",
    "twice-in-part",
    "classes",
    "no-validation",
]
# Shared sessions and sentences are reported, but are no leaks: IEMOCAP's scripts
# repeat across sessions, and CREMA-D has only 12 sentences.
LEAKS: frozenset[Kind] = frozenset({"speakers", "recordings", "audio", "selection"})
"""Kinds of finding that make a score too high."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A leak or another finding in one fold.

    Attributes:
        kind: Kind of finding.
        fold: Name of the fold; empty if the finding holds for all.
        parts: The part or the two parts concerned.
        names: Speakers, sessions, sentences or ids concerned; for equal audio, groups
            of ids.
        n_utterances: Number of utterances concerned in the last of `parts`.
        share: `n_utterances` as a share of that part, 0 to 1.
    """

    kind: Kind
    fold: str
    parts: tuple[str, ...]
    names: tuple[str, ...] = ()
    n_utterances: int = 0
    share: float = 0.0

    @property
    def leak(self) -> bool:
        """Whether the finding inflates the test score."""
        return self.kind in LEAKS


def talker_of(member: Member) -> str:
    """Return the speaker: from an IEMOCAP file name, else from the table."""
    named = _iemocap(member)
    return f"iemocap/{named[1]}" if named else _qualified(member, member.speaker)


def _session_of(member: Member) -> str:
    """Return the recording session; empty if each speaker is a session."""
    if named := _iemocap(member):
        return f"iemocap/{named[1][:-1]}"
    alone = member.session == member.speaker
    return "" if alone else _qualified(member, member.session)


def _iemocap(member: Member) -> tuple[str, str] | None:
    # A table may have numbers as ids and still keep the names of the files.
    return iemocap_name(member.id) or (
        iemocap_name(member.path.stem) if member.path else None
    )


def _qualified(member: Member, name: str) -> str:
    # Two corpora may both have a speaker 1.
    bare = name and member.corpus and "/" not in name
    return f"{member.corpus}/{name}" if bare else name


def _sentence_of(member: Member) -> str:
    # Transcripts of one sentence differ in case and punctuation.
    return " ".join(re.findall(r"\w+", (member.text or "").casefold()))


def compare_parts(
    fold: str,
    pair: tuple[str, str],
    a: Members,
    b: Members,
    digests: AudioDigests,
) -> Iterator[Finding]:
    """Yield overlaps of two parts, named by `pair` in the order of `PARTS`."""

    def sharing(kind: Kind, key: Callable[[Member], str]) -> Iterator[Finding]:
        shared = ({key(m) for m in a} & {key(m) for m in b}) - {""}
        yield from finding(kind, sorted(shared), [m for m in b if key(m) in shared])

    def finding(kind: Kind, names: list[str], hit: Members) -> Iterator[Finding]:
        if names:
            yield Finding(kind, fold, pair, tuple(names), len(hit), len(hit) / len(b))

    same = _same_recordings(a, b)
    known = {m.id for m in same}
    # Validation chooses the epoch, so what it shares with the test part makes the
    # choice a leak, which has a kind of its own.
    if pair == ("validation", "test"):
        audio = {digests.get(m.path) for m in a} - {None}
        hit = [m for m in b if m.id in known or digests.get(m.path) in audio]
        yield from finding("selection", [m.id for m in hit], hit)
        if hit and len(hit) == len(b):
            return  # equal parts would give every other finding too
    else:
        yield from finding("recordings", [m.id for m in same], same)
        # What is the same recording by name is reported above, and not again as audio.
        groups = _same_audio(a, [m for m in b if m.id not in known], digests)
        last = {id_ for group in groups for id_ in group}
        hit = [m for m in b if m.id in last]
        yield from finding("audio", [" = ".join(group) for group in groups], hit)
    yield from sharing("speakers", talker_of)
    yield from sharing("sessions", _session_of)
    yield from sharing("sentences", _sentence_of)


def _same_recordings(a: Members, b: Members) -> list[Member]:
    """Return the members of `b` that are also in `a`, by id or by file."""
    ids, paths = {_qualified(m, m.id) for m in a}, {m.path for m in a} - {None}
    return [m for m in b if _qualified(m, m.id) in ids or m.path in paths]


def _same_audio(a: Members, b: Members, digests: AudioDigests) -> list[tuple[str, ...]]:
    """Group ids of `a` and `b` with identical audio but different names."""
    groups: defaultdict[str, tuple[dict[str, None], dict[str, None]]]
    groups = defaultdict(lambda: ({}, {}))
    for side, members in enumerate((a, b)):
        for member in members:
            if member.path in digests:
                groups[digests[member.path]][side][member.id] = None
    return [
        tuple(dict.fromkeys((*left, *right)))
        for left, right in groups.values()
        if left and right and len(left | right) > 1
    ]


def find_twice(
    fold: str, part: str, members: Members, digests: AudioDigests
) -> Iterator[Finding]:
    """Yield ids and audio that occur twice within one part (not a leak)."""
    ids = Counter(m.id for m in members)
    groups: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for member in members:
        if member.path in digests:
            groups[digests[member.path]][member.id] = None
    equal = [" = ".join(group) for group in groups.values() if len(group) > 1]
    twice = sorted(id_ for id_, n in ids.items() if n > 1)
    if equal:
        yield Finding("audio-in-part", fold, (part,), tuple(equal), len(equal))
    if twice:
        yield Finding("twice-in-part", fold, (part,), tuple(twice), len(twice))


def find_absent(fold: Fold | ListedFold) -> Iterator[Finding]:
    """Yield classes missing from a part, and the lack of a validation part."""
    # A table without emotions has empty ones, which are no class.
    labels = {m.emotion for p in PARTS for m in getattr(fold, p)} - {"", None}
    if not fold.validation:
        yield Finding("no-validation", fold.name, ("validation",))
    for part in PARTS:
        members = getattr(fold, part)
        if members and (lacking := labels - {m.emotion for m in members}):
            names = tuple(sorted(map(str, lacking)))
            yield Finding("classes", fold.name, (part,), names)


def find_misnamed(members: Members) -> Iterator[Finding]:
    """Yield speakers of a table that contradict the talkers in IEMOCAP's names."""
    talkers: defaultdict[str, set[str]] = defaultdict(set)
    named = [(m, name[1]) for m in members if (name := _iemocap(m))]
    for member, talker in named:
        talkers[member.speaker].add(talker)
    wrong: list[str] = []
    for member, talker in named:
        said = member.speaker.rpartition("/")[2]
        # A speaker written like a talker must be the talker. Any other name may stand
        # for a talker, but not for two of them, as a prefix of names would.
        plain = re.fullmatch(r"Ses\d\d[FM]", said)
        if said != talker if plain else len(talkers[member.speaker]) > 1:
            wrong.append(f"{member.id}: speaker {said}, but the talker is {talker}")
    if wrong:
        share = len(wrong) / len(members)
        yield Finding("talkers", "", (), tuple(sorted(wrong)), len(wrong), share)
