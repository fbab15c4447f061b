"""Corpus check: whether a corpus on disk is complete and intact, as published."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.audio.parallel import map_recordings
from espressivo.audio.recording import Recording
from espressivo.errors import AudioError
from espressivo.training.corpora import find_corpus, read_corpus
from espressivo.training.corpora.utterance import UNLABELLED, Clip
from espressivo.types import SAMPLE_RATE, Unreadable

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from espressivo.training.corpora.corpus import Corpus
    from espressivo.types import Progress


SHORTEST_S = 0.3
"""Recordings shorter than this, in seconds, are broken: they hold no sentence."""
# Peak as a share of full scale: -80 dB.
_SILENCE = 1e-4
# A Git LFS pointer is a text file that begins with this line.
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class CorpusDifference:
    """A number of recordings that differs from the published one.

    Attributes:
        where: Recordings that were counted: attribute of `Clip` -> its value.
        found: Number of recordings on disk.
        published: Number of recordings published.
    """

    where: Mapping[str, str]
    found: int
    published: int

    def __str__(self) -> str:
        # "ang" is clear without a heading; "12" needs "speaker" before it.
        where = ", ".join(
            v if k in {"label", "part"} else f"{k} {v}"
            for k, v in self.where.items()
            if v
        )
        return f"{where}: {self.found} of {self.published}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusCheck:
    """The content of a corpus's folder, compared with the published corpus.

    Attributes:
        title: Title of the corpus.
        root: Folder of the corpus.
        found: Label -> number of recordings on disk.
        published: Label -> published number, for the labels that are compared.
        left_out: Part of the corpus of which nothing is there -> published number. It
            is published, or kept, by itself, so the check takes it for left out.
        selection: Number of recordings in no published part of a corpus that is
            published in parts. There is nothing to compare them with.
        differing: Numbers that differ from the published ones.
        absent: Speakers without any recording.
        missing: Names of missing recordings, where all names are known.
        unexpected: Names that the complete corpus does not have.
        unlabelled: Names of recordings that the corpus's own sheets do not label.
        ignored: Paths, relative to the folder, of recordings whose names do not follow
            the corpus's scheme.
        broken: Recordings that do not decode, or are nearly empty or silent.
        known_broken: Broken recordings that were already broken when published.
        same_audio: Groups of names with identical samples that should differ.
        known_same_audio: Groups that were published with identical samples.
        decoded: Whether files were decoded; if not, the four fields above are empty.
    """

    title: str
    root: Path
    found: Mapping[str, int]
    published: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    selection: int = 0
    differing: tuple[CorpusDifference, ...] = ()
    absent: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    broken: tuple[Unreadable, ...] = ()
    known_broken: tuple[Unreadable, ...] = ()
    same_audio: tuple[tuple[str, ...], ...] = ()
    known_same_audio: tuple[tuple[str, ...], ...] = ()
    decoded: bool = True

    @property
    def complete(self) -> bool:
        """Whether every published recording is present once and none is broken.

        Parts that are left out as a whole do not count.
        """
        return not (
            self.differing
            or self.absent
            or self.missing
            or self.unexpected
            or self.broken
            or self.same_audio
        )

    def by_label(self) -> dict[str, tuple[int, int | None]]:
        """Map each label to its number found, and its published number if known."""
        labels = [*self.published, *sorted(self.found.keys() - self.published.keys())]
        return {n: (self.found.get(n, 0), self.published.get(n)) for n in labels}

    def to_dict(self) -> dict[str, Any]:
        """Return the check as JSON values."""
        return {
            "corpus": self.title,
            "root": str(self.root),
            "complete": self.complete,
            "decoded": self.decoded,
            "labels": {
                name: {"found": found, "published": published}
                for name, (found, published) in self.by_label().items()
            },
            "left_out": dict(self.left_out),
            "selection": self.selection,
            "differing": [
                {**d.where, "found": d.found, "published": d.published}
                for d in self.differing
            ],
            "absent": list(self.absent),
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "unlabelled": list(self.unlabelled),
            "ignored": list(self.ignored),
            "broken": [_to_dict(b) for b in self.broken],
            "known_broken": [_to_dict(b) for b in self.known_broken],
            "same_audio": [list(group) for group in self.same_audio],
            "known_same_audio": [list(group) for group in self.known_same_audio],
        }


def check_corpus(
    name: str, root: Path, *, decode: bool = True, progress: Progress | None = None
) -> CorpusCheck:
    """Compare a corpus on disk with the published one.

    Args:
        name: One of `CORPORA`, or `manifest`, for which only the files are checked.
        root: Folder of the corpus; the table's path for `manifest`.
        decode: Whether to decode every recording, which takes most of the time.
        progress: Called after every decoded recording.

    Raises:
        CorpusError: The corpus is unknown, or its folder contains none of it.
    """
    if name == "manifest":
        clips = [
            Clip(u.id, u.path, u.speaker, u.emotion_name)
            for u in read_corpus(name, root)
        ]
        return _check(
            f"manifest {root.name}", root, clips, decode, progress, published={}
        )
    corpus = find_corpus(name)
    listed = corpus.inventory(root)
    # A corpus with label sheets lists recordings that may not be there.
    clips = [clip for clip in listed if clip.path.is_file()]
    return _check(
        corpus.title,
        root,
        clips,
        decode,
        progress,
        known=corpus.same_audio,
        known_broken=corpus.broken,
        ignored=_ignored(corpus, root, clips),
        **_compared(corpus, root, listed, clips),
    )


def _ignored(corpus: Corpus, root: Path, clips: Sequence[Clip]) -> tuple[str, ...]:
    others = set(corpus.recordings(root)) - {clip.path for clip in clips}
    return tuple(sorted(str(path.relative_to(root)) for path in others))


def _compared(
    corpus: Corpus, root: Path, listed: Sequence[Clip], clips: Sequence[Clip]
) -> dict[str, Any]:
    """Compare counts and names: those of the parts of which anything is there."""
    parts = corpus.parts
    # The unnamed part cannot be left out.
    here = {"", *(clip.part for clip in clips)} & parts.keys()
    # The other labels are not compared: users may keep only the four emotions.
    compared = corpus.labels_of(here)
    placed = [c for c in listed if c.label in compared and c.part in here]
    names = {clip.name for clip in placed if clip.path.is_file()}
    wanted = {n for n in corpus.names(root) if corpus.part_of(n) in {"", *here}}
    # Recordings that the sheets list, but that are not on disk.
    silent = {clip.name for clip in placed} - names
    return {
        "published": compared,
        "left_out": {part: n for part, n in parts.items() if part not in here},
        "selection": sum(clip.part not in parts for clip in clips),
        "differing": tuple(_differences(corpus, clips, here)),
        "absent": tuple(sorted(corpus.speakers - {clip.speaker for clip in clips})),
        "missing": tuple(sorted((wanted - names) | silent)),
        # Where names follow no rule, no name is unexpected.
        "unexpected": tuple(sorted(names - wanted)) if wanted else (),
        "unlabelled": tuple(clip.name for clip in clips if clip.label == UNLABELLED),
    }


def _differences(
    corpus: Corpus, clips: Sequence[Clip], parts: Container[str]
) -> Iterator[CorpusDifference]:
    for table in corpus.published:
        found = table.count(clips, corpus.emotions)
        for key, wanted in sorted(table.counts.items()):
            # A table that is not by parts is compared whichever parts are there.
            counted = "part" not in table.of or table.part(key) in parts
            if counted and found[key] != wanted:
                where = dict(zip(table.of, key, strict=True))
                yield CorpusDifference(where, found[key], wanted)


def _check(
    title: str,
    root: Path,
    clips: Sequence[Clip],
    decode: bool,
    progress: Progress | None,
    *,
    known: frozenset[frozenset[str]] = frozenset(),
    known_broken: frozenset[str] = frozenset(),
    **facts: Any,
) -> CorpusCheck:
    broken: list[Unreadable] = []
    names: defaultdict[str, list[str]] = defaultdict(list)
    paths = [clip.path for clip in clips] if decode else []
    decoded = map_recordings(decode_digest, paths, progress)
    # Without decoding there are no results to pair, so the loop must not run.
    for clip, (digest, reason) in zip(clips, decoded, strict=decode):
        if reason:
            broken.append(Unreadable(clip.name, clip.path, reason))
        else:
            names[digest].append(clip.name)
    groups = [tuple(group) for group in names.values() if len(group) > 1]
    return CorpusCheck(
        title=title,
        root=root,
        found=Counter(clip.label for clip in clips),
        broken=tuple(b for b in broken if b.id not in known_broken),
        known_broken=tuple(b for b in broken if b.id in known_broken),
        same_audio=tuple(g for g in groups if frozenset(g) not in known),
        known_same_audio=tuple(g for g in groups if frozenset(g) in known),
        decoded=decode,
        **facts,
    )


def decode_digest(path: Path) -> tuple[str, str]:
    """Decode a recording and return the SHA-256 of its samples, or what is wrong.

    Returns:
        The digest in hexadecimal and the reason; exactly one of them is empty.
    """
    try:
        recording = Recording(path)
        # The empty array is for recordings without a single block.
        signal = np.concatenate([np.zeros(0, np.float32), *recording.blocks()])
    except AudioError as error:
        if _is_pointer(path):
            return "", "is a Git LFS pointer, no recording: run git lfs pull there"
        return "", str(error).removeprefix(f"{path}: ").partition(";")[0]
    duration_s = len(signal) / SAMPLE_RATE
    if recording.warnings:
        return "", recording.warnings[0].removeprefix(f"{path}: ")
    if duration_s < SHORTEST_S:
        return "", f"lasts only {duration_s:.3f} s"
    if np.abs(signal).max() < _SILENCE:
        return "", f"is silent for all its {duration_s:.1f} s"
    # Digest of samples, not of the file: a copy may be in another container.
    return hashlib.sha256(signal.tobytes()).hexdigest(), ""


def _is_pointer(path: Path) -> bool:
    """Whether a file is a Git LFS pointer, as in a clone of CREMA-D without LFS."""
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


def _to_dict(broken: Unreadable) -> dict[str, str]:
    return {"name": broken.id, "path": str(broken.path), "reason": broken.reason}
