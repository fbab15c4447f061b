"""Synthetic predictions, and result folders as `espressivo crossval` writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from espressivo.training.scores.temperature import softmax
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

N_SPEAKERS = 12
PER_SPEAKER = 16


def predictions(seed, n=200, n_speakers=8, skill=1.0):
    """Return labels, probabilities and speakers of a synthetic corpus."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    speakers = [f"s{i}" for i in rng.integers(0, n_speakers, n)]
    logits = rng.normal(size=(n, 4)) + skill * np.eye(4)[labels]
    return labels, softmax(logits), speakers


def crossval_rows(
    n_folds: int = 4,
    seeds: Sequence[int] = (0, 1),
    skill: float = 1.5,
    *,
    corpus: str = "ravdess",
    calm: bool = True,
    random: bool = False,
    prediction_seed: int = 0,
    dimensions: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return rows of test and validation parts; speakers differ in difficulty.

    Every fourth utterance has no ratings of the `dimensions`.
    """
    rng = np.random.default_rng(prediction_seed)
    ease = rng.normal(0, 0.7, N_SPEAKERS)
    n = N_SPEAKERS * PER_SPEAKER
    speakers = np.arange(n) // PER_SPEAKER
    tested = np.arange(n) // 4 % n_folds if random else speakers % n_folds
    rows = []
    for fold in range(n_folds):
        for seed in seeds:
            for part, which in (("test", fold), ("validation", (fold + 1) % n_folds)):
                for i in np.flatnonzero(tested == which).tolist():
                    label = i % 4
                    logits = rng.normal(size=4)
                    logits[label] += skill + ease[speakers[i]]
                    p = np.exp(logits) / np.exp(logits).sum()
                    emotion = list(Emotion)[label]
                    is_calm = calm and label == 2 and i % 8 == 2
                    rows.append(
                        {
                            "fold": f"group-{fold + 1:02}",
                            "seed": seed,
                            "part": part,
                            "id": f"{corpus}/{i:03}",
                            "corpus": corpus,
                            "speaker": f"{corpus}/{speakers[i]:02}",
                            "session": f"{corpus}/{speakers[i]:02}",
                            "emotion": str(emotion),
                            "original": "calm" if is_calm else str(emotion),
                            "predicted": str(list(Emotion)[int(p.argmax())]),
                            **{
                                str(e): float(v)
                                for e, v in zip(Emotion, p, strict=True)
                            },
                            **_rated(i, dimensions, skill, rng),
                        }
                    )
    return rows


def _rated(
    i: int, dimensions: Sequence[str], skill: float, rng: np.random.Generator
) -> dict[str, float]:
    cells = {}
    for k, name in enumerate(dimensions):
        rated = float(np.random.default_rng([i, k]).uniform())
        noise = rng.normal(0, 0.3 / skill)
        cells[name] = float(np.clip(rated + noise, 0, 1))
        cells[f"rated_{name}"] = float("nan") if i % 4 == 3 else rated
    return cells


def write_crossval(
    folder: Path,
    rows: list[dict[str, Any]] | None = None,
    *,
    curves: bool = False,
    **card: Any,
) -> Path:
    """Write a result folder; `card` replaces fields of `crossval.json`."""
    rows = crossval_rows() if rows is None else rows
    folder.mkdir(parents=True)
    whole = {
        "schema": "espressivo.crossval/1",
        "name": folder.name,
        "protocol": "speaker-group",
        "folds": sorted({row["fold"] for row in rows}),
        "seeds": sorted({row["seed"] for row in rows}),
        "network": "light_sernet",
        "n_parameters": 462_468,
        "n_trained": 461_000,
        "unreadable": [],
        "corpora": {},
        "versions": {},
        "git": None,
        "class_weights": {},
        "machine": "made up",
        "device": "cpu",
        "started": "2026-01-01T00:00:00",
        "seconds": 1.0,
    } | card
    (folder / "crossval.json").write_text(json.dumps(whole))
    parquet.write_table(pa.Table.from_pylist(rows), folder / "predictions.parquet")
    if curves:
        for fold, seed in {(row["fold"], row["seed"]) for row in rows}:
            run = folder / fold / f"seed-{seed}"
            run.mkdir(parents=True)
            (run / "metrics.jsonl").write_text(_metrics(fold, seed))
    return folder


def _metrics(fold: str, seed: int) -> str:
    rng = np.random.default_rng([seed, *fold.encode()])
    lines = []
    for epoch in range(1, 13):
        ua = 0.3 + 0.35 * (1 - np.exp(-epoch / 4)) + rng.normal(0, 0.02)
        line = {"stage": "finetune", "epoch": epoch, "n_epochs": 12, "loss": 1.0}
        lines.append(json.dumps(line | {"seconds": 1.0, "mean_recall": float(ua)}))
    return "\n".join(lines) + "\n"
