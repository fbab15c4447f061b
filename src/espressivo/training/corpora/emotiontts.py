"""emotiontts: fifteen Korean speakers in four emotions, by KAIST and Selvas AI.

Five of them (`plain-to-emotional`) read the same plain text in every emotion, ten
(`emotional-to-emotional`) read texts of the emotion. The repository holds a public
sample, 5 % of the corpus: numbers 1 to 5 of each hundred. The owners give the rest on
request. Both are read here, and the rest may be left out.

**Sadness and anger are swapped in the corpus's own README**, which calls 201 to 300
angry (hwanam) and 301 to 400 sad (seulpeum). The emotional scripts show that it is the
other way round: 201, "my heart aches to hear that from you"; 304, "how many times have
I told you that it cannot be cancelled?". The plain texts do not tell, but the voices
do: espressivo-tiny 0.1.0, which never heard the corpus, calls 23 of the 25 plain clips
from 201 on sad and none angry, and 16 from 301 on angry and 2 sad.

Source: https://github.com/emotiontts/emotiontts_open_db, README of
Dataset/SpeechCorpus/Emotional.
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

# By hundreds: 1 to 100, 101 to 200, 201 to 300, 301 to 400.
_LABELS = ("neutral", "happiness", "sadness", "anger")
_HUNDRED = 100
_N_PUBLIC = 5  # of each hundred
_SAMPLE = "public sample"
_REST = "given on request"
_SEXES = {
    **dict.fromkeys(("ema", "emb"), "female"),
    **dict.fromkeys(("emf", "emg", "emh"), "male"),
    **dict.fromkeys(("nea", "neb", "nec", "ned", "nee"), "female"),
    **dict.fromkeys(("nek", "nel", "nem", "nen", "neo"), "male"),
}
_NAME = re.compile(
    rf"(?P<speaker>{'|'.join(_SEXES)})(?P<number>00[0-3]\d\d|00400)(?<!00000)"
)


def _clips(root: Path) -> list[Clip]:
    return [
        Clip(
            name=path.stem,
            path=path,
            speaker=match["speaker"],
            label=_LABELS[(int(match["number"]) - 1) // _HUNDRED],
            text=_text(path),
            sex=_SEXES[match["speaker"]],
            part=_part(path.stem),
        )
        for path, match in find_named(root, _NAME)
    ]


def _text(path: Path) -> str | None:
    """Return the text of a recording; None where none is beside the folder `wav`."""
    for kind in ("script", "transcript"):
        sheet = path.parent.parent / kind / f"{path.stem}.txt"
        try:
            if text := sheet.read_text("utf-8-sig").strip():
                return text
        except (OSError, UnicodeDecodeError):
            continue  # a text is worth less than the recording
    return None


def _part(name: str) -> str:
    return _SAMPLE if (int(name[3:]) - 1) % _HUNDRED < _N_PUBLIC else _REST


_NAMES = frozenset(
    f"{speaker}{number:05}"
    for speaker, number in product(_SEXES, range(1, len(_LABELS) * _HUNDRED + 1))
)
_SIZES = {_SAMPLE: _N_PUBLIC, _REST: _HUNDRED - _N_PUBLIC}

EMOTIONTTS = Corpus(
    name="emotiontts",
    title="emotiontts",
    license=Licence(
        name="CC BY-NC-SA 4.0, research only",
        id="CC-BY-NC-SA-4.0",
        commercial="no",
        derivatives="yes",
        # Its README forbids to pass it on, the licence in its name allows it.
        redistribution="unclear",
        share_alike=True,
        source="KAIST & Selvas AI 2020",
        url="https://github.com/emotiontts/emotiontts_open_db",
        note="Publications must carry the acknowledgement of MOTIE project 10080667 "
        "that its README prescribes.",
    ),
    emotions={
        "anger": Emotion.ANGER,
        "happiness": Emotion.HAPPINESS,
        "neutral": Emotion.NEUTRAL,
        "sadness": Emotion.SADNESS,
    },
    clips=_clips,
    speakers=frozenset(_SEXES),
    published=(
        PublishedCounts(
            ("part", "speaker", "label"),
            {
                (part, speaker, label): n
                for part, n in _SIZES.items()
                for speaker, label in product(_SEXES, _LABELS)
            },
        ),
    ),
    names=lambda _root: _NAMES,
    part_of=_part,
)
