"""The parts of the study that score clips: speakers, settings, both, archives, notes.

Each part takes the clips of one corpus and returns paired scores by condition. A
condition is named by what the history consists of and by its number of clips.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.model.adaptation import infer
from research.adaptation.histories import (
    ALMOST_NEUTRAL,
    BALANCED,
    MISSING,
    MOSTLY_NEUTRAL,
    ONLY_NEUTRAL,
    PAIRS,
    SINGLE,
    draw_history,
)
from research.adaptation.scores import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.model.adaptation import AdaptationCard, Posterior
    from research.adaptation.clips import Clips, Rows
    from research.adaptation.histories import Content
    from research.adaptation.scores import Paired

ALL = "all clips"
"""A history of all other clips of the speaker."""

SPEAKER_HISTORIES: tuple[tuple[Content, int], ...] = (
    *((BALANCED, n) for n in (2, 5, 8, 20)),
    (MOSTLY_NEUTRAL, 20),
    *((content, 10) for content in SINGLE),
    *((content, 20) for content in PAIRS),
)
"""Contents and sizes of a speaker's histories, beside all clips."""
SHORT_HISTORIES: tuple[tuple[Content, int], ...] = (
    (BALANCED, 20),
    (MOSTLY_NEUTRAL, 20),
    *((content, 10) for content in SINGLE),
)
"""The same in short."""
SETTINGS: tuple[tuple[Content, int], ...] = (
    *((c, n) for c in (BALANCED, MOSTLY_NEUTRAL, ALMOST_NEUTRAL) for n in (5, 20, 100)),
    *((content, 100) for content in MISSING),
)
"""Contents and sizes of settings, beside nine tenths of a corpus."""
SHORT_SETTINGS: tuple[tuple[Content, int], ...] = (
    *((MOSTLY_NEUTRAL, n) for n in (5, 20, 100)),
    (ALMOST_NEUTRAL, 100),
)
"""The same in short."""
NINE_TENTHS = "nine tenths of the corpus"
"""A setting of nine tenths of a corpus; the other tenth is scored."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the parts of the study work on.

    Attributes:
        clips: Clips of one corpus.
        card: Card of the model.
        threshold: Least probability of a certain estimate.
        scored: Clips that are scored where each needs a history of its own.
        n_draws: Settings drawn per condition.
        seed: Seed that draws histories.
    """

    clips: Clips
    card: AdaptationCard
    threshold: float
    scored: Rows
    n_draws: int = 10
    seed: int = 0

    def rng(self, condition: str) -> np.random.Generator:
        """Return the random generator of a condition, independent of all others."""
        return np.random.default_rng(
            [self.seed, zlib.crc32(f"{self.clips.name}/{condition}".encode())]
        )

    def tally(self) -> Tally:
        """Return an empty tally of this corpus."""
        return Tally(self.clips.speakers, self.threshold)

    def add(
        self, tally: Tally, rows: Rows, posterior: Posterior | None, size: float
    ) -> None:
        """Predict some clips, plain and adapted, and add both to a tally."""
        if not len(rows):
            return
        plain, adapted = (
            self.clips.predict(self.card, rows, p) for p in (None, posterior)
        )
        clips = self.clips
        tally.add(clips.labels[rows], clips.speakers[rows], plain, adapted, size)

    def others(self, clip: int) -> Rows:
        """Return the other clips of a clip's speaker."""
        own = np.flatnonzero(self.clips.speakers == self.clips.speakers[clip])
        rest: Rows = own[own != clip]
        return rest


def condition_name(content: Content, n: int) -> str:
    """Return the name of a condition in tables."""
    return f"{content.title}, {n}"


def score_speakers(
    material: Material,
    histories: Sequence[tuple[Content, int]] = SPEAKER_HISTORIES,
    *,
    everything: bool = True,
) -> dict[str, Paired]:
    """Score clips with the history of their speaker; none is in its own history.

    Args:
        material: The corpus.
        histories: Contents and sizes.
        everything: Also score with all other clips of the speaker.
    """
    clips, card = material.clips, material.card
    found = {}
    for content, n in histories:
        name = condition_name(content, n)
        rng, tally = material.rng(f"speaker/{name}"), material.tally()
        for clip in material.scored.tolist():
            others = material.others(clip)
            rows = others[draw_history(content, clips.labels[others], n, rng)]
            posterior = infer(card, clips.statistics(card, rows))
            material.add(tally, np.array([clip]), posterior, len(rows))
        found[name] = tally.paired()
    if everything:
        tally = material.tally()
        for clip in material.scored.tolist():
            others = material.others(clip)
            posterior = infer(card, clips.statistics(card, others))
            material.add(tally, np.array([clip]), posterior, len(others))
        found[ALL] = tally.paired()
    return {name: paired for name, paired in found.items() if paired is not None}


def score_settings(
    material: Material,
    settings: Sequence[tuple[Content, int]] = SETTINGS,
) -> dict[str, Paired]:
    """Score all clips that are not in a setting drawn from the same corpus.

    A quarter of the clips of each emotion is kept from the setting, so that all
    emotions are scored.
    """
    clips, card = material.clips, material.card
    found = {}
    for content, n in settings:
        name = condition_name(content, n)
        rng, tally = material.rng(f"setting/{name}"), material.tally()
        for _ in range(material.n_draws):
            pool = _three_quarters(clips.labels, rng)
            rows = pool[draw_history(content, clips.labels[pool], n, rng)]
            rest = np.setdiff1d(np.arange(len(clips)), rows)
            posterior = infer(card, None, clips.statistics(card, rows, setting=True))
            material.add(tally, rest, posterior, len(rows))
        found[name] = tally.paired()
    tally = material.tally()
    order = material.rng(NINE_TENTHS).permutation(len(clips))
    for part in np.array_split(order, 10):
        rows = np.setdiff1d(order, part)
        posterior = infer(card, None, clips.statistics(card, rows, setting=True))
        material.add(tally, np.sort(part), posterior, len(rows))
    found[NINE_TENTHS] = tally.paired()
    return {name: paired for name, paired in found.items() if paired is not None}


def _three_quarters(labels: Rows, rng: np.random.Generator) -> Rows:
    """Draw three quarters of the clips of each emotion."""
    each = [rng.permutation(np.flatnonzero(labels == k)) for k in np.unique(labels)]
    return np.sort(np.concatenate([rows[-(-len(rows) // 4) :] for rows in each]))


def score_both(
    material: Material, *, n_setting: int = 100, n_speaker: int = 8
) -> dict[str, Paired]:
    """Score clips with a setting of other speakers and a short history of their own.

    `pooled` takes both as one history with one prior, for comparison.
    """
    clips, card = material.clips, material.card
    found: dict[str, Tally] = {}
    for content in (BALANCED, ONLY_NEUTRAL):
        history = condition_name(content, n_speaker)
        rng = material.rng(f"both/{history}")
        for speaker in np.unique(clips.speakers[material.scored]).tolist():
            own = material.scored[clips.speakers[material.scored] == speaker]
            pool = np.flatnonzero(clips.speakers != speaker)
            drawn = draw_history(MOSTLY_NEUTRAL, clips.labels[pool], n_setting, rng)
            setting = clips.statistics(card, pool[drawn], setting=True)
            shared = infer(card, None, setting)
            for clip in own.tolist():
                others = material.others(clip)
                taken = draw_history(content, clips.labels[others], n_speaker, rng)
                rows = others[taken]
                voice = clips.statistics(card, rows)
                posteriors = {
                    "setting of others": shared,
                    f"speaker: {history}": infer(card, voice),
                    f"setting and speaker: {history}": infer(card, voice, setting),
                    f"pooled: {history}": infer(card, voice.merged(setting)),
                }
                for name, posterior in posteriors.items():
                    tally = found.setdefault(name, material.tally())
                    material.add(tally, np.array([clip]), posterior, len(rows))
    pairs = {name: tally.paired() for name, tally in found.items()}
    return {name: paired for name, paired in pairs.items() if paired is not None}


def score_archive(material: Material) -> dict[str, Paired]:
    """Score all clips as `archive --adapt` does, which hears all of them first.

    With the speakers' names, the history of a clip is all of its speaker; without, it
    is the clip itself. Both have all clips as their setting.
    """
    clips, card = material.clips, material.card
    everything = np.arange(len(clips))
    setting = clips.statistics(card, everything, setting=True)
    named, unnamed, alone = (material.tally() for _ in range(3))
    for speaker in np.unique(clips.speakers).tolist():
        own = np.flatnonzero(clips.speakers == speaker)
        voice = clips.statistics(card, own)
        material.add(named, own, infer(card, voice, setting), len(own))
        material.add(alone, own, infer(card, voice), len(own))
    for clip in material.scored.tolist():
        row = np.array([clip])
        voice = clips.statistics(card, row)
        material.add(unnamed, row, infer(card, voice, setting), 1)
    found = {
        "archive without names": unnamed.paired(),
        "archive with speakers' names": named.paired(),
        "speakers' names, no setting": alone.paired(),
    }
    return {name: paired for name, paired in found.items() if paired is not None}


def score_windows_as_notes(
    material: Material, *, sizes: Sequence[int] = (8, 20), n_notes: int = 40
) -> dict[str, Paired]:
    """Score notes whose windows are clips of one speaker, each other's history.

    Notes of one emotion are scored as a whole (mean of the windows), those of two or
    four emotions window by window.

    Args:
        material: The corpus.
        sizes: Windows in a note.
        n_notes: Notes per emotion (of one), or in all (of two and of four).
    """
    clips = material.clips
    names = np.unique(clips.speakers).tolist()
    found: dict[str, Tally] = {}
    for n in sizes:
        for kind, contents in (
            ("one emotion", SINGLE),
            ("two emotions", PAIRS),
            ("four emotions", (BALANCED,) * len(SINGLE)),
        ):
            rng = material.rng(f"note/{kind}/{n}")
            for content in contents:
                for k in range(-(-n_notes // len(names)) * len(names)):
                    own = np.flatnonzero(clips.speakers == names[k % len(names)])
                    rows = own[draw_history(content, clips.labels[own], n, rng)]
                    if len(rows) < n / 2 or not content.is_met(clips.labels[rows]):
                        continue
                    _add_note(material, found, f"{n} windows", kind, rows)
    pairs = {name: tally.paired() for name, tally in found.items()}
    return {name: paired for name, paired in pairs.items() if paired is not None}


def _add_note(
    material: Material, found: dict[str, Tally], size: str, kind: str, rows: Rows
) -> None:
    clips, card = material.clips, material.card
    posterior = infer(card, clips.statistics(card, rows))
    plain, adapted = (clips.predict(card, rows, p) for p in (None, posterior))
    labels, speakers = clips.labels[rows], clips.speakers[rows]
    windows = found.setdefault(f"{size}, {kind}: windows", material.tally())
    windows.add(labels, speakers, plain, adapted, len(rows))
    if len(set(labels.tolist())) == 1:
        whole = found.setdefault(f"{size}, {kind}: whole note", material.tally())
        means = (plain.mean(0)[None], adapted.mean(0)[None])
        whole.add(labels[:1], speakers[:1], *means, len(rows))
