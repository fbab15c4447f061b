"""Classifiers fitted in closed form to the embeddings of clips and their copies.

Functions with the suffix `_on_clips` compute the embeddings of clips; the functions
that they call take arrays.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from espressivo.audio.recording import load_audio
from espressivo.training.clips.surroundings import noise_files
from espressivo.training.fit.lda import LeftOutLogits, fit_lda, left_out_logits
from espressivo.training.fit.order import fit_order, levels_of
from espressivo.training.fit.predict import apply_to_clips
from espressivo.training.fit.voice_fit import fit_voices
from espressivo.types import SAMPLE_RATE, Dimension, Emotion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.clips.batches import Batches
    from espressivo.training.config import ClassifierConfig, ProfileConfig
    from espressivo.training.fit.voice_fit import VoiceProjection

    Fit = Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]

_BACKGROUND = "background"  # name of the corpus that holds noise
# Of several lengths, since an encoder's positions give each another embedding.
_SILENCES_S = (0.5, 1, 2, 4, 8)


def fit_last_layer_on_clips(
    batches: Batches, config: ClassifierConfig
) -> tuple[float, LeftOutLogits]:
    """Fit the network's last layer in place, to clips and to copies of them.

    The embedding is standardized over the clips: for the regression each dimension, for
    the discriminant all dimensions by one scale (see `fit_lda`), unless
    `config.scale` is `each`. With
    `config.background`, recordings without speech are one more class, which becomes
    `network.background`.

    Returns:
        The cross-entropy on the clips, and the logits of clips (not copies) whose
        corpus was left out, see `left_out_logits`. The network has no temperature.
    """
    network = batches.extractor.network.eval()
    device = network.classify.weight.device
    clips, *copies = map(torch.from_numpy, _embed_conditions(batches))
    background = embed_background(batches) if config.background else clips[:0]
    n_copies = 1 + len(copies)
    utterances = [clip.utterance for clip in batches.clips.clips] * n_copies
    corpora = [utterance.corpus for utterance in utterances]
    speakers = [utterance.speaker for utterance in utterances]
    labels = np.tile(batches.labels, n_copies)
    with torch.no_grad():
        # The statistics of standardization are part of the network, and exported.
        network.standardize.fit(clips.to(device))
        if config.fit == "discriminant" and config.scale == "common":
            scale = network.standardize.scale
            scale.fill_(scale.square().mean().sqrt())
        rows, noise = (
            network.standardize(part.to(device)).cpu().numpy()
            for part in (torch.cat([clips, *copies]), background)
        )
        fit = partial(_fit_with_priors, _fits()[config.fit](config), noise, config)
        weight, bias = fit(rows, labels, corpora)
        n_classes = network.classify.out_features
        network.classify.weight.copy_(torch.from_numpy(weight[:n_classes]))
        network.classify.bias.copy_(torch.from_numpy(bias[:n_classes]))
        if len(noise):
            floor = torch.from_numpy(weight[n_classes])
            network.background.fit(floor, float(bias[n_classes]), n_classes)
        logits = network.classify(torch.from_numpy(rows[: len(clips)]).to(device))

    def fit_emotions(*rest: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        weight, bias = fit(*rest)
        return weight[:n_classes], bias[:n_classes]

    left_out = left_out_logits(
        fit_emotions, rows, labels, corpora, speakers, n_clips=len(clips)
    )
    if network.dimensions is not None:
        lda, parts = _fits()[config.fit](config), (corpora, speakers)
        for i, name in enumerate(network.config.dimensions):
            levels = levels_of(utterances, Dimension(name))
            row, shift = fit_order(lda, rows, levels, *parts, n_clips=len(clips))
            with torch.no_grad():
                network.dimensions.weight[i] = torch.from_numpy(row)
                network.dimensions.bias[i] = shift
    target = torch.from_numpy(batches.labels)
    return float(cross_entropy(logits.cpu(), target)), left_out


def _fit_with_priors(
    fit: Fit, noise: NDArray[np.floating[Any]], config: ClassifierConfig, *rest: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit as `fit_with_background` does, with the prior odds of the emotions."""
    weight, bias = fit_with_background(fit, noise, *rest)
    odds = [config.priors.get(emotion, 1.0) for emotion in Emotion]
    bias[: len(odds)] += np.log(odds)
    return weight, bias


def fit_with_background(
    fit: Fit,
    noise: NDArray[np.floating[Any]],
    rows: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    corpora: Sequence[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit one class more if there is `noise` [M, width], as a corpus of its own."""
    if not len(noise):
        return fit(rows, labels, corpora)
    return fit(
        np.concatenate([rows, noise]),
        np.concatenate([labels, np.full(len(noise), len(Emotion))]),
        [*corpora, *[_BACKGROUND] * len(noise)],
    )


def _embed_conditions(batches: Batches) -> list[NDArray[np.float32]]:
    """Return embeddings [N, width] of the clips, and of each copy of them."""
    names = batches.clips.config.augmentation.copies
    pooled = batches.extractor.network.eval().pooled
    return [
        apply_to_clips(part, pooled)
        for part in (batches, *map(batches.in_condition, names))
    ]


@torch.no_grad()
def embed_background(batches: Batches) -> Tensor:
    """Return embeddings [M, width] of silence and the noise recordings for training."""
    network = batches.extractor.network
    config = batches.clips.config
    longest = round(config.signal.longest_s * SAMPLE_RATE)
    folder = Path(config.augmentation.noise_folder)
    sounds = [np.zeros(round(s * SAMPLE_RATE), np.float32) for s in _SILENCES_S]
    sounds += [load_audio(path) for path in noise_files(folder, training=True)]
    rows = []
    for sound in sounds:
        samples = torch.from_numpy(sound[None, :longest])
        rows.append(network.pooled(network.front(samples.to(batches.extractor.device))))
    return torch.cat(rows).float().cpu()


def fit_voices_on_clips(batches: Batches, config: ProfileConfig) -> VoiceProjection:
    """Return the projection to voice vectors, fitted to clips and to copies of them.

    Raises:
        TrainingError: Too few speakers have all emotions.
    """
    utterances = [clip.utterance for clip in batches.clips.clips]
    return fit_voices(
        _embed_conditions(batches),
        batches.labels,
        [utterance.corpus for utterance in utterances],
        [utterance.speaker for utterance in utterances],
        config,
    )


def fit_logistic(
    rows: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    corpora: Sequence[str],
    *,
    strength: float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit a multinomial logistic regression in which all classes have equal weight.

    Args:
        rows: float [N, width], standardized.
        labels: int [N]; all classes 0..C-1 occur.
        corpora: Unused; it is here because `fit_lda` has the same signature.
        strength: Inverse of the L2 penalty.

    Returns:
        Weight [C, width] and bias [C] of the logits.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow

    del corpora
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    model.fit(rows, labels)
    return model.coef_.astype(np.float64), model.intercept_.astype(np.float64)


def _fits() -> dict[str, Callable[[ClassifierConfig], Fit]]:
    return {
        "discriminant": lambda config: partial(
            fit_lda,
            interaction=config.interaction,
            ridge=config.ridge,
            weights=config.weights,
        ),
        "logistic": lambda config: partial(fit_logistic, strength=config.strength),
    }
