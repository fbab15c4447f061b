"""Peer of `speed.py`: transformers' audio-classification pipeline, torch fp32."""

from __future__ import annotations

import sys

import av
import numpy as np
import torch
from transformers import (
    AudioClassificationPipeline,
    HubertConfig,
    HubertForSequenceClassification,
    Wav2Vec2FeatureExtractor,
)

RATE, WINDOW = 16_000, 128_000

# The published configuration of ntu-spml/distilhubert, with four labels.
CONFIG = HubertConfig(
    feat_extract_norm="group",
    feat_proj_layer_norm=False,
    do_stable_layer_norm=False,
    conv_bias=False,
    num_hidden_layers=2,
    apply_spec_augment=False,
    classifier_proj_size=256,
    num_labels=4,
)


def main(path: str) -> None:
    """Decode a recording, classify windows of 8 s in turn, and print the mean."""
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(path) as container:
        pieces = [
            piece.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for piece in resampler.resample(frame)
        ]
    signal = np.concatenate(pieces)
    torch.manual_seed(0)
    classify = AudioClassificationPipeline(
        model=HubertForSequenceClassification(CONFIG).eval(),
        feature_extractor=Wav2Vec2FeatureExtractor(do_normalize=False),
    )
    windows = (signal[i : i + WINDOW] for i in range(0, len(signal), WINDOW))
    scores = [
        {score["label"]: score["score"] for score in result}
        for result in classify(w for w in windows if len(w) >= RATE // 2)
    ]
    print({k: float(np.mean([s[k] for s in scores])) for k in sorted(scores[0])})


if __name__ == "__main__":
    main(sys.argv[1])
