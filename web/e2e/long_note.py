"""Write a long note: real speech of several people, pauses, noise.

TO MINUTES RATE [silent]
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def pieces() -> Iterator[np.ndarray]:
    """Yield speech and what lies between, again and again."""
    noises = sorted((SHARED / "noise").rglob("*.*g*"))
    spoken = sorted((SHARED / "speech").glob("*.flac")) or [
        ROOT / "examples/voice-note.m4a"
    ]
    rng = np.random.default_rng(0)
    while True:
        for i, file in enumerate(spoken):
            yield load_audio(file)
            length = int(rng.uniform(0.2, 4.0) * 16_000)
            if noises and i % 3 == 0:
                noise = load_audio(noises[i % len(noises)])
                yield np.resize(0.3 * noise, length)
            else:
                yield np.zeros(length, np.float32)


def main() -> None:
    """Write the file."""
    to, minutes, rate = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    wanted = round(60 * minutes * 16_000)
    held, n = [], 0
    for piece in pieces():
        held.append(piece)
        n += len(piece)
        if n >= wanted:
            break
    signal = np.concatenate(held)[:wanted]
    if sys.argv[4:] == ["silent"]:
        signal = np.zeros_like(signal)
    if rate != 16_000:
        frames = -(-len(signal) * rate // 16_000)
        at = np.arange(frames) * (16_000 / rate)
        signal = np.interp(at, np.arange(len(signal)), signal)
    with wave.open(to, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main()
