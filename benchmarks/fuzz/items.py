"""Items of the fuzzer: mutated recordings and model folders, and their outcome."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.errors import EspressivoError
from espressivo.model.find import find_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.analyzer import Analyzer

ROOT = Path(__file__).parents[2]
NOTE = ROOT / "examples" / "voice-note.m4a"
_ENDINGS = ["wav", "flac", "mp3", "ogg", "opus", "m4a", "amr", "webm", "mp4", "mka"]
_OTHERS = {"aac": "aac", "ts": "aac", "wma": "wma", "avi": "mp3", "mov": "alac"} | {
    "au": "s16be",
    "caf": "s16",
    "aiff": "s16be",
    "w64": "s16",
}
_EXTREMES = np.array([0, 1, 0x7F, 0x80, 0xFF], np.uint8)


def make_seeds(folder: Path) -> None:
    """Write the seeds of the mutation: one second of speech in every format."""
    if folder.exists():
        return
    sys.path.insert(0, str(ROOT))
    encode = import_module("tests.recordings").encode

    folder.mkdir(parents=True)
    signal = load_audio(NOTE)[8_000:24_000]
    for ending in _ENDINGS:
        encode(folder / f"note.{ending}", signal)
        if ending not in {"amr", "mka"}:
            encode(folder / f"stereo.{ending}", signal, channels=2)
    encode(folder / "film.mp4", signal, video=True)
    _make_odd(folder, signal)


def _make_odd(folder: Path, signal: NDArray[np.float32]) -> None:
    """Write recordings with holes, tracks, parts and channels that need decisions."""
    odd = import_module("tests.odd_recordings")
    write, track = odd.write, odd.Track

    def torn(t: float) -> float:
        return t if t < 0.5 else t + 2

    inverted = np.stack([signal, -signal])
    write(folder / "torn.webm", track(signal, stamp=torn))
    write(folder / "torn.mkv", track(inverted, "vorbis", stamp=torn))
    write(folder / "tracks.mkv", track(signal), track(signal, "aac", default=True))
    write(folder / "late.mp4", track(signal[8_000:], "aac"), picture=(0.0, 1.0))
    write(folder / "many.flac", track(np.stack([signal] * 6), "flac"))
    write(folder / "inverted.wav", track(inverted, "s16"))
    for ending, codec in _OTHERS.items():
        write(folder / f"other.{ending}", track(signal, codec))
    parts = [folder / "note.opus", folder / "stereo.opus"]
    (folder / "chained.ogg").write_bytes(b"".join(p.read_bytes() for p in parts))
    mp3s = [folder / "note.mp3", folder / "stereo.mp3"]
    (folder / "joined.mp3").write_bytes(b"".join(p.read_bytes() for p in mp3s))
    (folder / "raw.sln").write_bytes((signal[::2] * 2**15).astype("<i2").tobytes())


def mutated_recording(seeds: Path, to: Path, seed: int, index: int) -> Path:
    """Write the mutated recording `index` of a seed, and return its path."""
    rng = np.random.default_rng([seed, index])
    files = sorted(seeds.iterdir())
    file = files[int(rng.integers(len(files)))]
    other = files[int(rng.integers(len(files)))].read_bytes()
    to.mkdir(parents=True, exist_ok=True)
    path = to / f"item{file.suffix}"
    path.write_bytes(_mutated(file.read_bytes(), other, rng))
    return path


def mutated_model(_seeds: Path, to: Path, seed: int, index: int) -> Path:
    """Write a model folder with one mutated file, and return its path.

    For half of the mutated graphs the hash in the card is updated, as an attacker would
    do it; otherwise the hash check would reject every graph.
    """
    rng = np.random.default_rng([seed, index, 1])
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(find_model("espressivo-tiny"), to)
    name = ("model.json", "model.onnx")[int(rng.integers(2))]
    content = _mutated((to / name).read_bytes(), b"", rng)
    (to / name).write_bytes(content)
    if name != "model.json" and rng.integers(2):
        card = json.loads((to / "model.json").read_text("utf-8"))
        card["sha256"] = hashlib.sha256(content).hexdigest()
        (to / "model.json").write_text(json.dumps(card), "utf-8")
    return to


def try_item(kind: str, path: Path) -> tuple[str, str]:
    """Analyse an item; return its outcome and the message.

    Args:
        kind: `recordings` or `models`.
        path: Recording or model folder.

    Returns:
        `report`, `error` (an `EspressivoError`) or `crash` (any other exception); and
        the message, in which an error's digits are replaced by zeros.
    """
    try:
        if kind == "recordings":
            report = _analyzer().analyze(path, name="item")
        else:
            analyzer = espressivo.load_model(path)
            me = espressivo.Profile.new("me", analyzer.classifier)
            report = analyzer.with_profile(me).analyze(_signal())
        json.loads(report.to_json())
    except EspressivoError as error:
        return "error", _kind_of(str(error))
    except Exception as error:  # noqa: BLE001 - these are the findings
        return "crash", f"{type(error).__name__}: {error}"
    return "report", "with warnings" if report.warnings else ""


def _kind_of(message: str) -> str:
    """Return a message without its path and digits, which differ between items."""
    text = message.split(": ", 1)[-1]
    return "".join("0" if letter.isdigit() else letter for letter in text)[:100]


@cache
def _analyzer() -> Analyzer:
    return espressivo.load_model(threads=1)


@cache
def _signal() -> np.typing.NDArray[np.float32]:
    return load_audio(NOTE)[8_000:24_000]


def _mutated(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    data = np.frombuffer(content, np.uint8).copy()
    # Half of the mutations hit the first bytes, which hold the container's headers.
    reach = len(data) if rng.integers(2) else min(len(data), 512)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(max(1, min(reach, len(data)))))
        n = int(2 ** rng.uniform(0, 10))
        match int(rng.integers(7)):
            case 0:  # flip bits
                data[at : at + 1] ^= np.uint8(1 << int(rng.integers(8)))
            case 1:  # extremes
                data[at : at + min(n, 8)] = rng.choice(_EXTREMES)
            case 2:  # noise
                data[at : at + n] = rng.integers(
                    256, size=len(data[at : at + n]), dtype=np.uint8
                )
            case 3:  # cut off
                data = data[: max(1, at)]
            case 4:  # cut out
                data = np.delete(data, slice(at, at + n))
            case 5:  # repeat
                data = np.insert(data, at, data[at : at + n])
            case 6 if other:  # splice
                piece = np.frombuffer(other, np.uint8)
                data = np.concatenate([data[:at], piece[at:]])
        if len(data) == 0:
            break
    return data.tobytes()
