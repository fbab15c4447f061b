"""Registry of emotional speech corpora; each has one module and one entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.training.corpora.corpus import Corpus, ScoringVariant
from espressivo.training.corpora.crema_d import CREMA_D
from espressivo.training.corpora.emodb import EMODB
from espressivo.training.corpora.emotiontts import EMOTIONTTS
from espressivo.training.corpora.emovo import EMOVO
from espressivo.training.corpora.iemocap import IEMOCAP
from espressivo.training.corpora.librispeech import LIBRISPEECH
from espressivo.training.corpora.licence import Licence
from espressivo.training.corpora.manifest import read_manifest
from espressivo.training.corpora.msp_podcast import MSP_PODCAST
from espressivo.training.corpora.nemo import NEMO
from espressivo.training.corpora.ravdess import RAVDESS
from espressivo.training.corpora.savee import SAVEE
from espressivo.training.corpora.tess import TESS
from espressivo.training.corpora.urdu import URDU
from espressivo.training.corpora.utterance import (
    SpeakerHalf,
    Utterance,
    select_speakers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "CORPORA",
    "Corpus",
    "Licence",
    "ScoringVariant",
    "Utterance",
    "find_corpus",
    "read_corpora",
    "read_corpus",
    "register_corpus",
    "scoring_variants",
]

CORPORA: dict[str, Corpus] = {
    "crema-d": CREMA_D,
    "emodb": EMODB,
    "emotiontts": EMOTIONTTS,
    "emovo": EMOVO,
    "iemocap": IEMOCAP,
    "librispeech": LIBRISPEECH,
    "msp-podcast": MSP_PODCAST,
    "nemo": NEMO,
    "ravdess": RAVDESS,
    "savee": SAVEE,
    "tess": TESS,
    "urdu": URDU,
}


def read_corpus(name: str, root: Path, *, rated: bool = False) -> list[Utterance]:
    """Read the utterances of a corpus, sorted by id, ids unique.

    Args:
        name: One of `CORPORA`, or `manifest` for a table of the user's recordings.
        root: Folder of the corpus; the table's path for `manifest`.
        rated: Also return utterances with ratings that are of none of the four
            emotions; their emotion is None.

    Raises:
        CorpusError: The corpus is unknown, is absent, or contains a recording twice.
    """
    if name == "manifest":
        return read_manifest(root, rated=rated)
    return find_corpus(name).read(root, rated=rated)


def read_corpora(
    roots: Mapping[str, Path],
    speakers: Mapping[str, SpeakerHalf] | None = None,
    *,
    rated: bool = False,
) -> list[Utterance]:
    """Read several corpora with `read_corpus` and concatenate their utterances.

    Args:
        roots: Corpus name -> folder, in the order of the result.
        speakers: Corpus name -> the half of its speakers that is kept, see
            `select_speakers`; all speakers of the other corpora are kept.
        rated: See `read_corpus`.

    Raises:
        CorpusError: A corpus is unknown, is absent, or contains a recording twice.
    """
    halves = speakers or {}
    return [
        utterance
        for name, root in roots.items()
        for utterance in select_speakers(
            read_corpus(name, root, rated=rated), halves.get(name, "all")
        )
    ]


def register_corpus(corpus: Corpus) -> None:
    """Add a corpus to the registry, so that all commands accept its name.

    Raises:
        CorpusError: The name is taken, or the licence is only a text.
    """
    if not isinstance(corpus.license, Licence):
        raise CorpusError(
            f"corpus '{corpus.name}': its license is {corpus.license!r}, not a Licence;"
            " pass one, as from find_licence('CC-BY-4.0', source='Doe 2020')"
        )
    taken = corpus.name == "manifest" or CORPORA.get(corpus.name, corpus) != corpus
    if taken:
        raise CorpusError(f"corpus '{corpus.name}' exists already; choose another name")
    CORPORA[corpus.name] = corpus


def scoring_variants() -> list[ScoringVariant]:
    """Return the scoring variants that the registered corpora declare."""
    return [variant for corpus in CORPORA.values() for variant in corpus.variants]


def find_corpus(name: str) -> Corpus:
    """Return the corpus called `name`.

    Raises:
        CorpusError: No corpus has this name.
    """
    if name not in CORPORA:
        raise CorpusError(
            f"corpus '{name}' is unknown; pass one of {', '.join(CORPORA)}, "
            "or manifest for a table of your own recordings"
        )
    return CORPORA[name]
