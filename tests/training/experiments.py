"""A corpus of tones and a small network, for tests of training."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np
import torch

from espressivo.training.clips.feature_cache import pad
from espressivo.training.config import (
    AugmentConfig,
    ExperimentConfig,
    LossConfig,
    SignalConfig,
    TrainingConfig,
)
from espressivo.training.corpora.utterance import Utterance
from espressivo.training.networks import NetworkConfig
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.networks.network import EmotionNetwork
    from espressivo.types import Signal

HZ = {"anger": 900, "happiness": 600, "neutral": 300, "sadness": 150}


def write_clip(path: Path, hz: float, seed: int) -> None:
    """Write a tone with noise, 0.5 to 0.8 s long."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(rng.uniform(0.5, 0.8) * 16_000)) / 16_000
    signal = 0.3 * np.sin(2 * np.pi * hz * time) + 0.02 * rng.standard_normal(len(time))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((signal * 32_767).astype(np.int16).tobytes())


def small_corpus(folder: Path, n_speakers: int = 3) -> list[Utterance]:
    """Write a clip per speaker and emotion; the last speaker forms a second corpus."""
    found = []
    for n, emotion in enumerate(list(Emotion) * n_speakers):
        path = folder / f"{n}.wav"
        write_clip(path, HZ[emotion], n)
        corpus = "many" if n < 4 * (n_speakers - 1) else "few"
        speaker = f"{corpus}/{n // 4}"
        found.append(
            Utterance(f"{corpus}/{n:02}", path, speaker, speaker, emotion, corpus)
        )
    return found


def small_config() -> ExperimentConfig:
    """Return a configuration: one encoder block, random weights, three epochs."""
    return ExperimentConfig(
        name="small",
        corpora={},
        threads=1,
        signal=SignalConfig(crop_s=0.6),
        network=NetworkConfig(n_layers=1, head="statistics"),
        augmentation=AugmentConfig(probability=0),
        loss=LossConfig(balance="corpus-class", adversary=0.1),
        training=TrainingConfig(
            epochs=3,
            draws=8,
            batch_size=4,
            learning_rate=2e-3,
            encoder_rate=1e-4,
            towards_start=0.01,
        ),
    )


def predict(
    network: EmotionNetwork,
    signals: Sequence[Signal],
    *,
    longest_s: float = 8.0,
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Return float32 logits [N, 4] of `signals`, in their order.

    Signals are cut to `longest_s` seconds. The network is left in evaluation mode.
    """
    network.eval()
    device = network.classify.weight.device
    order = np.argsort([len(signal) for signal in signals], kind="stable").tolist()
    rows = np.zeros((len(signals), network.classify.out_features), np.float32)
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            picked = order[first : first + batch_size]
            longest = int(longest_s * SAMPLE_RATE)
            samples, lengths = pad([signals[index][:longest] for index in picked])
            logits = network(samples.to(device), lengths.to(device))
            rows[picked] = logits.float().cpu().numpy()
    return rows
