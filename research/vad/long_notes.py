"""Synthetic long notes: labelled clips of one speaker and emotion, with known gaps.

The position of the speech, the kind of gaps and their level are known by construction.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, CorpusError
from espressivo.training.clips.preprocess import (
    find_loud,
    peak_normalize,
)
from espressivo.types import SAMPLE_RATE, Emotion, Segment, Signal
from research.vad.noises import pink_noise, ramp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.corpora import Utterance
    from research.vad.noises import Noise

LONGEST_S = 120.0
"""Maximum length of a note."""
LEAST_SPEECH_S = 6.0
"""Minimum speech in a note."""

_MARGIN = SAMPLE_RATE // 10  # kept around trimmed clips, whose onsets are soft
_RAMP = SAMPLE_RATE // 100  # fades avoid clicks at cuts


@dataclass(frozen=True, slots=True)
class Gaps:
    """A kind of gap between the clips of a note.

    Attributes:
        name: Name in tables.
        sound: `none` (no gaps), `silence` (digital), `room` (pink noise) or `noise` (a
            recording without speech).
        snr_db: Signal-to-noise ratio in dB of mean power; None without noise.
        under: Whether the noise continues under the speech.
    """

    name: str
    sound: str
    snr_db: float | None = None
    under: bool = False


GAP_KINDS = (
    Gaps("no gaps", "none"),
    Gaps("digital silence", "silence"),
    Gaps("room, 40 dB below", "room", 40.0, under=True),
    Gaps("noise in gaps, 20 dB below", "noise", 20.0),
    Gaps("noise in gaps, 10 dB below", "noise", 10.0),
    Gaps("noise in gaps, as loud", "noise", 0.0),
    Gaps("noise throughout, 10 dB below", "noise", 10.0, under=True),
    Gaps("noise throughout, as loud", "noise", 0.0, under=True),
)
"""All kinds of gaps, in the order of tables."""


@dataclass(frozen=True, slots=True, eq=False)
class NoteClips:
    """The clips of one note, in order.

    Attributes:
        id: Unique: corpus, speaker, the corpus's own label, number.
        speaker: Speaker of all clips.
        emotion: Emotion of all clips.
        calm: Whether the clips are labelled calm, which is scored as neutral.
        clips: Ids of the utterances.
        signals: Signals of the clips, trimmed to 0.1 s beyond what is within 20 dB of
            the peak.
    """

    id: str
    speaker: str
    emotion: Emotion
    calm: bool
    clips: tuple[str, ...]
    signals: tuple[Signal, ...]

    @property
    def n_samples(self) -> int:
        """Samples of speech."""
        return sum(map(len, self.signals))


@dataclass(frozen=True, slots=True, eq=False)
class LongNote:
    """A note and its ground truth.

    Attributes:
        signal: float32 [samples], with a peak of 0.95.
        speech: Segments of the clips, in order.
        noise: Name of the noise recording; empty without one.
    """

    signal: Signal
    speech: tuple[Segment, ...]
    noise: str = ""


def draw_clips(
    utterances: Sequence[Utterance],
    *,
    n_notes: int,
    speech_s: float = 18.0,
    seed: int = 0,
) -> Iterator[NoteClips]:
    """Draw the clips of notes, sorted by speaker and label; no clip is used twice.

    Each speaker and label yields its equal share of `n_notes` as far as its clips
    suffice, and at least one note if they hold `LEAST_SPEECH_S` of speech.

    Args:
        utterances: Utterances to draw from.
        n_notes: Notes per label over all speakers, rounded up to equal shares.
        speech_s: Seconds of speech up to which a note is filled.
        seed: Seed that draws the clips.

    Raises:
        CorpusError: A clip cannot be read, or is too long for a note.
    """
    cells: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        label = utterance.original or str(utterance.emotion)
        cells[utterance.speaker, label].append(utterance)
    share = -(-n_notes // len({speaker for speaker, _ in cells}))
    for (speaker, label), cell in sorted(cells.items()):
        # One random stream per cell: draws do not depend on the other cells.
        rng = np.random.default_rng([seed, *f"{speaker}/{label}".encode()])
        order = [cell[i] for i in rng.permutation(len(cell))]
        for n in range(share):
            spoken = _take(order, f"{speaker}/{label}/{n}", speech_s)
            enough = speech_s if n else LEAST_SPEECH_S
            if spoken is None or spoken.n_samples < enough * SAMPLE_RATE:
                break
            yield spoken


def _take(order: list[Utterance], id_: str, speech_s: float) -> NoteClips | None:
    """Pop clips until they hold enough speech; None when none is left."""
    clips: list[Utterance] = []
    signals: list[Signal] = []
    while order and sum(map(len, signals)) < speech_s * SAMPLE_RATE:
        clips.append(order.pop(0))
        signals.append(trimmed(clips[-1].path))
    if not clips:
        return None
    if 2 * sum(map(len, signals)) > LONGEST_S * SAMPLE_RATE:
        raise CorpusError(
            f"{clips[-1].path}: makes a note longer than {LONGEST_S:.0f} s; "
            "leave out clips that are notes of their own"
        )
    emotion = clips[0].emotion
    assert emotion is not None  # read_corpus gives none without, unless asked
    calm = clips[0].original == "calm"
    names = tuple(clip.id for clip in clips)
    return NoteClips(id_, clips[0].speaker, emotion, calm, names, tuple(signals))


def trimmed(path: Path) -> Signal:
    """Return a clip without silent ends, as it is in a note.

    Raises:
        CorpusError: The clip cannot be read.
    """
    try:
        signal = load_audio(path)
    except AudioError as error:
        raise CorpusError(f"{error}; a study needs all of a corpus") from error
    loud = find_loud(signal)
    start, end = max(0, loud.start - _MARGIN), min(len(signal), loud.end + _MARGIN)
    clip = signal[start:end].copy()
    edge = ramp(min(_RAMP, len(clip)))
    clip[: len(edge)] *= edge
    clip[len(clip) - len(edge) :] *= edge[::-1]
    return clip


def build_note(
    spoken: NoteClips, gaps: Gaps, noises: Sequence[Noise], seed: int = 0
) -> LongNote:
    """Insert gaps before, between and after the clips, in total as long as the speech.

    The lengths of the gaps and the noise recording are the same for every kind of gaps,
    so that comparisons between kinds are paired.

    Args:
        spoken: The clips.
        gaps: The kind of gaps.
        noises: Recordings, one of which is drawn for the note.
        seed: Seed that draws lengths and noise.
    """
    rng = np.random.default_rng([seed, *spoken.id.encode()])
    lengths = [len(signal) for signal in spoken.signals]
    pauses = _pauses(len(lengths) + 1, sum(lengths), rng)
    if gaps.sound == "none":
        pauses = [0] * len(pauses)
    starts = np.cumsum([0, *lengths[:-1]]) + np.cumsum(pauses[:-1])
    spans = tuple(
        Segment(start, start + n)
        for start, n in zip(starts.tolist(), lengths, strict=True)
    )
    signal = np.zeros(sum(lengths) + sum(pauses))
    speech = np.zeros(len(signal), bool)
    for span, clip in zip(spans, spoken.signals, strict=True):
        signal[span.start : span.end] = clip
        speech[span.start : span.end] = True
    name = ""
    if gaps.snr_db is not None:
        wanted = np.square(signal[speech]).mean() / 10 ** (gaps.snr_db / 10)
        sound, name = _sound(gaps, noises, speech, rng)
        signal += sound * np.sqrt(wanted / np.square(sound[~speech]).mean())
    return LongNote(peak_normalize(signal.astype(np.float32)), spans, name)


def _pauses(n: int, total: int, rng: np.random.Generator) -> list[int]:
    """Draw n lengths with the given sum, within a factor of three of each other."""
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.5, n))])
    samples = (edges * (total / edges[-1])).round().astype(int)
    return [int(n) for n in np.diff(samples)]


def _sound(
    gaps: Gaps,
    noises: Sequence[Noise],
    speech: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], str]:
    """Return noise as long as the note, not yet scaled, and its name."""
    order, at = rng.permutation(len(noises)), rng.random()
    name, sound = "", np.zeros(len(speech))
    if gaps.sound == "room":
        sound = pink_noise(len(speech), rng)
    for i in order if gaps.sound == "noise" else []:
        noise = noises[i]
        rolled = np.roll(noise.signal, -int(at * len(noise.signal)))
        name, sound = noise.name, np.resize(rolled, len(speech)).astype(np.float64)
        if np.square(sound[~speech]).mean() > 1e-8:
            break  # the recording is not silent within the gaps
    if gaps.under:
        return sound, name
    sound[speech] = 0.0
    rising = ramp(_RAMP)
    edges = np.flatnonzero(
        np.diff(np.concatenate([[True], speech, [True]]).astype(int))
    )
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        n = min(_RAMP, end - start)
        sound[start : start + n] *= rising[:n]
        sound[end - n : end] *= rising[:n][::-1]
    return sound, name


def shares_found(note: LongNote, found: Sequence[Segment]) -> tuple[float, float]:
    """Return the shares of speech and of gaps that `found` covers, 0 to 1.

    The share of gaps is NaN where there are none.
    """
    speech, taken = np.zeros((2, len(note.signal)), bool)
    for mask, segments in ((speech, note.speech), (taken, found)):
        for segment in segments:
            mask[segment.start : segment.end] = True
    gaps = float(taken[~speech].mean()) if not speech.all() else float("nan")
    return float(taken[speech].mean()), gaps
