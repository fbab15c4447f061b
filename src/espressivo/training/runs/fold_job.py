"""A fold job: train one fold with one seed, then predict its test part.

A job can be pickled, so that another process, or another machine that sees the same
files, runs it with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espressivo.files.atomic import replacing
from espressivo.training.clips.batches import make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_clips, require_readable
from espressivo.training.fit.predict import predict_dimensions
from espressivo.training.runs.train import train
from espressivo.training.scores.evaluation import (
    PREDICTIONS,
    to_columns,
)
from espressivo.training.scores.temperature import read_temperature, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.folds.splits import Fold
    from espressivo.training.runs.train import EpochReport


@dataclass(frozen=True, slots=True)
class FoldJob:
    """One fold and one seed of a cross-validation.

    Attributes:
        config: The configuration, with the run's seed.
        fold: The fold; all its recordings can be read.
        result: The result folder.
        cache: A folder that caches signals and the features of frozen layers.
    """

    config: ExperimentConfig
    fold: Fold
    result: Path
    cache: Path

    @property
    def name(self) -> str:
        """Name of the run, which is that of its folder."""
        return f"{self.fold.name}/seed-{self.config.seed}"

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.result / self.name

    @property
    def is_done(self) -> bool:
        """Whether the predictions are written."""
        return (self.folder / PREDICTIONS).is_file()


def run_fold_job(
    job: FoldJob, on_epoch: Callable[[EpochReport], None] | None = None
) -> None:
    """Train on a fold, choose the epoch by its validation part, predict its test part.

    Args:
        job: The job; nothing happens when it is done.
        on_epoch: Called after every epoch.
    """
    if job.is_done:
        return
    fold, config = job.fold, job.config
    together = [*fold.train, *fold.validation, *fold.test]
    # From the cache: crossval has decoded all recordings before.
    clips, unreadable = load_clips(together, config.signal, job.cache)
    require_readable(unreadable)
    n_train, n_known = len(fold.train), len(fold.train) + len(fold.validation)
    network = train(
        config,
        clips[:n_train],
        job.folder,
        validation=clips[n_train:n_known],
        # Never by the test part: without a validation part the last epoch counts.
        select=bool(fold.validation),
        left_out=clips[n_known:],
        cache=job.cache,
        on_epoch=on_epoch,
    )
    extractor = FeatureExtractor(network, job.cache)
    parts = {"validation": clips[n_train:n_known], "test": clips[n_known:]}
    # A classifier in closed form has fitted one; a network trained by gradients has 1.
    temperature = read_temperature(job.folder)["temperature"]
    tables = [
        prediction_columns(extractor, chosen, config, (fold.name, part), temperature)
        for part, chosen in parts.items()
        if chosen
    ]
    # Written last and atomically: the file marks the run as done.
    write_tables(tables, job.folder / PREDICTIONS)


def prediction_columns(
    extractor: FeatureExtractor,
    clips: Sequence[LoadedClip],
    config: ExperimentConfig,
    fold_and_part: tuple[str, str],
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Predict clips; return the columns of their rows in a result's table."""
    logits, levels = predict_dimensions(make_batches(extractor, clips, config))
    fold, part = fold_and_part
    columns = {
        "fold": [fold] * len(clips),
        "seed": [config.seed] * len(clips),
        "part": [part] * len(clips),
    }
    names = config.network.dimensions
    return columns | to_columns(
        [clip.utterance for clip in clips],
        softmax(logits, temperature),
        names,
        levels if names else None,
    )


def join_predictions(folder: Path, jobs: Sequence[FoldJob]) -> None:
    """Join the predictions of all finished runs, in the order of `jobs`.

    Runs of other seeds that finished earlier are included.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    order = list(dict.fromkeys(job.fold.name for job in jobs))
    found = [
        path
        for fold in order
        for path in sorted((folder / fold).glob(f"seed-*/{PREDICTIONS}"), key=_seed)
    ]
    if found:
        together = pa.concat_tables([parquet.read_table(path) for path in found])
        _replace(together, folder / PREDICTIONS)


def _seed(path: Path) -> int:
    # As a number, so that seed-2 comes before seed-10 on every file system.
    return int(path.parent.name.partition("-")[2])


def write_tables(tables: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the rows of several tables into one file, whole or not at all."""
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this

    _replace(pa.concat_tables([pa.table(table) for table in tables]), path)


def _replace(table: Any, path: Path) -> None:
    from pyarrow import parquet  # noqa: PLC0415 - slow, and only for this

    with replacing(path) as whole:
        parquet.write_table(table, whole)
