"""LibriSpeech: readers of English audio books, all of it taken for neutral.

Nobody labelled emotions here. Listeners call read speech neutral, and people who try an
emotion model usually begin by reading to it. A model that learned from actors alone
finds 5 to 30 % of LibriSpeech neutral; as one more corpus of a single class it teaches
the model what reading is. Books hold passages that are read with feeling, so a model
need not reach 100 % here.

Layouts: the published one, `train-clean-100/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac`
with texts in `SPEAKER-CHAPTER.trans.txt` and readers in `SPEAKERS.TXT`; or any folder
of such recordings, which is a selection and is not compared with the published corpus.

Source: Panayotov et al. (2015), "Librispeech: an ASR corpus based on public domain
audio books", ICASSP; the numbers of speakers are of its table 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.training.corpora.corpus import Corpus, PublishedCounts
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import find_licence
from espressivo.training.corpora.utterance import Clip
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LABEL = "read speech"
# Subset: utterances, speakers. No speaker is in two subsets.
_SUBSETS = {
    "dev-clean": (2_703, 40),
    "dev-other": (2_864, 33),
    "test-clean": (2_620, 40),
    "test-other": (2_939, 33),
    "train-clean-100": (28_539, 251),
    "train-clean-360": (104_014, 921),
    "train-other-500": (148_688, 1_166),
}
_SEXES = {"F": "female", "M": "male"}
_NAME = re.compile(r"(?P<chapter>(?P<speaker>\d+)-\d+)-\d{4}")
# As in: 19   | F | train-clean-100  | 25.19 | Kara Shallenberg
_READER = re.compile(r"(?P<speaker>\d+)\s*\|\s*(?P<sex>[FM])\s*\|")


def _clips(root: Path) -> list[Clip]:
    named = find_named(root, _NAME)
    sexes = _readers(root)
    texts = _texts({path.with_name(f"{m['chapter']}.trans.txt") for path, m in named})
    return [
        Clip(
            name=path.stem,
            path=path,
            speaker=match["speaker"],
            label=_LABEL,
            text=texts.get(path.stem),
            sex=sexes.get(match["speaker"], ""),
            part=_subset(path),
        )
        for path, match in named
    ]


def _subset(path: Path) -> str:
    """Return the subset whose folder a recording is in; empty for a selection."""
    # The innermost one, since an outer folder may have the name by chance.
    folders = reversed(path.absolute().parts[:-1])
    return next((name for name in folders if name in _SUBSETS), "")


def _readers(root: Path) -> dict[str, str]:
    """Map readers to their sex; empty if SPEAKERS.TXT is absent."""
    # Users may pass LibriSpeech, the folder above, or a subset in it.
    for folder in (root, *sorted(p for p in root.glob("*") if p.is_dir()), root.parent):
        table = folder / "SPEAKERS.TXT"
        if table.is_file():
            rows = map(_READER.match, _lines(table))
            return {row["speaker"]: _SEXES[row["sex"]] for row in rows if row}
    return {}


def _texts(sheets: Iterable[Path]) -> dict[str, str]:
    """Map utterances to the texts of their chapters' sheets, as far as these exist."""
    lines = (line for sheet in sheets if sheet.is_file() for line in _lines(sheet))
    rows = (line.partition(" ") for line in lines)
    return {name: text.strip() for name, _, text in rows if text.strip()}


def _lines(sheet: Path) -> list[str]:
    try:
        return sheet.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{sheet}: cannot be read as text ({error}); restore the published file"
        ) from error


def _names(root: Path) -> frozenset[str]:
    # The sheets of the chapters list their utterances. A selection may lack some.
    return frozenset(_texts(s for s in root.rglob("*.trans.txt") if _subset(s)))


LIBRISPEECH = Corpus(
    name="librispeech",
    title="LibriSpeech",
    license=find_licence(
        "CC-BY-4.0", source="Panayotov et al. 2015", url="https://www.openslr.org/12"
    ),
    emotions={_LABEL: Emotion.NEUTRAL},
    clips=_clips,
    speakers=frozenset(),
    speaker_count=sum(n for _, n in _SUBSETS.values()),
    published=(
        PublishedCounts(
            ("part", "label"),
            {(subset, _LABEL): n for subset, (n, _) in _SUBSETS.items()},
        ),
    ),
    names=_names,
)
