"""Long notes made of labelled clips: one speaker, one emotion, gaps of a known kind.

Where speech is, what lies between and how loud that is, is known by construction.
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
from espressivo.training.noises import pink_noise, ramp
from espressivo.types import SAMPLE_RATE, Emotion, Segment, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.corpora import Utterance
    from espressivo.training.noises import Noise

LONGEST_S = 120.0
"""No note is longer."""
LEAST_SPEECH_S = 6.0
"""Where there are fewer seconds of clips, there is no note."""

_MARGIN = SAMPLE_RATE // 10  # kept of what was trimmed: onsets are soft
_RAMP = SAMPLE_RATE // 100  # so that no cut clicks


@dataclass(frozen=True, slots=True)
class Gaps:
    """What lies between the clips of a note.

    Attributes:
        name: As tables call it.
        sound: `none`: no gaps at all; `silence`: digital; `room`: pink noise; `noise`:
            a recording of something that is no speech.
        snr_db: How far the sound is below the speech, in dB of mean power; None where
            there is none.
        under: Whether it goes on under the speech.
    """

    name: str
    sound: str
    snr_db: float | None = None
    under: bool = False


KINDS = (
    Gaps("no gaps", "none"),
    Gaps("digital silence", "silence"),
    Gaps("room, 40 dB below", "room", 40.0, under=True),
    Gaps("noise in gaps, 20 dB below", "noise", 20.0),
    Gaps("noise in gaps, 10 dB below", "noise", 10.0),
    Gaps("noise in gaps, as loud", "noise", 0.0),
    Gaps("noise throughout, 10 dB below", "noise", 10.0, under=True),
    Gaps("noise throughout, as loud", "noise", 0.0, under=True),
)
"""All kinds; the order of tables."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """The clips of one note, in order.

    Attributes:
        id: Unique: corpus, speaker, the corpus's own label, number.
        speaker: Who speaks.
        emotion: Of all of it.
        calm: Whether what counts as neutral is calm.
        clips: The utterances' ids.
        signals: Of the clips, silent ends trimmed 20 dB below the peak, but for 0.1 s.
    """

    id: str
    speaker: str
    emotion: Emotion
    calm: bool
    clips: tuple[str, ...]
    signals: tuple[Signal, ...]

    @property
    def n_samples(self) -> int:
        """Of speech."""
        return sum(map(len, self.signals))


@dataclass(frozen=True, slots=True, eq=False)
class LongNote:
    """A note, and what is known of it.

    Attributes:
        signal: float32 [samples], its peak at 0.95.
        speech: Where the clips lie, in order.
        noise: Of which recording its noise is; empty where of none.
    """

    signal: Signal
    speech: tuple[Segment, ...]
    noise: str = ""


def read_spoken(
    utterances: Sequence[Utterance],
    *,
    n_notes: int,
    speech_s: float = 18.0,
    seed: int = 0,
) -> Iterator[Spoken]:
    """Draw clips for notes; none is in two. Speakers and labels come in order.

    A speaker and label gives as many notes as its share of `n_notes` asks for and its
    clips suffice for, at least one if they hold `LEAST_SPEECH_S` of speech.

    Args:
        utterances: What to draw from.
        n_notes: Of every label, all speakers together; rounded up to equal shares.
        speech_s: Clips are added to a note until it holds this much.
        seed: Draws the clips.

    Raises:
        CorpusError: A clip cannot be read, or is too long for a note.
    """
    cells: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        label = utterance.original or str(utterance.emotion)
        cells[utterance.speaker, label].append(utterance)
    share = -(-n_notes // len({speaker for speaker, _ in cells}))
    for (speaker, label), cell in sorted(cells.items()):
        # A stream of its own: whom else there is changes nothing.
        rng = np.random.default_rng([seed, *f"{speaker}/{label}".encode()])
        order = [cell[i] for i in rng.permutation(len(cell))]
        for n in range(share):
            spoken = _take(order, f"{speaker}/{label}/{n}", speech_s)
            enough = speech_s if n else LEAST_SPEECH_S
            if spoken is None or spoken.n_samples < enough * SAMPLE_RATE:
                break
            yield spoken


def _take(order: list[Utterance], id_: str, speech_s: float) -> Spoken | None:
    """Take clips off the front until they hold enough; None when there is none."""
    clips: list[Utterance] = []
    signals: list[Signal] = []
    while order and sum(map(len, signals)) < speech_s * SAMPLE_RATE:
        clips.append(order.pop(0))
        signals.append(_trimmed(clips[-1].path))
    if not clips:
        return None
    if 2 * sum(map(len, signals)) > LONGEST_S * SAMPLE_RATE:
        raise CorpusError(
            f"{clips[-1].path}: makes a note longer than {LONGEST_S:.0f} s; "
            "leave out clips that are notes of their own"
        )
    calm = clips[0].original == "calm"
    names = tuple(clip.id for clip in clips)
    return Spoken(id_, clips[0].speaker, clips[0].emotion, calm, names, tuple(signals))


def _trimmed(path: Path) -> Signal:
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
    spoken: Spoken, gaps: Gaps, noises: Sequence[Noise], seed: int = 0
) -> LongNote:
    """Put gaps before, between and after the clips, as much of them as of speech.

    The lengths of the gaps and the recording of noise are the same for every kind of
    gaps, so that kinds are compared on the same notes.

    Args:
        spoken: The clips.
        gaps: What lies between.
        noises: One of them is drawn for the note.
        seed: Draws lengths and noise.
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
    """Draw n lengths between a third and three times each other, of that sum."""
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.5, n))])
    samples = (edges * (total / edges[-1])).round().astype(int)
    return [int(n) for n in np.diff(samples)]


def _sound(
    gaps: Gaps,
    noises: Sequence[Noise],
    speech: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], str]:
    """Return a sound as long as the note, not yet at its level, and its name."""
    order, at = rng.permutation(len(noises)), rng.random()
    name, sound = "", np.zeros(len(speech))
    if gaps.sound == "room":
        sound = pink_noise(len(speech), rng)
    for i in order if gaps.sound == "noise" else []:
        noise = noises[i]
        rolled = np.roll(noise.signal, -int(at * len(noise.signal)))
        name, sound = noise.name, np.resize(rolled, len(speech)).astype(np.float64)
        if np.square(sound[~speech]).mean() > 1e-8:
            break  # else it is as good as silent just there
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
    """Return how much of the speech and of the gaps lies in segments, 0 to 1.

    Of gaps NaN where there are none.
    """
    speech, taken = np.zeros((2, len(note.signal)), bool)
    for mask, segments in ((speech, note.speech), (taken, found)):
        for segment in segments:
            mask[segment.start : segment.end] = True
    gaps = float(taken[~speech].mean()) if not speech.all() else float("nan")
    return float(taken[speech].mean()), gaps
