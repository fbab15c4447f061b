"""Cross-validation: a resumable run for every fold and seed, and all predictions.

A result folder holds `config.toml`, `crossval.json`, `folds.parquet`, a run folder
`FOLD/seed-N` for each run, and `predictions.parquet`. All tables are made from the
first two and the last, without training.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import TrainingError
from espressivo.files.atomic import write_text
from espressivo.machine import n_cores
from espressivo.training.clips.load import load_clips, require_readable
from espressivo.training.config import LEFT_OUT, read_config, to_toml
from espressivo.training.folds.table import (
    FOLDS,
    PARTS,
    write_folds,
)
from espressivo.training.folds.weights import fold_class_weights
from espressivo.training.networks import build_network
from espressivo.training.networks.network import count_parameters
from espressivo.training.runs.executors import run_fold_jobs
from espressivo.training.runs.fold_job import FoldJob, join_predictions
from espressivo.training.runs.folder import (
    git_revision,
    pick_device,
    versions,
)
from espressivo.training.runs.train import require_rated
from espressivo.training.scores.crossval_card import CARD, SCHEMA, read_crossval_card
from espressivo.training.scores.evaluation import PREDICTIONS
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from espressivo.batch.run import Engine
    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.folds.splits import Fold
    from espressivo.training.runs.executors import RunProgress
    from espressivo.types import Progress, Unreadable


@dataclass(frozen=True, slots=True)
class CrossvalOptions:
    """Seeds and execution of a cross-validation; execution does not affect results.

    Attributes:
        seeds: Seeds of the runs; every fold is trained once per seed.
        engine: Where runs execute: `local` processes or a `ray` cluster.
        jobs: Number of concurrent runs of the local engine.
        cache: Folder that caches signals and features; the result's `cache` if None.
        skip_unreadable: Skip and count recordings that cannot be read.
        cautions: Sentences that every table of the result repeats.
    """

    seeds: tuple[int, ...] = (0,)
    engine: Engine = "local"
    jobs: int = 1
    cache: Path | None = None
    skip_unreadable: bool = False
    cautions: tuple[str, ...] = ()


def crossval(
    config: ExperimentConfig,
    folds: Sequence[Fold],
    folder: Path,
    options: CrossvalOptions | None = None,
    *,
    on_loaded: Progress | None = None,
    watch: RunProgress | None = None,
) -> None:
    """Train and test every fold with every seed; resume runs that were stopped.

    The validation part of a fold chooses the epoch; the test part is scored once, at
    the end. Finished runs stay usable whatever happens to the rest.

    Args:
        config: The configuration; its seed is replaced by each of the seeds.
        folds: The folds.
        folder: The result folder. It is created; another result in it is refused.
        options: Seeds, engine, cache.
        on_loaded: Callback after every recording, with the number read and the total.
        watch: Receiver of the progress of runs and epochs.

    Raises:
        CorpusError: A recording cannot be read, and none may be skipped.
        TrainingError: The folder holds another result, a run fails, or the disk is
            full; finished folds stay usable.
    """
    options = options or CrossvalOptions()
    cache = options.cache or folder / "cache"
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # All recordings are read before anything is trained, to find unreadable ones.
        # Once each, since folds share utterances.
        utterances = list({u.id: u for f in folds for u in _all(f)}.values())
        clips, unreadable = load_clips(utterances, config.signal, cache, on_loaded)
        if not options.skip_unreadable:
            require_readable(unreadable)
        readable = [_without(fold, unreadable) for fold in folds]
        for fold in readable:  # before the first of them is trained
            require_rated(fold.train, config)
        # The card comes after configuration and folds: with it the result is complete
        # enough to be resumed.
        _open_result(folder, config, readable)
        began = time.time()
        _describe(folder, config, readable, (clips, unreadable), options)
        jobs = [
            FoldJob(replace(config, seed=seed), fold, folder, cache)
            for fold in readable
            for seed in options.seeds
        ]
        try:
            run_fold_jobs(jobs, options.engine, options.jobs, watch)
        finally:  # tables can be made of the runs that are finished
            join_predictions(folder, jobs)
            _add_seconds(folder, time.time() - began)


def _open_result(folder: Path, config: ExperimentConfig, folds: Sequence[Fold]) -> None:
    """Write configuration and folds, or check that the folder holds this result."""
    kept = folder / "config.toml"
    # Other seeds belong to the same result and may be added later.
    unseeded = replace(config, seed=0)
    # A cross-validation killed before its card was written had not begun to train.
    if all((folder / n).exists() for n in (kept.name, FOLDS, CARD)):
        before = read_crossval_card(folder)
        same = read_config(kept) == unseeded
        if not same or before["folds_sha256"] != _folds_sha256(folds):
            raise TrainingError(
                f"{folder}: holds the result of another configuration or other folds; "
                "pass another folder, or remove it"
            )
        return
    write_text(to_toml(unseeded), kept)
    write_folds(folds, folder / FOLDS)


def _describe(
    folder: Path,
    config: ExperimentConfig,
    folds: Sequence[Fold],
    loaded: tuple[Sequence[LoadedClip], Sequence[Unreadable]],
    options: CrossvalOptions,
) -> None:
    clips, unreadable = loaded
    weights = [fold_class_weights(fold) for fold in folds]
    n_all, n_trained = count_parameters(build_network(config.network))
    path = folder / CARD
    # A command that resumes adds its seeds and its time to those of earlier ones.
    before = read_crossval_card(folder) if path.exists() else {}
    described = {
        "schema": SCHEMA,
        "name": config.name,
        "protocol": folds[0].protocol,
        "protocol_kind": config.protocol.kind,
        "folds": [fold.name for fold in folds],
        "folds_sha256": _folds_sha256(folds),
        "seeds": sorted({*before.get("seeds", []), *options.seeds}),
        "task": config.task,
        "network": config.network.kind,
        "n_parameters": n_all,
        "n_trained": n_trained,
        "class_weights": {
            str(e): float(np.mean([weight[e] for weight in weights])) for e in Emotion
        },
        **describe_clips(clips, unreadable),
        "cautions": [*options.cautions, *_cautions(config)],
        "versions": versions(),
        "git": git_revision(),
        "machine": f"{platform.machine()}, {n_cores()} cores",
        "device": str(pick_device(config)),
        "started": before.get("started", time.strftime("%Y-%m-%dT%H:%M:%S%z")),
        "seconds": before.get("seconds", 0.0),
    }
    write_text(json.dumps(described, indent=2) + "\n", path)


def _cautions(config: ExperimentConfig) -> list[str]:
    heard = (
        "the recordings that are tested took part in training, without their labels "
        f"(adaptation.target = '{LEFT_OUT}')"
    )
    probed = (
        "trained on dimensions alone; its emotions are those of a linear layer on the "
        "embedding."
    )
    found = [heard] if config.adaptation.target == LEFT_OUT else []
    return found + ([probed] if config.task == "dimensions" else [])


def _add_seconds(folder: Path, seconds: float) -> None:
    described = read_crossval_card(folder)
    described["seconds"] = round(described["seconds"] + seconds, 1)
    write_text(json.dumps(described, indent=2) + "\n", folder / CARD)


def describe_clips(
    clips: Sequence[LoadedClip], unreadable: Sequence[Unreadable]
) -> dict[str, Any]:
    """Return counts and hashes of clips by corpus, and the unreadable recordings."""
    counts = Counter(clip.utterance.corpus for clip in clips)
    return {
        "corpora": {
            name: {
                "utterances": n,
                "sha256": _sha256(
                    f"{c.utterance.id} {c.digest}"
                    for c in clips
                    if c.utterance.corpus == name
                ),
            }
            for name, n in sorted(counts.items())
        },
        "unreadable": [
            {"id": u.id, "path": str(u.path), "reason": u.reason} for u in unreadable
        ],
    }


def _folds_sha256(folds: Sequence[Fold]) -> str:
    return _sha256(
        f"{fold.name} {part} {utterance.id}"
        for fold in folds
        for part in PARTS
        for utterance in getattr(fold, part)
    )


def _sha256(lines: Iterator[str]) -> str:
    # Sorted, since the order in which files or folds are listed changes nothing.
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _all(fold: Fold) -> tuple[Utterance, ...]:
    return (*fold.train, *fold.validation, *fold.test)


def _without(fold: Fold, unreadable: Sequence[Unreadable]) -> Fold:
    gone = {u.id for u in unreadable}
    if not gone:
        return fold
    train, validation, test = (
        tuple(u for u in part if u.id not in gone)
        for part in (fold.train, fold.validation, fold.test)
    )
    return replace(fold, train=train, validation=validation, test=test)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Convert an OSError into a TrainingError that counts the finished runs."""
    try:
        yield
    except OSError as error:
        n_done = len(list(folder.glob(f"*/seed-*/{PREDICTIONS}")))
        raise TrainingError(
            f"{folder}: cannot be written ({error.strerror or error}); {n_done} runs "
            "are finished and stay usable: make room, and give the same command again"
        ) from error
