"""How sure is a model of what is no speech?

    python -m research.strangers.noises MODEL --noise DIR [--threshold P]

Sounds are given to the model directly, without the speech detector, which would drop
most of them: the recordings of DIR, digital silence, white and pink noise, and
synthetic music. The table has the share of sounds whose highest probability is below
the threshold (so that they are uncertain), its quantiles, and the emotions.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.model.classifier import load_classifier
from espressivo.model.find import find_model
from espressivo.training.clips.surroundings import noise_files
from espressivo.types import SAMPLE_RATE, Signal
from research.quality.__main__ import pink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from espressivo.model.classifier import Classifier

LONGEST = 8 * SAMPLE_RATE
N_MUSIC = 20
THRESHOLD = 0.55
_PENTATONIC = (0, 2, 4, 7, 9, 12)
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 3, 7, 10))


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument(
        "--threshold",
        type=float,
        help=f"default: that of the model's card, or else {THRESHOLD}",
    )
    args = parser.parse_args()
    classifier = load_classifier(find_model(args.model))
    certainty = classifier.card.certainty
    threshold = args.threshold or (certainty.threshold if certainty else THRESHOLD)
    print(
        f"{classifier.card.name} {classifier.card.version}, threshold {threshold:g}\n"
    )
    columns = "sound | n | uncertain | highest probability: 5 % | median | 95 % | most"
    print(f"| {columns}, and emotions |")
    print("|---|---|---|---|---|---|---|")
    for name, signals in sounds(args.noise).items():
        print(row(name, predict(classifier, signals), threshold, classifier))


def row(
    name: str,
    probabilities: NDArray[np.float32],
    threshold: float,
    classifier: Classifier,
) -> str:
    """Return one row of the table, from probabilities [sounds, emotions]."""
    top = probabilities.max(1)
    quantiles = " | ".join(f"{q:.2f}" for q in np.quantile(top, (0.05, 0.5, 0.95)))
    emotions = classifier.card.emotions
    counts = Counter(str(emotions[i]) for i in probabilities.argmax(1))
    said = ", ".join(f"{emotion} {n}" for emotion, n in counts.most_common())
    share = f"{(top < threshold).mean():.0%}"
    return f"| {name} | {len(top)} | {share} | {quantiles} | {top.max():.2f}: {said} |"


def predict(classifier: Classifier, signals: Iterable[Signal]) -> NDArray[np.float32]:
    """Return the probabilities [sounds, emotions] of each sound's first 8 s."""
    longest = classifier.card.window
    return np.concatenate([classifier(s[None, :longest]) for s in signals])


def sounds(folder: Path) -> dict[str, list[Signal]]:
    """Return the sounds, by kind; synthetic ones are the same in every run."""
    rng = np.random.default_rng(1)
    world = {
        half: [load_audio(path) for path in noise_files(folder, training=half)]
        for half in (True, False)
    }
    both = world[True] + world[False]
    n = 5 * SAMPLE_RATE
    white = [rng.normal(size=n).astype(np.float32) for _ in range(10)]
    seconds = (0.5, 1, 2, 4, 8)
    return {
        "recordings": both,
        "of these, no part of training copies": world[False],
        "recordings, repeated to 8 s": [np.resize(s, LONGEST) for s in both],
        "digital silence, 0.5 to 8 s": [
            np.zeros(int(s * SAMPLE_RATE), np.float32) for s in seconds
        ],
        "white noise, 0 to -54 dB": [
            s / np.abs(s).max() * np.float32(2.0**-i) for i, s in enumerate(white)
        ],
        "pink noise, -6 dB": [peaked(pink(n, rng)) for _ in range(10)],
        "hum, 50 and 60 Hz": [
            peaked(tone(hz, LONGEST, n_harmonics))
            for hz in (50, 60)
            for n_harmonics in (1, 5)
        ],
        "music": [*music()],
    }


def music() -> Iterable[Signal]:
    """Yield 20 synthetic pieces of 8 s: chords, melodies and drums in turn."""
    for seed in range(N_MUSIC):
        rng = np.random.default_rng(seed)
        yield peaked((chords, melody, drums)[seed % 3](rng))


def chords(rng: np.random.Generator) -> Signal:
    """Return eight chords of a second, held or struck."""
    fade = rng.choice((0.2, 3.0))
    return np.concatenate(
        [
            np.sum(
                [
                    note(48 + root + step, 1.0, fade, n_harmonics=6)
                    for step in _CHORDS[rng.integers(len(_CHORDS))]
                ],
                axis=0,
            )
            for root in rng.integers(0, 12, 8)
        ]
    ).astype(np.float32)


def melody(rng: np.random.Generator) -> Signal:
    """Return a melody of a pentatonic scale, from 0.25 to 0.5 s a note."""
    root = int(rng.integers(55, 70))
    durations = rng.choice((0.25, 0.5), 32)
    vibrato = float(rng.choice((0.0, 0.01)))
    notes = [
        note(root + int(rng.choice(_PENTATONIC)), s, 1.0, 8, vibrato) for s in durations
    ]
    return np.resize(np.concatenate(notes), LONGEST).astype(np.float32)


def drums(rng: np.random.Generator) -> Signal:
    """Return a loop of kick, snare and hi-hat, at 90 to 150 beats a minute."""
    half = int(SAMPLE_RATE * 30 / rng.uniform(90, 150))  # half a beat
    t = np.arange(half) / SAMPLE_RATE
    kick = np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t * 30)))) * np.exp(-t * 15)
    noise = rng.normal(size=half)
    snare = 0.4 * noise * np.exp(-t * 20) + 0.4 * np.sin(360 * np.pi * t) * np.exp(
        -t * 25
    )
    hat = 0.15 * np.diff(noise, prepend=0.0) * np.exp(-t * 60)
    extra = rng.choice((0, 1), 8)  # kicks off the beat
    loop = [
        hat + kick * (i % 4 == 0 or extra[i]) + snare * (i % 4 == 2) for i in range(8)
    ]
    return np.resize(np.concatenate(loop), LONGEST).astype(np.float32)


def note(
    key: int, duration_s: float, fade: float, n_harmonics: int, vibrato: float = 0.0
) -> Signal:
    """Return a note of the tempered scale (key 69 is 440 Hz), with a soft attack."""
    n = int(duration_s * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    envelope = np.minimum(t / 0.01, 1) * np.exp(-t * fade)
    envelope *= np.minimum((t[-1] - t) / 0.01, 1)
    hz = 440 * 2 ** ((key - 69) / 12)
    return np.asarray(tone(hz, n, n_harmonics, vibrato) * envelope, np.float32)


def tone(hz: float, n: int, n_harmonics: int, vibrato: float = 0.0) -> Signal:
    """Return `n` samples of a tone whose harmonics fall as 1 / k."""
    t = np.arange(n) / SAMPLE_RATE
    phase = 2 * np.pi * hz * (t - vibrato / (10 * np.pi) * np.cos(10 * np.pi * t))
    parts = [
        np.sin(k * phase) / k
        for k in range(1, n_harmonics + 1)
        if k * hz < 0.45 * SAMPLE_RATE
    ]
    return np.asarray(np.sum(parts, axis=0), np.float32)


def peaked(signal: Signal, peak: float = 0.5) -> Signal:
    """Return a signal scaled to a peak."""
    return np.asarray(signal * (peak / np.abs(signal).max()), np.float32)


if __name__ == "__main__":
    main()
