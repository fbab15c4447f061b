"""One fold with one seed: trained, then its probabilities written; self-contained.

A task can be pickled, so that another process or machine that sees the same files does
it, with the same result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espressivo.training.atomic import replacing
from espressivo.training.clips.dataset import (
    load_clips,
    require_readable,
)
from espressivo.training.clips.feature_cache import FrontEnd
from espressivo.training.fit.predict import predict_clips
from espressivo.training.runs.train import (
    hear,
    train,
)
from espressivo.training.scores.evaluation import (
    PREDICTIONS,
    to_columns,
)
from espressivo.training.scores.temperature import softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from espressivo.training.clips.dataset import Clip
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.folds.splits import Fold
    from espressivo.training.runs.train import EpochReport


@dataclass(frozen=True, slots=True)
class FoldTask:
    """What is to be done.

    Attributes:
        config: With the run's seed.
        fold: Whose parts train, choose and test; all can be read.
        result: The result folder.
        cache: Keeps signals and frozen fronts.
    """

    config: ExperimentConfig
    fold: Fold
    result: Path
    cache: Path

    @property
    def name(self) -> str:
        """Of the run, as in its folder."""
        return f"{self.fold.name}/seed-{self.config.seed}"

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.result / self.name

    @property
    def is_done(self) -> bool:
        """Whether its probabilities are there."""
        return (self.folder / PREDICTIONS).is_file()


def run_task(
    task: FoldTask, on_epoch: Callable[[EpochReport], None] | None = None
) -> None:
    """Train on the fold, choose by its validation part, then predict the test part."""
    if task.is_done:
        return
    fold, config = task.fold, task.config
    together = [*fold.train, *fold.validation, *fold.test]
    clips, unreadable = load_clips(together, config.signal, task.cache)
    require_readable(unreadable)
    n_train, n_known = len(fold.train), len(fold.train) + len(fold.validation)
    network = train(
        config,
        clips[:n_train],
        task.folder,
        validation=clips[n_train:n_known],
        select=bool(fold.validation),
        cache=task.cache,
        on_epoch=on_epoch,
    )
    front = FrontEnd(network, task.cache)
    parts = {"validation": clips[n_train:n_known], "test": clips[n_known:]}
    tables = [
        rows_of(front, chosen, config, (fold.name, part), read_temperature(task.folder))
        for part, chosen in parts.items()
        if chosen
    ]
    write_rows(tables, task.folder / PREDICTIONS)


def rows_of(
    front: FrontEnd,
    clips: Sequence[Clip],
    config: ExperimentConfig,
    named: tuple[str, str],
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Predict clips; lay them out as a result's rows, `named` fold and part."""
    logits = predict_clips(hear(front, clips, config))
    fold, part = named
    columns = {
        "fold": [fold] * len(clips),
        "seed": [config.seed] * len(clips),
        "part": [part] * len(clips),
    }
    utterances = [clip.utterance for clip in clips]
    return columns | to_columns(utterances, softmax(logits, temperature))


def gather(folder: Path, tasks: Sequence[FoldTask]) -> None:
    """Join the probabilities of all runs that are done, in the order of `tasks`.

    Runs of other seeds, done earlier, stay in.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    order = list(dict.fromkeys(task.fold.name for task in tasks))
    found = [
        path
        for fold in order
        for path in sorted((folder / fold).glob(f"seed-*/{PREDICTIONS}"), key=_seed)
    ]
    if found:
        together = pa.concat_tables([parquet.read_table(path) for path in found])
        _replace(together, folder / PREDICTIONS)


def _seed(path: Path) -> int:
    return int(path.parent.name.partition("-")[2])


def read_temperature(folder: Path) -> float:
    """Return what a run's logits are divided by; 1 where it says nothing."""
    path = folder / "temperature.json"
    if not path.is_file():
        return 1.0
    return float(json.loads(path.read_text("utf-8"))["temperature"])


def write_rows(tables: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows, whole or not at all."""
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this

    _replace(pa.concat_tables([pa.table(table) for table in tables]), path)


def _replace(table: Any, path: Path) -> None:
    from pyarrow import parquet  # noqa: PLC0415 - slow, and only for this

    with replacing(path) as whole:
        parquet.write_table(table, whole)
