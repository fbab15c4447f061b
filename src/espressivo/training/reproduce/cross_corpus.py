"""Cross-corpus evaluation: trained models are tested on an unseen corpus."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from espressivo.errors import TrainingError
from espressivo.files.atomic import write_text
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_clips, require_readable
from espressivo.training.config import read_config
from espressivo.training.folds.splits import Fold
from espressivo.training.folds.table import (
    FOLDS,
    write_folds,
)
from espressivo.training.runs.crossval import describe_clips
from espressivo.training.runs.fold_job import prediction_columns, write_tables
from espressivo.training.runs.folder import (
    WEIGHTS,
    file_sha256,
    is_finished,
    load_run,
    pick_device,
)
from espressivo.training.scores.crossval_card import CARD, SCHEMA, read_crossval_card
from espressivo.training.scores.evaluation import PREDICTIONS
from espressivo.training.scores.temperature import read_temperature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.reproduce.study_corpora import StudyCorpus
    from espressivo.types import Progress, Unreadable


def evaluate_cross_corpus(
    trained: Path,
    fold: Fold,
    source: StudyCorpus,
    folder: Path,
    *,
    cache: Path | None = None,
    skip_unreadable: bool = False,
    cautions: Sequence[str] = (),
    on_loaded: Progress | None = None,
) -> bool:
    """Predict every utterance of a corpus with all finished models of one fold.

    Args:
        trained: Result folder with the finished runs.
        fold: The fold of `trained` whose runs are evaluated.
        source: The other corpus, which is only tested.
        folder: Result folder to write; its protocol is `corpus`.
        cache: Folder that keeps signals and the output of frozen layers.
        skip_unreadable: Whether recordings that cannot be read are left out and
            counted instead of raising an error.
        cautions: Sentences that are printed below every table of the result.
        on_loaded: Called after every recording.

    Returns:
        Whether utterances were predicted; False if `folder` already has the predictions
        of these weights.

    Raises:
        CorpusError: A recording cannot be read, and `skip_unreadable` is False.
        TrainingError: No run is finished, or the models were trained on the corpus.
    """
    # A corpus that trained or chose the epoch is no test of strangers.
    if source.name in {u.corpus for u in (*fold.train, *fold.validation)}:
        raise TrainingError(
            f"{source.root}: {source.name} is what {trained} was trained on; "
            "pass another corpus"
        )
    seeds = read_crossval_card(trained)["seeds"]
    runs = {seed: trained / fold.name / f"seed-{seed}" for seed in seeds}
    runs = {seed: run for seed, run in runs.items() if is_finished(run)}
    if not runs:
        raise TrainingError(
            f"{trained}: no run of {fold.name} is finished; run it first"
        )
    config = read_config(trained / "config.toml")
    clips, unreadable = load_clips(source.utterances, config.signal, cache, on_loaded)
    if not skip_unreadable:
        require_readable(unreadable)
    card = _card(trained, runs, (clips, unreadable), cautions)
    if _is_done(folder, card):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    write_folds([_as_tested(fold, source, clips)], folder / FOLDS)
    tables = []
    for seed, run in runs.items():
        network = load_run(run).to(pick_device(config))
        rows = prediction_columns(
            FeatureExtractor(network, cache),
            clips,
            replace(config, seed=seed),
            (source.name, "test"),
            read_temperature(run)["temperature"],
        )
        tables.append(rows)
    write_tables(tables, folder / PREDICTIONS)
    write_text(json.dumps(card, indent=2) + "\n", folder / CARD)
    return True


def _card(
    trained: Path,
    runs: dict[int, Path],
    loaded: tuple[list[LoadedClip], list[Unreadable]],
    cautions: Sequence[str],
) -> dict[str, Any]:
    clips, unreadable = loaded
    described = read_crossval_card(trained)
    # Facts of the training; the folds and counts are those of the other corpus.
    kept = ("network", "n_parameters", "n_trained", "versions", "git", "device")
    corpus = clips[0].utterance.corpus if clips else ""
    return {
        "schema": SCHEMA,
        "name": f"{described['name']}-on-{corpus}",
        "protocol": "corpus",
        "protocol_kind": "other-corpus",
        "folds": [corpus],
        "seeds": sorted(runs),
        **{name: described[name] for name in kept},
        "trained_in": str(trained),
        "weights_sha256": {
            str(s): file_sha256(run / WEIGHTS) for s, run in runs.items()
        },
        **describe_clips(clips, unreadable),
        "cautions": list(cautions),
    }


def _is_done(folder: Path, card: dict[str, Any]) -> bool:
    if not (folder / PREDICTIONS).is_file() or not (folder / CARD).is_file():
        return False
    before = read_crossval_card(folder)
    # The same weights on the same clips give the same predictions.
    decides = ("weights_sha256", "corpora", "unreadable", "cautions")
    return all(before.get(name) == card[name] for name in decides)


def _as_tested(fold: Fold, source: StudyCorpus, clips: Sequence[LoadedClip]) -> Fold:
    # Random, since what trained and what chose the epoch share speakers; what is
    # tested shares none with either.
    test = tuple(clip.utterance for clip in clips)
    heard = {u.id for u in fold.train}
    chose = tuple(u for u in fold.validation if u.id not in heard)
    return Fold(fold.train, chose, test, source.name, "random")
