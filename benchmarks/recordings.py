"""Long recordings for benchmarks: real speech, encoded once and then repeated.

    python benchmarks/recordings.py OUT.m4a SPEECH MINUTES [REPEATS]

Benchmarks of memory run this as a separate process, because on Linux a child's peak
memory includes what its parent held at the fork.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from espressivo.audio.recording import load_audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000


def speech_files(folder: Path) -> list[Path]:
    """Return the .flac files of a folder, sorted; exit with a message if none."""
    files = sorted(folder.glob("*.flac"))
    if not files:
        raise SystemExit(f"{folder}: holds no .flac; pass --speech, a folder of speech")
    return files


def read_speech(folder: Path, minutes: float) -> NDArray[np.float32]:
    """Return utterances with pauses of 0.4 s, repeated up to the given length.

    Args:
        folder: Folder of utterances (.flac).
        minutes: Length of the result.

    Returns:
        Mono [samples] at 16 kHz.
    """
    files = speech_files(folder)
    pause = np.zeros(int(0.4 * RATE), np.float32)
    once = np.concatenate([p for f in files for p in (load_audio(f), pause)])
    n_samples = round(minutes * 60 * RATE)
    return np.tile(once, -(-n_samples // len(once)))[:n_samples]


def write_m4a(path: Path, signal: NDArray[np.float32], repeats: int = 1) -> Path:
    """Write `signal`, `repeats` times over, as AAC; packets are encoded once."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        stream.bit_rate = 48_000
        packets = []
        frame = av.AudioFrame.from_ndarray(signal[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler("fltp", "mono", RATE, 1024)
        for piece in (*resampler.resample(frame), None):
            packets += [bytes(packet) for packet in stream.encode(piece)]
        # Packets are copied with new timestamps, so that repeats cost no encoding.
        for i in range(repeats * len(packets)):
            packet = av.Packet(packets[i % len(packets)])
            packet.stream, packet.time_base = stream, Fraction(1, RATE)
            packet.pts = packet.dts = i * 1024
            packet.duration = 1024
            container.mux(packet)
    return path


if __name__ == "__main__":
    _, out, speech, minutes, *repeats = sys.argv
    write_m4a(Path(out), read_speech(Path(speech), float(minutes)), *map(int, repeats))
