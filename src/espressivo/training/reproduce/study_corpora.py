"""Corpora of a study, read and compared with their published content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.training.corpora import find_corpus, read_corpus
from espressivo.training.corpora.check import check_corpus
from espressivo.training.folds.splits import some_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from espressivo.training.corpora.check import CorpusCheck
    from espressivo.training.corpora.utterance import Utterance

_SESSIONS = {f"iemocap/Ses0{n}" for n in range(1, 6)}


@dataclass(frozen=True, slots=True)
class StudyCorpus:
    """A corpus on this machine that a study uses.

    Attributes:
        name: One of `CORPORA`.
        root: Absolute path of the folder.
        utterances: Utterances of the four emotions, sorted by id.
        caution: Description of the difference from the published corpus; empty if
            there is none.
    """

    name: str
    root: Path
    utterances: tuple[Utterance, ...]
    caution: str = ""


def read_study_corpus(
    name: str, root: Path, *, incomplete: bool = False
) -> StudyCorpus:
    """Read a corpus and compare its counts with the published ones, without decoding.

    Args:
        name: One of `CORPORA`.
        root: Folder of the corpus.
        incomplete: Whether a corpus that differs from the published one is accepted,
            with a caution.

    Raises:
        CorpusError: The corpus differs and `incomplete` is False, or it is IEMOCAP and
            lacks a whole session.
    """
    root = root.expanduser().absolute()
    utterances = read_labels(name, root)
    # Counts and names suffice here; what does not decode shows when clips are read.
    check = check_corpus(name, root, decode=False)
    if check.complete:
        return StudyCorpus(name, root, utterances)
    caution = difference(check, name)
    if not incomplete:
        raise CorpusError(
            f"{root}: not the published corpus: {caution}; espressivo corpora check "
            f"{name} DIR tells more; complete it, or pass --incomplete, which every "
            "table will say"
        )
    return StudyCorpus(name, root, utterances, caution)


def read_labels(name: str, root: Path) -> tuple[Utterance, ...]:
    """Read labelled utterances of the four emotions; recordings may be absent.

    Raises:
        CorpusError: The folder has nothing of the corpus, or lacks a session of
            IEMOCAP.
    """
    utterances = tuple(read_corpus(name, root))
    # Fewer sessions would give other folds than the published five.
    absent = _SESSIONS - {u.session for u in utterances}
    if name == "iemocap" and absent:
        raise CorpusError(
            f"{root}: nothing of {some_of(sorted(absent))}, and the folds need all "
            "five sessions of IEMOCAP; unpack the rest of the release there"
        )
    return utterances


def difference(check: CorpusCheck, name: str) -> str:
    """Describe in a few words how a corpus differs from the published one.

    >>> from pathlib import Path
    >>> from espressivo.training.corpora.check import CorpusCheck
    >>> found = {"ang": 1100, "hap": 595, "exc": 1041, "neu": 1708, "sad": 1084}
    >>> all_ = found | {"ang": 1103}
    >>> check = CorpusCheck(title="IEMOCAP", root=Path(), found=found, published=all_)
    >>> difference(check, "iemocap")
    'IEMOCAP has 5,528 of 5,531 recordings of the four emotions'
    """
    used = find_corpus(name).emotions
    found = sum(check.found.get(label, 0) for label in used)
    published = sum(check.published.get(label, 0) for label in used)
    text = (
        f"{check.title} has {found:,} of {published:,} recordings of the four emotions"
    )
    if check.missing:
        text += f"; {_first(check.missing)} missing"
    elif check.unexpected:
        text += f"; {_first(check.unexpected)} not in it as published"
    elif found == published and check.differing:
        text += f"; {check.differing[0]}"
    return text


def cautions_of(sources: Iterable[StudyCorpus]) -> list[str]:
    """Return one sentence on the corpora that are not as published, or none."""
    found = [source.caution for source in sources if source.caution]
    return [f"not the published corpora: {'; '.join(found)}."] if found else []


def _first(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{names[0]} and {len(names) - 1:,} more are"
