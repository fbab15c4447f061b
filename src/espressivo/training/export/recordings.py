"""Which recordings a graph is calibrated with, and which it is checked on."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ExportError
from espressivo.training.augment import Augment, variation_seed
from espressivo.training.config import AugmentConfig
from espressivo.training.corpora import read_corpus
from espressivo.training.dataset import draw_weights, load_signals
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from espressivo.training.config import ExperimentConfig, SignalConfig
    from espressivo.training.corpora import Utterance
    from espressivo.types import Signal

WINDOW = 8 * SAMPLE_RATE
SHORTEST = SAMPLE_RATE // 2
_LONG_EVERY = 4
_PIECES = 16  # of one speaker, more than fill a window


def training_utterances(
    config: ExperimentConfig, trained_on: Collection[str], elsewhere: Mapping[str, Path]
) -> list[Utterance]:
    """Read the corpora a run was trained on, and no other.

    Args:
        config: The run's.
        trained_on: Names of corpora; one that was left out is not among them.
        elsewhere: Name of a corpus -> its folder, where that is not the run's.

    Raises:
        ExportError: `elsewhere` names a corpus that the run was not trained on.
    """
    for name in elsewhere:
        if name not in config.corpora or name not in {*trained_on, "manifest"}:
            raise ExportError(
                f"corpus '{name}': the run was trained on {', '.join(trained_on)}; "
                "calibrate with those only, or a test corpus is no test any more"
            )
    roots = dict(config.corpora) | dict(elsewhere)
    used = [name for name in roots if name in {*trained_on, "manifest"}]
    read = [u for name in used for u in read_corpus(name, roots[name])]
    return [utterance for utterance in read if utterance.corpus in trained_on]


def draw(
    utterances: Sequence[Utterance], n: int, seed: int
) -> tuple[list[Utterance], list[Utterance]]:
    """Draw `n` utterances, corpora and emotions alike often; return the rest too.

    The rest is in a drawn order as well.
    """
    if not utterances:
        raise ExportError(
            "calibration: there are no recordings; pass --corpus NAME=DIR"
        )
    rng = np.random.default_rng(seed)
    order = rng.choice(
        len(utterances),
        len(utterances),
        replace=False,
        p=draw_weights(utterances, "corpus-class"),
    )
    drawn = [utterances[i] for i in order.tolist()]
    return drawn[:n], drawn[n:]


def calibration_windows(
    drawn: Sequence[Utterance],
    utterances: Sequence[Utterance],
    config: ExperimentConfig,
    seed: int,
) -> list[Signal]:
    """Make windows of 0.5 to 8 s, as varied as what a model hears in use.

    Every other one is varied as in training (level, noise, pitch), and every fourth is
    filled up to 8 s with more of its speaker, so that all positions are reached.
    """
    # What is used varies, also where training did not.
    varied = config.augmentation if config.augmentation.varies else AugmentConfig()
    augment = Augment(varied)
    by_speaker: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_speaker[utterance.speaker].append(utterance)
    rng = np.random.default_rng([seed, 1])
    windows = []
    for number, utterance in enumerate(drawn):
        pieces = [utterance]
        if number % _LONG_EVERY == _LONG_EVERY - 1:
            others = by_speaker[utterance.speaker]
            chosen = rng.permutation(len(others))[:_PIECES]
            pieces += [others[i] for i in chosen.tolist()]
        signal = np.concatenate(load_signals(pieces, config.signal))
        if number % 2:
            signal = augment(signal[:WINDOW], variation_seed(seed, utterance.id, 0, 0))
        windows.append(fit_window(signal))
    return windows


def check_windows(drawn: Sequence[Utterance], config: SignalConfig) -> list[Signal]:
    """Load recordings as they are, the silence at their ends trimmed."""
    return [fit_window(signal) for signal in load_signals(drawn, config)]


def fit_window(signal: Signal) -> Signal:
    """Cut to 8 s, or fill up to 0.5 s with silence."""
    window = np.asarray(signal[:WINDOW], np.float32)
    return np.pad(window, (0, max(0, SHORTEST - len(window))))
