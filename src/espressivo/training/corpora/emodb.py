"""EmoDB, the Berlin database: ten German actors, ten sentences, seven emotions.

Source: Burkhardt et al. (2005), "A Database of German Emotional Speech", Interspeech.
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
    from pathlib import Path

# Initials of the German words: Wut, Langeweile, Ekel, Angst, Freude, neutral,
# Trauer.
_LABELS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
_EMOTIONS = {
    "anger": Emotion.ANGER,
    "happiness": Emotion.HAPPINESS,
    "neutral": Emotion.NEUTRAL,
    "sadness": Emotion.SADNESS,
}
_SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe "
    "Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
_SPEAKERS = {
    "03": ("male", 31),
    "08": ("female", 34),
    "09": ("female", 21),
    "10": ("male", 32),
    "11": ("male", 26),
    "12": ("male", 30),
    "13": ("female", 32),
    "14": ("female", 35),
    "15": ("male", 25),
    "16": ("female", 31),
}
# Anger, happiness, neutral, sadness. The counts differ by speaker because only
# recordings that listeners recognised were published.
_COUNTS = {
    "03": (14, 7, 11, 7),
    "08": (12, 11, 10, 9),
    "09": (13, 4, 9, 4),
    "10": (10, 4, 4, 3),
    "11": (11, 8, 9, 7),
    "12": (12, 2, 4, 4),
    "13": (12, 10, 9, 5),
    "14": (16, 8, 7, 10),
    "15": (13, 6, 11, 4),
    "16": (14, 11, 5, 9),
}
_NAME = re.compile(
    r"(?P<speaker>03|08|09|1[0-6])(?P<text>[ab]\d\d)(?P<emotion>[WLEAFNT])[a-z]?"
)


def _clips(root: Path) -> list[Clip]:
    return [
        Clip(
            name=path.stem,
            path=path,
            speaker=match["speaker"],
            label=_LABELS[match["emotion"]],
            text=_SENTENCES.get(match["text"]),
            sex=_SPEAKERS[match["speaker"]][0],
            age=_SPEAKERS[match["speaker"]][1],
        )
        for path, match in find_named(root, _NAME)
    ]


EMODB = Corpus(
    name="emodb",
    title="EmoDB",
    license=Licence(
        name="free to use",
        id="LicenseRef-EmoDB",
        # Its page asks for a citation in research, and says no more.
        commercial="unclear",
        derivatives="unclear",
        redistribution="unclear",
        source="Burkhardt et al. 2005",
        url="http://emodb.bilderbar.info",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    speakers=frozenset(_SPEAKERS),
    published=by_speaker_and_label(
        {
            (speaker, label): count
            for speaker, counts in _COUNTS.items()
            for label, count in zip(_EMOTIONS, counts, strict=True)
        }
    ),
)
