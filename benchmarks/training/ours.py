"""One training run of espressivo for `speed.py`; prints its figures as JSON."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.clips.load import LoadedClip
from espressivo.training.config import (
    AugmentConfig,
    ExperimentConfig,
    LossConfig,
    TrainingConfig,
)
from espressivo.training.corpora import Utterance
from espressivo.training.networks import NetworkConfig
from espressivo.training.runs.train import train
from espressivo.types import Emotion

if TYPE_CHECKING:
    from espressivo.training.runs.train import EpochReport


def main(clips_path: str, frozen: str, n_epochs: str, cache: str) -> None:
    """Train for `n_epochs` epochs, the first of which fills the cache."""
    network = NetworkConfig(
        kind="distilhubert",
        frozen="all" if frozen == "all" else "convolutions",
        states=(-1,),
        head="superb",
        dropout=0.0,
    )
    config = ExperimentConfig(
        name="benchmark",
        corpora={},
        threads=1,
        device="cpu",
        precision="float32",
        network=network,
        augmentation=AugmentConfig(probability=0),
        loss=LossConfig(gamma=0, smoothing=0),
        training=TrainingConfig(epochs=int(n_epochs), batch_size=16),
    )
    clips = read_clips(Path(clips_path))
    reports: list[EpochReport] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train(config, clips, run, cache=Path(cache), on_epoch=reports.append)
    rest = sum(report.seconds for report in reports[1:])
    measured = {
        "per_s": len(clips) * (len(reports) - 1) / rest,
        "first_per_s": len(clips) / reports[0].seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(measured))


def read_clips(path: Path) -> list[LoadedClip]:
    """Read the clips that `speed.write_clips` wrote."""
    with np.load(path) as stored:
        labels = stored["labels"]
        signals = np.split(stored["samples"], np.cumsum(stored["lengths"])[:-1])
    emotions = list(Emotion)
    return [
        LoadedClip(
            Utterance(str(n), path, "x/1", "x/1", emotions[label], "x"),
            signal,
            len(signal),
            hashlib.sha256(signal.tobytes()).hexdigest(),
        )
        for n, (label, signal) in enumerate(zip(labels, signals, strict=True))
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
