"""Write odd recordings of the example note into a folder: TO.

Their times, tracks, channels and parts are what players and browsers often get wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from espressivo.audio.recording import load_audio  # noqa: E402
from tests.odd_recordings import Track, write  # noqa: E402
from tests.recordings import encode  # noqa: E402


def holes(time_s: float) -> float:
    """Return a time stamp: three holes, of which the last is long."""
    return time_s + (time_s >= 2) * 0.4 + (time_s >= 4) * 1.5 + (time_s >= 5) * 8


def lost(time_s: float) -> float | None:
    """Return a time stamp, or None in a second that is lost."""
    return None if 3 <= time_s < 4 else time_s


def main() -> None:
    """Write them."""
    folder = Path(sys.argv[1])
    speech = load_audio(ROOT / "examples/voice-note.m4a")[240_000:368_000]  # 8 s
    silence = np.zeros(5 * 16_000, np.float32)
    late = {"stamp": lambda time_s: time_s + 2.5}

    pages = {"page_duration": "20000"}
    write(folder / "holes.webm", Track(speech, "opus", holes))
    write(folder / "holes.ogg", Track(speech, "vorbis", holes), options=pages)
    write(folder / "lost.ogg", Track(speech, "opus", lost), options=pages)
    write(folder / "lost.m4a", Track(speech, "aac", lost))
    write(folder / "lost.mkv", Track(speech, "mp3", lost))
    write(folder / "late.mp4", Track(speech, "aac", **late), picture=(0, 11))
    write(folder / "late-alone.m4a", Track(speech, "aac", **late))
    write(
        folder / "second.mkv",
        Track(silence, "opus", default=False, tags={"language": "deu"}),
        Track(speech, "aac", default=True),
    )
    write(
        folder / "inverted.flac",
        Track(np.stack([0.5 * speech, -speech]), "flac"),
    )
    write(
        folder / "delayed.m4a",
        Track(np.stack([speech, np.roll(speech, 80)]), "aac"),
    )
    short, stereo = folder / "short.opus", folder / "stereo.ogg"
    encode(short, speech[:64_000])
    write(stereo, Track(np.stack([speech, speech]), "vorbis"))
    together(folder / "chained.ogg", short, stereo, short)
    mono, other = folder / "mono.mp3", folder / "other.mp3"
    encode(mono, speech)
    encode(other, speech[:64_000], channels=2)
    together(folder / "put-together.mp3", mono, other, mono)
    for name in ("short.opus", "mono.mp3"):
        whole = (folder / name).read_bytes()
        (folder / f"cut-{name}").write_bytes(whole[: len(whole) * 4 // 5])
    for used in (short, stereo, mono, other):
        used.unlink()


def together(path: Path, *parts: Path) -> None:
    """Write files one after the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))


if __name__ == "__main__":
    main()
