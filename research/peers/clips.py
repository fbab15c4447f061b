"""The clips of the comparison: the same part of the same recordings for every system.

Silent ends are removed and the first 8 s are kept, as mono 16 kHz WAV files in the
cache. Every system trains and tests on these, so that none has more to hear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import soundfile

from espressivo.audio.parallel import map_recordings
from espressivo.audio.recording import load_audio
from espressivo.files.atomic import replacing
from espressivo.training.clips.preprocess import trim
from espressivo.training.corpora import read_corpus
from espressivo.training.corpora.utterance import select_speakers
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from espressivo.training.corpora import Utterance
    from espressivo.types import Progress

LONGEST_S = 8

CORPORA = ("ravdess", "tess", "nemo", "emodb", "emovo", "urdu", "emotiontts")
"""Corpora of four emotions, each of which is left out in turn."""

READ_SPEECH = "librispeech"
"""Read speech, all of it neutral: half of its speakers train, the others test."""

FOLDS = (*CORPORA, READ_SPEECH)
"""Names of the folds: what each tests on."""


@dataclass(frozen=True, slots=True)
class Clip:
    """An utterance and its clip.

    Attributes:
        utterance: The utterance, with the path of the recording.
        path: The WAV file of the clip.
        always_trains: Whether the clip trains in every fold and tests in none.
    """

    utterance: Utterance
    path: Path
    always_trains: bool = False


def read_clips(data: Path, cache: Path, on_done: Progress | None = None) -> list[Clip]:
    """Return the clips of all corpora, by corpus and id; write those that are missing.

    Args:
        data: Folder that holds `corpora/` and `speech/`.
        cache: Folder of the clips.
        on_done: Callback after every clip.

    Raises:
        CorpusError: A corpus is absent.
        AudioError: A recording cannot be read.
    """
    utterances: list[Utterance] = []
    for name in CORPORA:
        utterances += read_corpus(name, data / "corpora" / name)
    readers = read_corpus(READ_SPEECH, data / "speech")
    even = {u.id for u in select_speakers(readers, "even")}
    utterances += readers
    paths = map_recordings(lambda u: _prepare(u, cache), utterances, on_done)
    return [Clip(u, p, u.id in even) for u, p in zip(utterances, paths, strict=True)]


def split(clips: Sequence[Clip], fold: str) -> tuple[list[Clip], list[Clip]]:
    """Return the training and the test clips of a fold, which share no speaker.

    The corpus of the fold is tested, and all others train. Of read speech half of the
    speakers train, in every fold, and the others are tested in a fold of their own.
    """
    test = [c for c in select_tested(clips) if c.utterance.corpus == fold]
    train = [
        c
        for c in clips
        if c.always_trains or c.utterance.corpus not in (fold, READ_SPEECH)
    ]
    return train, test


def select_tested(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips that some fold tests."""
    return [clip for clip in clips if not clip.always_trains]


def _prepare(utterance: Utterance, cache: Path) -> Path:
    corpus, _, name = utterance.id.partition("/")
    path = cache / "clips" / corpus / f"{name.replace('/', '_')}.wav"
    if not path.is_file():
        signal = trim(load_audio(utterance.path))[: LONGEST_S * SAMPLE_RATE]
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as whole:
            soundfile.write(whole, signal, SAMPLE_RATE, "PCM_16", format="WAV")
    return path
