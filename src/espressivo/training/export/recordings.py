"""Selection of recordings for calibration and for checks of a graph."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ExportError
from espressivo.training.clips.augment import Augment
from espressivo.training.clips.conditions import utterance_seed
from espressivo.training.clips.load import load_signals, unlabelled_utterances
from espressivo.training.clips.sampling import sampling_probabilities
from espressivo.training.config import AugmentConfig, read_config
from espressivo.training.corpora import read_corpora
from espressivo.training.folds.table import (
    FOLDS,
    read_folds,
)
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from espressivo.training.config import ExperimentConfig, SignalConfig
    from espressivo.training.corpora import Utterance
    from espressivo.training.folds.table import (
        ListedFold,
        ListedUtterance,
    )
    from espressivo.types import Signal

WINDOW = 8 * SAMPLE_RATE
SHORTEST = SAMPLE_RATE // 2
QUIETEST_PEAK = 1e-3
"""-60 dBFS: a recording below it holds no speech to calibrate with."""

_FOLD_RUN = re.compile(r"seed-\d+")
_LONG_EVERY = 4
_PIECES = 16  # of one speaker, more than fill a window


def training_utterances(
    run: Path,
    config: ExperimentConfig,
    trained_on: Collection[str],
    elsewhere: Mapping[str, Path],
) -> list[Utterance]:
    """Read the utterances that a run was trained on; of a fold, its training part.

    Args:
        run: Folder of the run; one of `espressivo crossval` lies in its result's.
        config: Configuration of the run.
        trained_on: Names of corpora, without those that were left out.
        elsewhere: Name of a corpus -> its folder, where that is not the run's.

    Raises:
        ExportError: `elsewhere` names a corpus that the run was not trained on, or the
            result does not say who trained.
    """
    for name in elsewhere:
        if name not in config.corpora or name not in {*trained_on, "manifest"}:
            raise ExportError(
                f"corpus '{name}': the run was trained on {', '.join(trained_on)}; "
                "calibrate with those only, or a test corpus is no test any more"
            )
    roots = dict(config.corpora) | dict(elsewhere)
    # Utterances of a manifest name their own corpora, so it is read and filtered.
    used = {n: root for n, root in roots.items() if n in {*trained_on, "manifest"}}
    read = read_corpora(used, config.speakers, rated=config.uses_rated)
    read = [utterance for utterance in read if utterance.corpus in trained_on]
    fold = fold_of(run)
    return read if fold is None else _part(read, fold.train)


def heard_utterances(
    names: Sequence[str], folders: Mapping[str, Path]
) -> list[Utterance]:
    """Return recordings that a run heard without labels, since it had no others.

    Args:
        names: Names of the folders that it heard.
        folders: Name -> its folder; a run does not say where it was.

    Raises:
        ExportError: One is not given, or another one is.
        CorpusError: A folder does not exist, or holds no recordings.
    """
    if set(folders) != set(names):
        wanted = " ".join(f"--corpus {name}=DIR" for name in names)
        raise ExportError(
            "calibration: the run heard unlabelled recordings alone, and does not say "
            f"where they are; pass {wanted}"
        )
    return [u for n in names for u in unlabelled_utterances(folders[n], n)]


def fold_test_utterances(
    run: Path, elsewhere: Mapping[str, Path] | None = None
) -> list[Utterance] | None:
    """Read the test part of a run's fold; None for a run that belongs to no fold.

    Args:
        run: Folder of the run.
        elsewhere: Name of a corpus -> its folder, where that is not the run's.

    Raises:
        ExportError: The result does not say who is tested.
        CorpusError: A corpus is not where it was.
    """
    fold = fold_of(run)
    if fold is None:
        return None
    config = read_config(run / "config.toml")
    roots = dict(config.corpora) | dict(elsewhere or {})
    return _part(read_corpora(roots, config.speakers), fold.test)


def fold_of(run: Path) -> ListedFold | None:
    """Return the fold of a run `RESULT/FOLD/seed-N`; None for any other run.

    Raises:
        ExportError: The table of folds in `RESULT` does not name the fold.
    """
    folder = run.resolve()
    # Resolved first: `.` and links have other parents.
    table, name = folder.parents[1] / FOLDS, folder.parent.name
    if not _FOLD_RUN.fullmatch(folder.name) or not table.is_file():
        return None
    for fold in read_folds(table):
        if fold.name == name:
            return fold
    raise ExportError(
        f"{run}: {table} names no fold '{name}', so who trained is not known; "
        "give the folder the fold's name again"
    )


def _part(
    read: Sequence[Utterance], part: Sequence[ListedUtterance]
) -> list[Utterance]:
    names = {listed.id for listed in part}
    return [utterance for utterance in read if utterance.id in names]


def draw(
    utterances: Sequence[Utterance], n: int, seed: int
) -> tuple[list[Utterance], list[Utterance]]:
    """Draw `n` utterances, balanced over corpora and emotions; return the rest too.

    The rest is in a drawn order as well.
    """
    if not utterances:
        raise ExportError(
            "calibration: there are no recordings; pass --corpus NAME=DIR"
        )
    rng = np.random.default_rng(seed)
    # Without replacement, so what is drawn and the rest share no recording.
    order = rng.choice(
        len(utterances),
        len(utterances),
        replace=False,
        p=sampling_probabilities(utterances, "corpus-class"),
    )
    drawn = [utterances[i] for i in order.tolist()]
    return drawn[:n], drawn[n:]


def calibration_windows(
    drawn: Sequence[Utterance],
    utterances: Sequence[Utterance],
    config: ExperimentConfig,
    seed: int,
) -> list[Signal]:
    """Return calibration windows of 0.5 to 8 s, as varied as recordings in use.

    Every other window is augmented as in training (level, noise, pitch), and every
    fourth is filled up to 8 s with more of its speaker, so that all positions are
    calibrated.
    """
    # Recordings in use vary, even if training used no augmentation.
    varied = config.augmentation if config.augmentation.varies else AugmentConfig()
    augment = Augment(varied)
    by_speaker: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_speaker[utterance.speaker].append(utterance)
    # A stream of its own: `draw` uses the plain seed.
    rng = np.random.default_rng([seed, 1])
    windows = []
    for number, utterance in enumerate(drawn):
        pieces = [utterance]
        if number % _LONG_EVERY == _LONG_EVERY - 1:
            others = by_speaker[utterance.speaker]
            chosen = rng.permutation(len(others))[:_PIECES]
            pieces += [others[i] for i in chosen.tolist()]
        signal = np.concatenate(_load_trimmed(pieces, config.signal))
        if number % 2:
            signal = augment(signal[:WINDOW], utterance_seed(seed, utterance.id, 0, 0))
        windows.append(fit_window(signal))
    return windows


def check_windows(drawn: Sequence[Utterance], config: SignalConfig) -> list[Signal]:
    """Return unaugmented recordings with silence trimmed at both ends."""
    return [fit_window(signal) for signal in _load_trimmed(drawn, config)]


def require_windows(windows: Sequence[Signal]) -> None:
    """Raise an error for windows that are unusable for calibration.

    Raises:
        ExportError: There are none, one is too short or too long, or all are silent.
    """
    for number, window in enumerate(windows):
        if not SHORTEST <= len(window) <= WINDOW:
            raise ExportError(
                f"calibration: window {number} has {len(window)} samples, not "
                f"{SHORTEST} to {WINDOW}, 0.5 to 8 s at 16 kHz; read recordings with "
                "espressivo.load_audio, which resamples, and cut them"
            )
    # One silent recording among others does no harm; all ranges at 0 would.
    if all(np.abs(window).max() < QUIETEST_PEAK for window in windows):
        raise ExportError(
            f"calibration: {len(windows)} recordings, none of them louder than "
            "-60 dBFS; pass --corpus NAME=DIR with recordings of speech"
        )


def _load_trimmed(drawn: Sequence[Utterance], config: SignalConfig) -> list[Signal]:
    # Emphasis and peak are in the graph.
    return load_signals(drawn, replace(config, pre_emphasis=0.0, peak=0.0))


def fit_window(signal: Signal) -> Signal:
    """Return the signal cut to at most 8 s, or zero-padded to at least 0.5 s."""
    window = np.asarray(signal[:WINDOW], np.float32)
    return np.pad(window, (0, max(0, SHORTEST - len(window))))
