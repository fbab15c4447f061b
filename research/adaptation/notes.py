"""Long notes through the analyzer: clips of one speaker in a row, with pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espressivo.analyzer import Analyzer
from espressivo.model.adaptation import adapt, infer
from espressivo.types import SAMPLE_RATE, Emotion, to_rows
from research.adaptation.histories import BALANCED, PAIRS, SINGLE, draw_history
from research.vad.long_notes import Gaps, NoteClips, build_note, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from espressivo.model.classifier import Classifier
    from espressivo.report import Report
    from espressivo.training.corpora import Utterance
    from espressivo.types import Segment
    from research.adaptation.histories import Content
    from research.adaptation.parts import Material
    from research.adaptation.scores import Paired, Tally
    from research.vad.long_notes import LongNote


class _Tallies(NamedTuple):
    windows: Tally
    notes: Tally


SPEECH_S = 24.0
"""Seconds of speech up to which a note is filled; its pauses are as long again."""

_LEAST_S = 12.0
_ROOM = Gaps("room, 40 dB below", "room", 40.0, under=True)
_KINDS: dict[str, tuple[Content, ...]] = {
    "one emotion": SINGLE,
    "two emotions": PAIRS,
    "four emotions": (BALANCED,) * 4,
}


def score_notes(
    material: Material,
    classifier: Classifier,
    utterances: Sequence[Utterance],
    n_notes: int,
) -> dict[str, Paired]:
    """Score notes as `analyze --adapt` does: windows are each other's history.

    Notes of one emotion are scored as a whole, too; the emotions of a mixed note follow
    each other. A window's emotion is that of the clip that it overlaps most. A kind of
    which there are fewer than half of the wanted notes is left out.

    Args:
        material: The corpus.
        classifier: The model.
        utterances: The corpus' utterances, in the order of the clips.
        n_notes: Notes of each kind: one, two and four emotions.
    """
    # The probabilities of the plain model, and what `analyze --adapt` infers from.
    analyzer = Analyzer(classifier, threads=1, voices=True)
    found: dict[str, _Tallies] = {}
    for kind, contents in _KINDS.items():
        tallies, n = _Tallies(material.tally(), material.tally()), 0
        for note, labels, speaker in _notes(material, utterances, contents, n_notes):
            report = analyzer.analyze(note.signal)
            if not report.estimates:
                continue
            windows = [estimate.segment for estimate in report.estimates]
            truth = truth_of(windows, note.speech, labels)
            _add(material, tallies, report, truth, speaker)
            n += 1
        if n >= n_notes / 2:
            found[kind] = tallies
    pairs = {f"{kind}: windows": one.windows.paired() for kind, one in found.items()}
    if "one emotion" in found:
        pairs["one emotion: whole note"] = found["one emotion"].notes.paired()
    return {name: paired for name, paired in pairs.items() if paired is not None}


def _add(
    material: Material,
    tallies: _Tallies,
    report: Report,
    truth: NDArray[np.int64],
    speaker: str,
) -> None:
    assert report.voices is not None
    plain = to_rows(report.estimates)
    posterior = infer(material.card, report.statistics)
    adapted = adapt(material.card, posterior, plain, report.voices)
    heard = truth >= 0  # other windows hold no clip
    n = int(heard.sum())
    names = np.full(n, speaker)
    tallies.windows.add(truth[heard], names, plain[heard], adapted[heard], n)
    if len(set(truth[heard].tolist())) == 1:
        lengths = [e.segment.n_samples for e in report.estimates]
        means = [
            np.average(p.astype(np.float64), axis=0, weights=lengths)[None]
            for p in (plain, adapted)
        ]
        tallies.notes.add(truth[heard][:1], names[:1], means[0], means[1], n)


def _notes(
    material: Material,
    utterances: Sequence[Utterance],
    contents: Sequence[Content],
    n_notes: int,
) -> Iterator[tuple[LongNote, NDArray[np.int64], str]]:
    """Yield notes, the label of each of their clips, and their speaker."""
    clips = material.clips
    names = np.unique(clips.speakers)
    rng = material.rng(f"notes/{contents[0].title}")
    order = rng.permutation(names)
    for k in range(n_notes):
        speaker, content = order[k % len(order)], contents[k % len(contents)]
        own = np.flatnonzero(clips.speakers == speaker)
        rows = own[draw_history(content, clips.labels[own], len(own), rng)]
        taken, signals, n_samples = [], [], 0
        for row in rows.tolist():
            signal = trimmed(utterances[row].path)
            if n_samples + len(signal) > SPEECH_S * SAMPLE_RATE:
                break
            taken.append(row)
            signals.append(signal)
            n_samples += len(signal)
        whole = content.is_met(clips.labels[taken])
        if n_samples < _LEAST_S * SAMPLE_RATE or not whole:
            continue
        place = np.argsort(clips.labels[taken], kind="stable")
        spoken = NoteClips(
            f"{speaker}/{k}",
            str(speaker),
            [*Emotion][clips.labels[taken[0]]],
            bool(clips.calm[taken].any()),
            tuple(utterances[taken[i]].id for i in place),
            tuple(signals[i] for i in place),
        )
        note = build_note(spoken, _ROOM, (), material.seed)
        yield note, clips.labels[taken][place], str(speaker)


def truth_of(
    windows: Sequence[Segment], clips: Sequence[Segment], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the label of the clip that each window overlaps most; -1 for none."""
    found = []
    for window in windows:
        overlaps = [
            max(0, min(window.end, clip.end) - max(window.start, clip.start))
            for clip in clips
        ]
        best = int(np.argmax(overlaps))
        found.append(int(labels[best]) if overlaps[best] else -1)
    return np.array(found)
