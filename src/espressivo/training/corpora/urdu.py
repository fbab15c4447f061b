"""URDU: utterances cut out of Urdu talk shows on television, in four emotions.

The speech is unscripted, and most speakers have one or two emotions only. The paper and
the README tell of 38 speakers, 27 men and 11 women; the names of the 400 published
files hold 29, 18 men (numbers up to 27, without 8 to 16) and 11 women.

Source: Latif et al. (2018), "Cross Lingual Speech Emotion Recognition: Urdu vs. Western
Languages", FIT; the README of its repository for names and terms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from espressivo.training.corpora.corpus import Corpus, by_speaker_and_label
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import Licence
from espressivo.training.corpora.utterance import Clip
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EMOTIONS = {
    "Angry": Emotion.ANGER,
    "Happy": Emotion.HAPPINESS,
    "Neutral": Emotion.NEUTRAL,
    "Sad": Emotion.SADNESS,
}
# The last part of a name begins with the initial of the folder: SM1_F1_A01.
_LABELS = {label[0]: label for label in _EMOTIONS}
_SEXES = {"F": "female", "M": "male"}
# Utterances of each speaker, in the order in which an emotion's files are numbered.
_COUNTS = {
    "Angry": "SM1 22, SM2 28, SM3 2, SM4 48",
    "Happy": "SF1 12, SF2 2, SF3 2, SF4 4, SF5 4, SF6 14, SF7 6, SF8 2, SM17 2, "
    "SM18 2, SM19 2, SM3 2, SM5 8, SM6 10, SM7 28",
    "Neutral": "SF9 4, SM20 10, SM21 4, SM22 2, SM3 8, SM5 72",
    "Sad": "SF10 2, SF11 4, SM23 6, SM24 38, SM25 40, SM26 2, SM27 4, SM6 4",
}
_CELLS = {
    (speaker, label): int(n)
    for label, cells in _COUNTS.items()
    for speaker, n in (cell.split() for cell in cells.split(", "))
}
_NAME = re.compile(r"(?P<speaker>S(?P<sex>[FM])\d{1,2})_F\d+_(?P<emotion>[AHNS])\d+")


def _clips(root: Path) -> list[Clip]:
    return [
        Clip(
            name=path.stem,
            path=path,
            speaker=match["speaker"],
            label=_LABELS[match["emotion"]],
            sex=_SEXES[match["sex"]],
        )
        for path, match in find_named(root, _NAME)
    ]


def _names() -> Iterator[str]:
    for label in _EMOTIONS:
        n = 0
        for (speaker, of), count in _CELLS.items():
            for k in range(1, count + 1 if of == label else 1):
                n += 1
                yield f"{speaker}_F{k}_{label[0]}0{n}"


_NAMES = frozenset(_names())

URDU = Corpus(
    name="urdu",
    title="URDU",
    license=Licence(
        name="research use only",
        id="LicenseRef-URDU",
        commercial="no",
        derivatives="unclear",
        redistribution="unclear",
        source="Latif et al. 2018",
        url="https://github.com/siddiquelatif/URDU-Dataset",
        note="Cut out of television programmes, in which others may hold rights.",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    speakers=frozenset(speaker for speaker, _ in _CELLS),
    published=by_speaker_and_label(_CELLS),
    names=lambda _root: _NAMES,
)
