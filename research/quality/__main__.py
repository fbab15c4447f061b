"""How poor may the sound be, and does `Quality` tell?

    python -m research.quality FOLDER [--clips 25]

FOLDER holds `corpora`, `speech` and `noise`. Every clip is spoilt in many ways; the
table has the share of clips whose emotion becomes another one, the emotions, the share
with a warning and the median of what `Quality` estimates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.speech.detector import FRAME, SpeechDetector
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from espressivo.report import Report

Spoil = Callable[[Signal, Signal], Signal]
"""Clip and its samples of speech to a spoilt clip."""


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=25, help="of each corpus")
    args = parser.parse_args()
    analyzer = espressivo.load_model()
    clips = [clip for clip in read_clips(args.folder, args.clips) if len(clip[1])]
    plain = [analyzer.analyze(clip) for clip, _ in clips]
    columns = ["another emotion", *analyzer.classifier.card.emotions]
    columns += ["no speech", "warned", "estimate, median"]
    print("| sound |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    print(row("as it is", "snr_db", plain, plain))
    for name, (measure, spoil) in conditions(args.folder).items():
        spoilt = [analyzer.analyze(spoil(*clip)) for clip in clips]
        print(row(name, measure, plain, spoilt), flush=True)


def read_clips(folder: Path, n: int) -> list[tuple[Signal, Signal]]:
    """Return clips of each corpus, drawn with a fixed seed, and their speech."""
    rng = np.random.default_rng(1)
    clips = []
    for corpus in [*sorted((folder / "corpora").iterdir()), folder / "speech"]:
        files = sorted([*corpus.rglob("*.opus"), *corpus.rglob("*.flac")])
        for i in rng.permutation(len(files))[:n]:
            clip = load_audio(files[i])
            is_speech = np.repeat(SpeechDetector().push(clip) >= 0.5, FRAME)
            clips.append((clip, clip[: len(is_speech)][is_speech]))
    return clips


def conditions(folder: Path) -> dict[str, tuple[str, Spoil]]:
    """Return ways to spoil a clip, and the estimate that tells of each."""
    rng = np.random.default_rng(1)
    world = [load_audio(path) for path in sorted((folder / "noise").rglob("*.ogg"))]
    noises: dict[str, Callable[[int], Signal]] = {
        "white noise": lambda n: rng.normal(size=n).astype(np.float32),
        "pink noise": lambda n: pink(n, rng),
        "ESC-10": lambda n: np.resize(world[rng.integers(len(world))], n),
    }
    found: dict[str, tuple[str, Spoil]] = {}
    for hz in (3_400, 4_000, 5_500, 6_500):
        found[f"up to {hz} Hz"] = "bandwidth_hz", partial(low_passed, hz=hz)
    for db in (-50, -60, -70, -80):
        found[f"16 bits, {db} dB"] = "level_db", partial(faint, level_db=db)
    found["floats, -80 dB"] = "level_db", partial(faint, level_db=-80, steps=2**40)
    for db in (6, 9, 12, 15, 20, 30, 40):
        found[f"clipped, +{db} dB"] = "clipped", partial(clipped, gain_db=db)
    for name, noise in noises.items():
        for db in (30, 20, 15, 10, 5, 0, -5):
            spoil = partial(mixed, noise=noise, snr_db=db)
            found[f"{name}, SNR {db} dB"] = "snr_db", spoil
    return found


def low_passed(clip: Signal, _speech: Signal, hz: int) -> Signal:
    """Return a clip without anything above a frequency."""
    spectrum = np.fft.rfft(clip)
    spectrum[round(hz * len(clip) / SAMPLE_RATE) :] = 0
    return np.asarray(np.fft.irfft(spectrum, len(clip)), np.float32)


def faint(
    clip: Signal, speech: Signal, level_db: float, steps: float = 2**15
) -> Signal:
    """Return a clip in 16 bits, or in other steps, with its speech at a level."""
    gain = 10 ** (level_db / 20) / np.sqrt(np.square(speech).mean())
    return np.asarray(np.round(clip * gain * steps) / steps, np.float32)


def clipped(clip: Signal, _speech: Signal, gain_db: float) -> Signal:
    """Return a clip whose peak would be above full scale."""
    loud = clip / np.abs(clip).max() * 10 ** (gain_db / 20)
    return np.asarray(np.clip(loud, -1, 1), np.float32)


def pink(n: int, rng: np.random.Generator) -> Signal:
    """Return noise whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return np.asarray(np.fft.irfft(spectrum, n), np.float32)


def mixed(
    clip: Signal, speech: Signal, noise: Callable[[int], Signal], snr_db: float
) -> Signal:
    """Return a clip with noise at a ratio to its speech."""
    added = noise(len(clip))
    ratio = np.square(speech).mean() / (np.square(added).mean() + 1e-20)
    gain = np.sqrt(ratio / 10 ** (snr_db / 10))
    return np.asarray(clip + gain * added, np.float32)


def row(name: str, measure: str, plain: list[Report], spoilt: list[Report]) -> str:
    """Return a row of the table."""
    heard = [(a, b) for a, b in zip(plain, spoilt, strict=True) if a.emotion]
    both = [(a, b) for a, b in heard if b.emotion]
    other = np.mean([a.emotion != b.emotion for a, b in both])
    warned = np.mean([bool(b.warnings) for _, b in both])
    estimates = [getattr(b.quality, measure) for _, b in both]
    given = [np.mean([b.emotion == e for _, b in both]) for e in plain[0].emotions]
    median = np.median([each for each in estimates if each is not None])
    shown = f"{median:.0%}" if measure == "clipped" else f"{median:.0f}"
    missed = 1 - len(both) / len(heard)
    shares = [f"{each:.0%}" for each in (other, *given, missed, warned)]
    return f"| {name} | {' | '.join(shares)} | {shown} |"


if __name__ == "__main__":
    main()
