"""Is a corpus all there, and intact? Compare a folder with what was published."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from espressivo.audio import Recording
from espressivo.errors import AudioError
from espressivo.training.corpora import find_corpus, read_corpus
from espressivo.training.corpora.utterance import Clip
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    Progress: TypeAlias = Callable[[int, int], None]
    """Called with how many are done, and how many there are."""

SHORTEST_S = 0.3
"""A recording shorter than this holds no sentence."""
_SILENCE = 1e-4  # of full scale


@dataclass(frozen=True, slots=True)
class Broken:
    """A recording that is there but of no use."""

    name: str
    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is in a corpus's folder beside what should be.

    Attributes:
        title: Of the corpus.
        root: Its folder.
        found: (speaker, label) -> recordings that are there.
        published: (speaker, label) -> recordings when complete; empty where nobody
            published any.
        missing: Names of recordings that are not there, where names are known.
        unexpected: Names that the complete corpus does not have.
        broken: Recordings that do not decode, or hold next to nothing.
        same_audio: Groups of names whose samples are identical, but should not be.
        known_same_audio: Groups that were published so.
        decoded: Whether files were decoded; else nothing is known of the last three.
    """

    title: str
    root: Path
    found: Mapping[tuple[str, str], int]
    published: Mapping[tuple[str, str], int]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    same_audio: tuple[tuple[str, ...], ...] = ()
    known_same_audio: tuple[tuple[str, ...], ...] = ()
    decoded: bool = True

    @property
    def complete(self) -> bool:
        """Whether every published recording is there, once, and sounds."""
        return not (
            self.differing
            or self.missing
            or self.unexpected
            or self.broken
            or self.same_audio
        )

    @property
    def differing(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Map (speaker, label) to found and published, where the two differ."""
        return {
            cell: (self.found.get(cell, 0), wanted)
            for cell, wanted in sorted(self.published.items())
            if self.found.get(cell, 0) != wanted
        }

    def by_label(self) -> dict[str, tuple[int, int | None]]:
        """Map each label to how many were found, and published where known."""
        found, published = _per_label(self.found), _per_label(self.published)
        labels = [*published, *sorted(found.keys() - published.keys())]
        return {name: (found[name], published.get(name)) for name in labels}

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can say."""
        return {
            "corpus": self.title,
            "root": str(self.root),
            "complete": self.complete,
            "decoded": self.decoded,
            "labels": {
                name: {"found": found, "published": published}
                for name, (found, published) in self.by_label().items()
            },
            "differing": [
                {"speaker": s, "label": name, "found": found, "published": published}
                for (s, name), (found, published) in self.differing.items()
            ],
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "broken": [
                {"name": b.name, "path": str(b.path), "reason": b.reason}
                for b in self.broken
            ],
            "same_audio": [list(group) for group in self.same_audio],
            "known_same_audio": [list(group) for group in self.known_same_audio],
        }


def check_corpus(
    name: str, root: Path, *, decode: bool = True, progress: Progress | None = None
) -> Check:
    """Compare a corpus on disk with the published one.

    Args:
        name: One of `CORPORA`, or `manifest`, of which only the files are checked.
        root: Folder of the corpus; the table's path for `manifest`.
        decode: Whether to decode every recording, which takes most of the time.
        progress: Called after every decoded recording.

    Raises:
        CorpusError: There is no such corpus, or nothing of it.
    """
    if name == "manifest":
        clips = [
            Clip(u.id, u.path, u.speaker, u.emotion) for u in read_corpus(name, root)
        ]
        return _check(f"manifest {root.name}", root, clips, decode, progress)
    corpus = find_corpus(name)
    clips = corpus.inventory(root)
    # Of labels that the project does not use, a part or all may be there.
    compared = {label for _, label in corpus.published}
    names = {clip.name for clip in clips if clip.label in compared}
    wanted = corpus.names(root)
    return _check(
        corpus.title,
        root,
        clips,
        decode,
        progress,
        known=corpus.same_audio,
        published=corpus.published,
        missing=tuple(sorted(wanted - names)),
        unexpected=tuple(sorted(names - wanted)) if wanted else (),
    )


def _check(
    title: str,
    root: Path,
    clips: Sequence[Clip],
    decode: bool,
    progress: Progress | None,
    *,
    known: frozenset[frozenset[str]] = frozenset(),
    **facts: Any,
) -> Check:
    broken: list[Broken] = []
    names: defaultdict[str, list[str]] = defaultdict(list)
    for clip, (digest, reason) in zip(
        clips, _listen(clips, progress) if decode else (), strict=decode
    ):
        if reason:
            broken.append(Broken(clip.name, clip.path, reason))
        else:
            names[digest].append(clip.name)
    groups = [tuple(group) for group in names.values() if len(group) > 1]
    return Check(
        title=title,
        root=root,
        found=Counter((clip.speaker, clip.label) for clip in clips),
        published=facts.pop("published", {}),
        broken=tuple(broken),
        same_audio=tuple(g for g in groups if frozenset(g) not in known),
        known_same_audio=tuple(g for g in groups if frozenset(g) in known),
        decoded=decode,
        **facts,
    )


def _listen(
    clips: Sequence[Clip], progress: Progress | None
) -> Iterable[tuple[str, str]]:
    """Yield each clip's digest, and what is wrong with it or nothing, in order."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        results = pool.map(listen, [clip.path for clip in clips])
        for n_done, result in enumerate(results, start=1):
            if progress is not None:
                progress(n_done, len(clips))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)  # who interrupts does not wait for the rest


def listen(path: Path) -> tuple[str, str]:
    """Decode a recording; return its samples' digest and what is wrong with it.

    One of the two is empty.
    """
    try:
        recording = Recording(path)
        signal = np.concatenate([np.zeros(0, np.float32), *recording.blocks()])
    except AudioError as error:
        return "", str(error).removeprefix(f"{path}: ").partition(";")[0]
    duration_s = len(signal) / SAMPLE_RATE
    if recording.warnings:
        return "", recording.warnings[0].removeprefix(f"{path}: ")
    if duration_s < SHORTEST_S:
        return "", f"lasts only {duration_s:.3f} s"
    if np.abs(signal).max() < _SILENCE:
        return "", f"is silent for all its {duration_s:.1f} s"
    return hashlib.sha256(signal.tobytes()).hexdigest(), ""


def _per_label(counts: Mapping[tuple[str, str], int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for (_, label), n in counts.items():
        total[label] += n
    return total
