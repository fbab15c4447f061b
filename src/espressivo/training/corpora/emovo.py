"""EMOVO: six Italian actors say 14 sentences in seven emotions.

The four emotions used here are often kept without the other three, disgust, fear and
surprise; these are therefore a part that may be left out.

Source: Costantini et al. (2014), "EMOVO Corpus: an Italian Emotional Speech Database",
LREC. The sentences b1 to b3 are short, l1 to l4 long, n1 to n5 without sense, and d1
and d2 questions.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from espressivo.training.corpora.corpus import Corpus, PublishedCounts
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import Licence
from espressivo.training.corpora.utterance import Clip
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

# Disgusto, gioia, neutrale, paura, rabbia, sorpresa, tristezza.
_LABELS = {
    "dis": "disgust",
    "gio": "joy",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
_EMOTIONS = {
    "anger": Emotion.ANGER,
    "joy": Emotion.HAPPINESS,
    "neutral": Emotion.NEUTRAL,
    "sadness": Emotion.SADNESS,
}
_OTHERS = "disgust, fear and surprise"
_SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna: nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato... ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
_SPEAKERS = {
    "f1": ("female", 28),
    "f2": ("female", 23),
    "f3": ("female", 25),
    "m1": ("male", 30),
    "m2": ("male", 27),
    "m3": ("male", 30),
}
_NAME = re.compile(
    rf"(?P<emotion>{'|'.join(_LABELS)})-(?P<speaker>{'|'.join(_SPEAKERS)})"
    rf"-(?P<sentence>{'|'.join(_SENTENCES)})"
)


def _clips(root: Path) -> list[Clip]:
    return [
        Clip(
            name=path.stem,
            path=path,
            speaker=match["speaker"],
            label=_LABELS[match["emotion"]],
            text=_SENTENCES[match["sentence"]],
            sex=_SPEAKERS[match["speaker"]][0],
            age=_SPEAKERS[match["speaker"]][1],
            part=_part(path.stem),
        )
        for path, match in find_named(root, _NAME)
    ]


def _part(name: str) -> str:
    return "" if _LABELS[name[:3]] in _EMOTIONS else _OTHERS


_NAMES = frozenset(map("-".join, product(_LABELS, _SPEAKERS, _SENTENCES)))

EMOVO = Corpus(
    name="emovo",
    title="EMOVO",
    license=Licence(
        name="free for research",
        id="LicenseRef-EMOVO",
        # Published without a licence text.
        commercial="unclear",
        derivatives="unclear",
        redistribution="unclear",
        source="Costantini et al. 2014",
        url="https://aclanthology.org/L14-1478/",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    speakers=frozenset(_SPEAKERS),
    published=(
        PublishedCounts(
            ("part", "speaker", "label"),
            {
                (_part(code), speaker, label): len(_SENTENCES)
                for speaker in _SPEAKERS
                for code, label in _LABELS.items()
            },
        ),
    ),
    names=lambda _root: _NAMES,
    part_of=_part,
)
