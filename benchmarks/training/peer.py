"""One training run of transformers' Trainer for `speed.py`; prints figures as JSON."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    HubertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.analyze.peer import CONFIG


class Clips(torch.utils.data.Dataset[dict[str, Any]]):
    """Decoded clips with their labels."""

    def __init__(self, path: str) -> None:
        with np.load(path) as stored:
            self.labels = stored["labels"]
            ends = np.cumsum(stored["lengths"])
            self.signals = np.split(stored["samples"], ends[:-1])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"signal": self.signals[index], "label": int(self.labels[index])}


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad to the longest clip of the batch, as the feature extractor does."""
    longest = max(len(row["signal"]) for row in rows)
    values = np.zeros((len(rows), longest), np.float32)
    mask = np.zeros((len(rows), longest), np.int64)
    for n, row in enumerate(rows):
        values[n, : len(row["signal"])] = row["signal"]
        mask[n, : len(row["signal"])] = 1
    return {
        "input_values": torch.from_numpy(values),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.tensor([row["label"] for row in rows]),
    }


class Clock(TrainerCallback):  # type: ignore[misc]
    """Callback that records the seconds of every epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.began = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock."""
        self.seconds.append(time.perf_counter() - self.began)


def main(clips_path: str, frozen: str, n_epochs: str) -> None:
    """Train for `n_epochs` epochs."""
    torch.set_num_threads(1)
    # With layerdrop and two layers, some steps would skip both.
    CONFIG.layerdrop = 0.0
    model = HubertForSequenceClassification(CONFIG)
    if frozen == "all":
        model.freeze_base_model()
    else:
        model.freeze_feature_encoder()
    clips, clock = Clips(clips_path), Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=int(n_epochs),
            per_device_train_batch_size=16,
            use_cpu=True,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        Trainer(
            model, arguments, collate, train_dataset=clips, callbacks=[clock]
        ).train()
    measured = {
        "per_s": len(clips) * (len(clock.seconds) - 1) / sum(clock.seconds[1:]),
        "first_per_s": len(clips) / clock.seconds[0],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
