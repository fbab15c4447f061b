"""SAVEE: four British men read 120 English sentences each, in seven emotions.

Names are `DC_a01.wav` in copies with one folder, `DC/a01.wav` in the first release.

Sources: Haq & Jackson (2009), "Speaker-dependent audio-visual emotion recognition",
AVSP; Haq & Jackson (2010), in Wang (ed.), "Machine Audition".
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from espressivo.training.corpora.corpus import Corpus, by_speaker_and_label
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import Licence
from espressivo.training.corpora.utterance import Clip
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

_LABELS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
_SPEAKERS = ("DC", "JE", "JK", "KL")
_NAME = re.compile(
    r"(?:(?P<speaker>DC|JE|JK|KL)_)?(?P<emotion>sa|su|[adfhn])(?P<sentence>\d\d)"
)


def _clips(root: Path) -> list[Clip]:
    return [
        Clip(
            # Both releases get the same names, and so the same ids and folds.
            name=f"{speaker}_{match['emotion']}{match['sentence']}",
            path=path,
            speaker=speaker,
            label=_LABELS[match["emotion"]],
            sex="male",
        )
        for path, match in find_named(root, _NAME)
        if (speaker := match["speaker"] or path.parent.name) in _SPEAKERS
    ]


_NAMES = {
    f"{speaker}_{letter}{n:02}": (speaker, label)
    for speaker in _SPEAKERS
    for letter, label in _LABELS.items()
    # 15 sentences per emotion and 30 neutral ones make the published 120.
    for n in range(1, 31 if label == "neutral" else 16)
}

SAVEE = Corpus(
    name="savee",
    title="SAVEE",
    license=Licence(
        name="research use, on registration with its authors",
        id="LicenseRef-SAVEE",
        commercial="no",
        derivatives="unclear",
        redistribution="no",
        source="Haq & Jackson 2009",
        url="http://kahlan.eps.surrey.ac.uk/savee/",
    ),
    emotions={
        "anger": Emotion.ANGER,
        "happiness": Emotion.HAPPINESS,
        "neutral": Emotion.NEUTRAL,
        "sadness": Emotion.SADNESS,
    },
    clips=_clips,
    speakers=frozenset(_SPEAKERS),
    published=by_speaker_and_label(Counter(_NAMES.values())),
    names=lambda _root: frozenset(_NAMES),
)
