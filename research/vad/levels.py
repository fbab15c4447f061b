"""`python -m research.vad.levels`: speech found with and without levelling.

Silero VAD as it is (plain), with the levelling of version 0.1 (before), and as in
`espressivo.speech.detector` (now), on noise, on quiet corpora, and on speech that
follows loud events or has an offset.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.speech.detector import FRAME, SpeechDetector
from espressivo.speech.segments import find_segments
from espressivo.types import SAMPLE_RATE, Signal
from research.vad.loud_events import EVENTS, OFFSETS
from research.vad.noises import pink_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

_BELOW_DB = 25  # speech are the frames within so much of a clip's loudest
_GAINS_DB = (0, -10, -20, -30, -40, -50)
_GAPS_S = (0.0, 0.3)
_PEAKS_DB = (-20, -35, -50)  # level of the loudest frame of the speech after an event
_SNRS_DB = (25, 15, 8)


class _Plain(SpeechDetector):
    """The network without levelling."""

    def _levelled(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        return frames.copy()


class _Before(SpeechDetector):
    """Version 0.1: scaled by a peak that falls by 2 dB per second."""

    def _levelled(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        steps = np.arange(1, len(frames) + 1)  # the whole signal comes in one block
        lost = steps * (2.0 / 20 * np.log(10) * FRAME / SAMPLE_RATE)
        highest = np.maximum.accumulate(np.log(_levels(frames, 1e-6)) + lost)
        gains = 0.1 / np.maximum(np.exp(highest - lost), 1e-6)
        scaled: NDArray[np.float32] = frames * gains[:, None].astype("f4")
        return scaled


_DETECTORS = {"plain": _Plain, "before": _Before, "now": SpeechDetector}


@dataclass(frozen=True, slots=True)
class Row:
    """One condition: by detector, the share found (0 to 1) and clips with segments."""

    condition: str
    n_clips: int
    found: tuple[float, ...]
    clips: tuple[int, ...]


def main(argv: list[str] | None = None) -> int:
    """Print the table, write it as CSV, and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.vad.levels", description=__doc__
    )
    parser.add_argument("--noise", type=Path, required=True, metavar="DIR")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--clips", type=int, default=60, help="of each corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV")
    args = parser.parse_args(argv)
    corpora = {folder.name: _read(folder, args.clips) for folder in args.speech}
    rows = []
    for row in measure(_read(args.noise, None), corpora):
        rows.append(row)
        print(_markdown(row), flush=True)
    with args.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = [f"{kind} {name}" for kind in ("found", "clips") for name in _DETECTORS]
        writer.writerow(["condition", "n_clips", *names])
        for row in rows:
            found = [f"{share:.4f}" for share in row.found]
            writer.writerow([row.condition, row.n_clips, *found, *row.clips])
    return 0


def measure(noises: list[Signal], corpora: dict[str, list[Signal]]) -> Iterator[Row]:
    """Yield one row per condition; `noises` are halved, as settings were chosen."""
    for gain_db in (*_GAINS_DB, -60):
        for half, name in enumerate(("chosen on", "others")):
            clips = [_quantized(x * _ratio(gain_db)) for x in noises[half::2]]
            every = ((x, np.ones(-(-len(x) // FRAME), bool)) for x in clips)
            yield _row(f"noise ({name}), {gain_db} dB", every)
    for name, clips in corpora.items():
        for gain_db in _GAINS_DB:
            ratio = _ratio(gain_db)
            quiet = ((_quantized(x * ratio), _is_speech(x)) for x in clips)
            yield _row(f"{name}, {gain_db} dB", quiet)
    few = [
        clip[: 3 * SAMPLE_RATE] for clips in corpora.values() for clip in clips[::15]
    ]
    for name, event in EVENTS.items():
        for gap_s in _GAPS_S:
            for peak_db in _PEAKS_DB:
                after = (_after(event(), gap_s, x, peak_db) for x in few)
                yield _row(f"{name}, {gap_s} s before, {peak_db} dB", after)
    for name, offset in OFFSETS.items():
        shifted = ((_at(x, -35) + offset(len(x)), _is_speech(x)) for x in few)
        yield _row(f"{name}, -35 dB", ((y.astype(np.float32), s) for y, s in shifted))
    for snr_db in _SNRS_DB:
        yield _row(f"pink noise {snr_db} dB below", (_noisy(x, snr_db) for x in few))


def _row(condition: str, clips: Iterable[tuple[Signal, NDArray[np.bool_]]]) -> Row:
    """Return the share of wanted frames found, and clips with any segment."""
    pairs = list(clips)
    found, some = [], []
    for detector in _DETECTORS.values():
        masks = [_found(detector, signal) for signal, _ in pairs]
        hits = sum(int((m & w).sum()) for m, (_, w) in zip(masks, pairs, strict=True))
        found.append(hits / sum(int(wanted.sum()) for _, wanted in pairs))
        some.append(
            sum(int((m & w).any()) for m, (_, w) in zip(masks, pairs, strict=True))
        )
    return Row(condition, len(pairs), tuple(found), tuple(some))


def _found(detector: Callable[[], SpeechDetector], signal: Signal) -> NDArray[np.bool_]:
    """Return which frames are in a segment."""
    padded = np.pad(signal, (0, -len(signal) % FRAME))
    mask = np.zeros(len(padded) // FRAME, bool)
    for segment in find_segments(detector().push(padded), len(padded)):
        mask[segment.start // FRAME : -(-segment.end // FRAME)] = True
    return mask


def _levels(frames: NDArray[np.float32], least: float) -> NDArray[np.float64]:
    power = np.square(frames[:, -FRAME:], dtype=np.float64).mean(1)
    levels: NDArray[np.float64] = np.maximum(np.sqrt(power), least)
    return levels


def _frame_levels_db(signal: Signal) -> NDArray[np.float64]:
    padded = np.pad(signal, (0, -len(signal) % FRAME)).reshape(-1, FRAME)
    levels: NDArray[np.float64] = 20 * np.log10(_levels(padded, 1e-6))
    return levels


def _is_speech(clip: Signal) -> NDArray[np.bool_]:
    levels = _frame_levels_db(clip - clip.mean())
    wanted: NDArray[np.bool_] = levels > levels.max() - _BELOW_DB
    return wanted


def _ratio(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))


def _at(clip: Signal, peak_db: float) -> Signal:
    """Return a clip whose loudest frame has this level."""
    return clip * _ratio(peak_db - float(_frame_levels_db(clip).max()))


def _quantized(signal: NDArray[np.floating]) -> Signal:
    rounded = np.round(signal * 32_768).clip(-32_768, 32_767) / 32_768
    return rounded.astype(np.float32)


def _after(
    event: NDArray[np.float64], gap_s: float, clip: Signal, peak_db: float
) -> tuple[Signal, NDArray[np.bool_]]:
    n_frames = -(-(len(event) + round(gap_s * SAMPLE_RATE)) // FRAME)
    before = np.pad(event, (0, n_frames * FRAME - len(event)))
    wanted = np.concatenate([np.zeros(n_frames, bool), _is_speech(clip)])
    return _quantized(np.concatenate([before, _at(clip, peak_db)])), wanted


def _noisy(clip: Signal, snr_db: float) -> tuple[Signal, NDArray[np.bool_]]:
    signal = np.pad(_at(clip, -20), (SAMPLE_RATE // FRAME * FRAME, 0))
    noise = pink_noise(len(signal), np.random.default_rng(len(clip)))
    level = 10 ** ((-20 - snr_db) / 20)
    return _quantized(signal + level * noise / noise.std()), _is_speech(signal)


def _read(folder: Path, most: int | None) -> list[Signal]:
    files = [
        path
        for ending in ("flac", "ogg", "opus", "wav")
        for path in sorted(folder.rglob(f"*.{ending}"))
    ]
    step = max(1, len(files) // most) if most else 1
    return [load_audio(path) for path in files[::step][:most]]


def _markdown(row: Row) -> str:
    cells = [
        f"{100 * share:.1f} ({clips})"
        for share, clips in zip(row.found, row.clips, strict=True)
    ]
    return f"| {row.condition} | {row.n_clips} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
