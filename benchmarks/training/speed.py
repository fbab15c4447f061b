"""Training throughput against transformers' Trainer: same model, clips, batch, machine.

DistilHuBERT's architecture with random weights, which take as long as trained ones, on
clips of RAVDESS, fp32, batches of 16, one thread. Two recipes: the encoder is frozen
and a SUPERB head trained; or only the convolutions are frozen, as in the study. The
Trainer computes the output of frozen layers in every step; espressivo computes it in
the first epoch and caches it. Runs alternate. Decoding is not timed.

    python benchmarks/training/speed.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from espressivo.training.clips.load import load_clips
from espressivo.training.config import SignalConfig
from espressivo.training.corpora import read_corpus
from espressivo.training.scores.metrics import labels_of

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.shared import shared_path

ACTORS = ("01", "02", "03", "04")
FROZEN = ("all", "convolutions")
PEER = Path(__file__).with_name("peer.py")
OURS = Path(__file__).with_name("ours.py")


def run(script: Path, *arguments: str) -> dict[str, float]:
    """Run a script in a separate process; return the JSON that it prints last."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def write_clips(ravdess: Path, path: Path) -> int:
    """Write trimmed clips of `ACTORS` for both scripts; return their number."""
    utterances = [
        u for u in read_corpus("ravdess", ravdess) if u.speaker[-2:] in ACTORS
    ]
    clips, _ = load_clips(utterances, SignalConfig())
    lengths = np.array([clip.n_samples for clip in clips])
    samples = np.concatenate([clip.signal for clip in clips])
    labels = labels_of([clip.utterance.emotion_name for clip in clips])
    np.savez(path, labels=labels, lengths=lengths, samples=samples)
    return len(clips)


def main() -> None:
    """Print a table of utterances per second and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--ravdess", type=shared_path, default="$ESPRESSIVO_DATA/corpora/ravdess"
    )
    parser.add_argument("--runs", type=int, default=2, help="runs of each, in turn")
    parser.add_argument("--epochs", type=int, default=3, help="per run, at least 2")
    args = parser.parse_args()
    print("| frozen | | utterances/s | first epoch | peak MB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder) / "clips.npz"
        n_clips = write_clips(args.ravdess, clips)
        for frozen in FROZEN:
            found: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
            for n in range(args.runs):
                cache = f"{folder}/cache-{frozen}-{n}"
                options = (str(clips), frozen, str(args.epochs))
                found["ours"].append(run(OURS, *options, cache))
                found["peer"].append(run(PEER, *options))
            rates = {
                who: statistics.median(r["per_s"] for r in runs)
                for who, runs in found.items()
            }
            for who, name in (("ours", "espressivo"), ("peer", "transformers Trainer")):
                first = statistics.median(r["first_per_s"] for r in found[who])
                peak = statistics.median(r["peak_mb"] for r in found[who])
                figures = f"{rates[who]:.1f} | {first:.1f} | {peak:.0f}"
                print(f"| {frozen} | {name} | {figures} |")
            ratio = rates["ours"] / rates["peer"]
            print(f"| {frozen} | **ratio** | **{ratio:.1f}** | | |")
    runs = f"{args.runs} runs of {args.epochs} epochs"
    print(f"\n{n_clips} clips, batch 16, 1 thread, {runs}")


if __name__ == "__main__":
    main()
