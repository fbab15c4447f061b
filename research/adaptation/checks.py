"""Does a voice fit, is a profile of one voice, and does noise stay uncertain?"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.model.adaptation import adapt, distance, infer, spread
from espressivo.training.clips.surroundings import noise_files
from espressivo.training.scores.bootstrap import resample_speakers
from espressivo.training.scores.metrics import ratio
from research.adaptation.histories import BALANCED, draw_history

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.model.classifier import Classifier
    from espressivo.training.scores.metrics import Floats
    from research.adaptation.parts import Material

PROFILE = 20
"""Clips in the profiles of these checks."""


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """How often something happened.

    Attributes:
        counts: Number of cases and of hits of each speaker, float64 [S, 2].
    """

    counts: Floats

    def draws(self, corpus: str) -> Floats:
        """Return the rate [1 + R]: as measured, then of resampled speakers."""
        times = np.ones((1, len(self.counts)))
        names = [str(i) for i in range(len(self.counts))]
        drawn = resample_speakers(names, zlib.crc32(corpus.encode()))
        if drawn is not None:
            times = np.vstack([times, drawn])
        cases, hits = (times @ self.counts).T
        return ratio(hits, cases)


def voice_rates(material: Material) -> dict[str, Rate]:
    """Return how often clips are said not to fit a profile of other clips."""
    clips, card = material.clips, material.card
    names = np.unique(clips.speakers).tolist()
    each = [clips.statistics(card, np.array([i])) for i in range(len(clips))]
    counts: dict[str, list[list[float]]] = {"the same voice": [], "other voices": []}
    for speaker in names:
        own = np.flatnonzero(clips.speakers == speaker)
        if not PROFILE < len(own) < len(clips):
            continue
        rng = material.rng(f"fit/{speaker}")
        found = {name: np.zeros(2) for name in counts}
        for _ in range(material.n_draws):
            rows = own[draw_history(BALANCED, clips.labels[own], PROFILE, rng)]
            profile = clips.statistics(card, rows)
            far = np.array([distance(one, profile) for one in each])
            flagged = far > card.distance_limit
            rest = np.setdiff1d(own, rows)
            found["the same voice"] += len(rest), flagged[rest].sum()
            others = clips.speakers != speaker
            found["other voices"] += others.sum(), flagged[others].sum()
        for name, row in found.items():
            counts[name].append(row.tolist())
    return _rates(counts)


def spread_rates(material: Material) -> dict[str, Rate]:
    """Return how often a profile is said to be of several voices, by their number."""
    clips = material.clips
    names = np.unique(clips.speakers)
    counts: dict[str, list[list[float]]] = {}
    for n in (20, 40):
        for speaker in names.tolist():
            own = np.flatnonzero(clips.speakers == speaker)
            rng = material.rng(f"spread/{n}/{speaker}")
            found = {1: np.zeros(2), 2: np.zeros(2)}
            for _ in range(material.n_draws):
                guest = rng.choice(names[names != speaker])
                theirs = np.flatnonzero(clips.speakers == guest)
                if len(own) >= n:
                    rows = rng.permutation(own)[:n]
                    found[1] += 1, _is_wide(material, rows)
                if min(len(own), len(theirs)) >= n // 2:
                    half = (rng.permutation(who)[: n // 2] for who in (own, theirs))
                    found[2] += 1, _is_wide(material, np.concatenate([*half]))
            for k, row in found.items():
                title = f"{n} clips of {('one voice', 'two voices')[k - 1]}"
                if row[0]:
                    counts.setdefault(title, []).append(row.tolist())
    return _rates(counts)


def _is_wide(material: Material, rows: np.ndarray) -> bool:
    statistics = material.clips.statistics(material.card, rows)
    return spread(statistics) > material.card.spread_limit


def noise_rates(
    material: Material, plain: np.ndarray, voices: np.ndarray
) -> dict[str, Rate]:
    """Return how often noises stay uncertain, plain and under profiles of speakers.

    Args:
        material: The corpus whose speakers the profiles are of.
        plain: Probabilities of the noises [N, C].
        voices: Voice vectors of the noises [N, columns].
    """
    clips, card = material.clips, material.card
    counts: dict[str, list[list[float]]] = {"plain": [], "under a profile": []}
    for speaker in np.unique(clips.speakers).tolist():
        own = np.flatnonzero(clips.speakers == speaker)
        rng = material.rng(f"noise/{speaker}")
        rows = own[draw_history(BALANCED, clips.labels[own], PROFILE, rng)]
        posterior = infer(card, clips.statistics(card, rows))
        adapted = adapt(card, posterior, plain, voices)
        for name, found in (("plain", plain), ("under a profile", adapted)):
            uncertain = (found.max(1) < material.threshold).sum()
            counts[name].append([len(found), float(uncertain)])
    return _rates(counts)


def embed_noises(classifier: Classifier, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and voice vectors of the first 8 s of all noises.

    They are given to the model directly, without the speech detector, which would drop
    most of them.
    """
    paths = [p for half in (True, False) for p in noise_files(folder, training=half)]
    longest = classifier.card.window
    sounds = [load_audio(path)[None, :longest] for path in paths]
    pairs = [classifier.run(sound, "probabilities", "voice") for sound in sounds]
    plain, voices = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return plain, voices


def _rates(counts: dict[str, list[list[float]]]) -> dict[str, Rate]:
    return {name: Rate(np.array(rows)) for name, rows in counts.items() if rows}
