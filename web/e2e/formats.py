"""Write the example note in many formats into a folder: TO."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from espressivo.audio.recording import load_audio  # noqa: E402
from tests.recordings import encode  # noqa: E402

KINDS: dict[str, dict[str, int | bool]] = {
    "rate8.wav": {"rate": 8_000},
    "rate44.wav": {"rate": 44_100, "channels": 2},
    "stereo.flac": {"rate": 44_100, "channels": 2},
    "six.flac": {"rate": 48_000, "channels": 6},
    "mono.mp3": {},
    "low.mp3": {"rate": 22_050},
    "stereo.ogg": {"channels": 2},
    "mono.opus": {},
    "film.mp4": {"video": True},
    "stereo.m4a": {"channels": 2},
    "mono.webm": {},
    "raw.mka": {},
}


def main() -> None:
    """Write them."""
    signal = load_audio(ROOT / "examples/voice-note.m4a")
    # 6 s are enough, and the last window is not cut by the end.
    signal = np.concatenate([signal[: 6 * 16_000], np.zeros(8_000, np.float32)])
    for name, options in KINDS.items():
        encode(Path(sys.argv[1]) / name, signal, **options)


if __name__ == "__main__":
    main()
