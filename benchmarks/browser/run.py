"""Speed of the browser library against transformers.js, and download size of the app.

A minute of speech in headless Chromium, one WebAssembly thread, models loaded: the web
library with each bundled model, and transformers.js with an int8 DistilHuBERT, in turn.
The DistilHuBERT has random weights, which take as long as trained ones. Then time and
bytes of the app with each model, and its memory with the default.

    (cd web && npm ci && npm run build && npm run build:lib)
    (cd benchmarks/browser && npm ci)
    python benchmarks/browser/run.py

Chromium is /usr/bin/chromium, or the program that the variable CHROMIUM names.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import wave
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.machine import (
    eight_bit_instructions,
    load_average,
    n_cores,
    processor_name,
)
from espressivo.model.find import DEFAULT, bundled_models, find_model

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.browser.peer import make_peer
from benchmarks.browser.tables import (
    app_table,
    machine_text,
    memory_table,
    speed_table,
)
from benchmarks.shared import shared_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.types import Signal

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).parent
WEB = ROOT / "web"
PEER = ROOT / "runs" / "browser" / "peer"
NOTE = ROOT / "examples" / "voice-note.m4a"

RATE, SECONDS = 16_000, 60
_CLOSE = 0.01
"""Largest accepted difference of a probability between the browser and Python."""


def main() -> None:
    """Measure, print Markdown tables, and write JSON where `--json` is given."""
    args = _arguments()
    signal, source = _speech(args.speech)
    found: dict[str, Any] = {
        "machine": {
            "processor": processor_name(),
            "instructions": eight_bit_instructions(),
            "cores": n_cores(),
            "load": load_average(),
        },
        "input": source,
    }
    if not args.no_speed:
        found["speed"] = measure_speed(signal, args.library, args.rounds, args.model)
    if not args.no_app:
        found["app"] = {name: measure_app(name, args.opens) for name in args.model}
    print(machine_text(found))
    if not args.no_speed:
        print(f"\n{speed_table(found['speed'], SECONDS)}")
    if not args.no_app:
        print(f"\n{app_table(found['app'])}")

    if not args.no_memory:
        found["memory"] = measure_memory(signal)
        print(f"\n{memory_table(found['memory'])}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def measure_speed(
    signal: Signal, library: Path, rounds: int, models: list[str]
) -> dict[str, Any]:
    """Time espressivo, and the peer on the whole minute and in windows, in turn."""
    _require(library / "espressivo.js", "run (cd web && npm ci && npm run build:lib)")
    folders = [part for name in models for part in ("--model", str(find_model(name)))]
    with TemporaryDirectory() as scratch:
        samples = Path(scratch) / "samples.f32"
        signal.astype("<f4").tofile(samples)
        found = _drive(
            "speed",
            *("--samples", str(samples), "--library", str(library)),
            *folders,
            *("--peer", str(make_peer(PEER)), "--rounds", str(rounds)),
        )
    answers = {way["name"]: way.pop("answer") for way in found["ways"]}
    found["difference"] = {
        name: _difference(answers[name], signal, name) for name in models
    }
    package = json.loads((WEB / "package.json").read_text("utf-8"))
    version = package["devDependencies"]["onnxruntime-web"]
    found["versions"]["onnxruntime-web of espressivo"] = version
    return found


def measure_app(model: str, opens: int) -> dict[str, Any]:
    """Open the built app from `espressivo serve`; add up the sizes of its files."""
    app = WEB / "dist"
    _require(app / "index.html", "run (cd web && npm ci && npm run build)")
    with _serving() as url:
        found = _drive("app", *("--url", url, "--model", model, "--opens", str(opens)))
    # A model is fetched only where it is chosen, without its licences and the record of
    # its export.
    files = [
        path
        for path in sorted(app.rglob("*"))
        if path.is_file()
        and (path.parts[-3] != "models" or path.parts[-2] == model)
        and not re.search(r"LICENSES|export\.(json|md)$", path.as_posix())
    ]
    sizes = {path.relative_to(app).as_posix(): path.stat().st_size for path in files}
    found["files"] = sizes
    found["files_bytes"] = sum(sizes.values())
    found["files_gzip_bytes"] = sum(_zipped_bytes(path) for path in files)
    return found


def measure_memory(signal: Signal) -> list[dict[str, Any]]:
    """Analyse files of ten minutes and one hour in the app; return time and memory."""
    with TemporaryDirectory() as scratch, _serving() as url:
        files = [_write(Path(scratch), signal, minutes) for minutes in (10, 60)]
        found = _drive("memory", "--url", url, *map(str, files))
    memory: list[dict[str, Any]] = found["files"]
    return memory


def _write(folder: Path, signal: Signal, minutes: int) -> Path:
    """Write `minutes` of 16-bit WAV at 48 kHz, the usual rate of phones."""
    path = folder / f"{minutes} min.wav"
    # Repeating samples is no proper resampling, which time and memory do not need.
    samples = np.repeat((np.clip(signal, -1, 1) * 32767).astype("<i2"), 3)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(3 * RATE)
        for _ in range(minutes):
            file.writeframes(samples.tobytes())
    return path


def _drive(*arguments: str) -> dict[str, Any]:
    _require(DRIVER / "node_modules", "run (cd benchmarks/browser && npm ci)")
    command = ["node", "measure.mjs", *arguments]
    done = subprocess.run(command, cwd=DRIVER, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _serving() -> Iterator[str]:
    """Run `espressivo serve` on a free port; yield its URL."""
    command = [sys.executable, "-m", "espressivo", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not (url := re.search(r"http://\S+", line)):
                raise SystemExit(f"{' '.join(command)}: told no address, but '{line}'")
            yield url[0]
        finally:
            process.terminate()


def _speech(folder: Path) -> tuple[Signal, str]:
    """Return a minute of speech with pauses, and its description."""
    files = sorted(folder.glob("*.flac"))[:10]
    if not files:
        note = np.resize(load_audio(NOTE), SECONDS * RATE)
        return note, f"{NOTE.name} repeated, for {folder} holds no .flac"
    pause = np.zeros(RATE // 2, np.float32)
    pieces = [piece for file in files for piece in (load_audio(file), pause)]
    signal = np.concatenate(pieces)[: SECONDS * RATE]
    if len(signal) < SECONDS * RATE:
        raise SystemExit(f"{folder}: its first ten .flac last less than {SECONDS} s")
    return signal, f"{len(files)} speakers of LibriSpeech, half a second between them"


def _difference(report: dict[str, Any], signal: Signal, model: str) -> float:
    """Return the largest difference of a probability between browser and Python."""
    wanted = espressivo.load_model(model, threads=1).analyze(signal).to_dict()
    spans = [
        [(w["start_s"], w["end_s"]) for w in r["windows"]] for r in (report, wanted)
    ]
    if spans[0] != spans[1]:
        raise SystemExit(f"the browser found windows {spans[0]}, Python {spans[1]}")
    difference = max(
        abs(mine["probabilities"][name] - p)
        for mine, theirs in zip(report["windows"], wanted["windows"], strict=True)
        for name, p in theirs["probabilities"].items()
    )
    if difference > _CLOSE:
        raise SystemExit(f"the browser's answer differs from Python's by {difference}")
    return float(difference)


def _zipped_bytes(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 6))


def _require(path: Path, remedy: str) -> None:
    if not path.exists():
        raise SystemExit(f"{path}: is not there; {remedy}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=shared_path, default="$ESPRESSIVO_DATA/speech")
    parser.add_argument(
        "--library", type=Path, default=WEB / "lib", help="built library"
    )
    parser.add_argument(
        "--model",
        action="append",
        help="bundled model; may be repeated (default: all, the default model first)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the minute")
    parser.add_argument("--opens", type=int, default=5, help="times the app is opened")
    parser.add_argument("--no-speed", action="store_true", help="skip the comparison")
    parser.add_argument("--no-app", action="store_true", help="skip opening the app")
    parser.add_argument("--no-memory", action="store_true", help="skip long files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args()
    args.model = args.model or sorted(
        bundled_models(), key=lambda name: name != DEFAULT
    )
    return args


if __name__ == "__main__":
    main()
