"""Synthetic notes that clients stream, with the estimates that are expected."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.recordings import RATE, speech_files
from espressivo.audio.recording import load_audio
from espressivo.report import estimate_to_dict

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from espressivo.analyzer import Analyzer
    from espressivo.types import Estimate


class ExpectedEstimate(NamedTuple):
    """An estimate that the server is expected to send.

    Attributes:
        chunk: Index of the chunk that completes it.
        line: Fields of the message, from `estimate_to_dict`.
    """

    chunk: int
    line: dict[str, Any]


class Note(NamedTuple):
    """Audio of one stream and the reference results.

    Attributes:
        chunks: Messages of 16-bit PCM at 16 kHz.
        chunk_s: Length of a chunk in seconds; the last one may be shorter.
        due: Expected estimates, in order.
        emotion: Emotion of the expected report.
    """

    chunks: list[bytes]
    chunk_s: float
    due: list[ExpectedEstimate]
    emotion: str | None


def make_notes(
    speech: Path, analyzer: Analyzer, *, n: int, chunk_s: float, hop_s: float
) -> list[Note]:
    """Build notes of 20 to 200 s from random utterances with pauses of 0.3 to 1.5 s.

    Args:
        speech: Folder of utterances.
        analyzer: Analyzer whose stream gives the expected results.
        n: Number of notes.
        chunk_s: Length of a message in seconds.
        hop_s: Interval of provisional estimates in seconds.
    """
    from rich.progress import track  # noqa: PLC0415

    utterances = [_pcm(load_audio(file)) for file in speech_files(speech)]
    random_ = random.Random(0)  # noqa: S311 - the same notes in every run
    return [
        _note(_spoken(utterances, random_), analyzer, chunk_s, hop_s)
        for _ in track(range(n), description="notes")
    ]


def _spoken(
    utterances: list[NDArray[np.int16]], random_: random.Random
) -> NDArray[np.int16]:
    n_samples = round(random_.uniform(20, 200) * RATE)
    parts: list[NDArray[np.int16]] = []
    while sum(map(len, parts)) < n_samples:
        pause = np.zeros(round(random_.uniform(0.3, 1.5) * RATE), np.int16)
        parts += [random_.choice(utterances), pause]
    return np.concatenate(parts)[:n_samples]


def _note(
    pcm: NDArray[np.int16], analyzer: Analyzer, chunk_s: float, hop_s: float
) -> Note:
    size = round(chunk_s * RATE)
    chunks = [pcm[i : i + size] for i in range(0, len(pcm), size)]
    stream = analyzer.stream(hop_s=hop_s)
    card = analyzer.classifier.card

    def line(estimate: Estimate) -> dict[str, Any]:
        return estimate_to_dict(estimate, card, stream.duration_s)

    due = [
        ExpectedEstimate(i, line(estimate))
        for i, chunk in enumerate(chunks)
        for estimate in stream.push(chunk)
    ]
    emotion = stream.finish().to_dict()["emotion"]
    return Note([c.astype("<i2").tobytes() for c in chunks], chunk_s, due, emotion)


def _pcm(signal: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.round(signal * 32767).astype(np.int16)
