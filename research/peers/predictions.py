"""Predictions of every system as small files, from which the tables are made again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from espressivo.errors import CorpusError
from espressivo.files.atomic import replacing
from research.peers.clips import select_tested
from research.peers.systems import Predictions
from research.peers.table import EMOTIONS, Cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from research.peers.clips import Clip

CLIPS = "clips.parquet"


@dataclass(frozen=True, slots=True, eq=False)
class ClipLabels:
    """Labels of the tested clips.

    Attributes:
        ids: Ids [N].
        corpora: Names of the corpora [N].
        speakers: Names of the speakers [N].
        labels: Index of the emotion, int [N].
        is_calm: Whether RAVDESS calls the clip calm, which is taken for neutral, [N].
    """

    ids: list[str]
    corpora: NDArray[np.str_]
    speakers: NDArray[np.str_]
    labels: NDArray[np.int64]
    is_calm: NDArray[np.bool_]


def write_clips(clips: Iterable[Clip], folder: Path) -> None:
    """Write the labels of the tested clips."""
    utterances = [clip.utterance for clip in select_tested([*clips])]
    _write(
        folder / CLIPS,
        {
            "id": [u.id for u in utterances],
            "corpus": [u.corpus for u in utterances],
            "speaker": [u.speaker for u in utterances],
            "emotion": [str(u.emotion) for u in utterances],
            "calm": [u.original == "calm" for u in utterances],
        },
    )


def load_clips(folder: Path) -> ClipLabels:
    """Read what `write_clips` wrote.

    Raises:
        CorpusError: The file is absent or damaged.
    """
    table = _read(folder / CLIPS)
    return ClipLabels(
        table["id"].to_pylist(),
        np.array(table["corpus"].to_pylist()),
        np.array(table["speaker"].to_pylist()),
        np.array([EMOTIONS.index(e) for e in table["emotion"].to_pylist()]),
        np.array(table["calm"].to_pylist(), bool),
    )


def write_predictions(name: str, found: Predictions, folder: Path) -> None:
    """Write what a system says, in float16, and what it costs."""
    rows = found.probabilities.astype(np.float16)
    columns = {e: pa.array(rows[:, i]) for i, e in enumerate(EMOTIONS)}
    cost = json.dumps(asdict(found.cost))
    _write(folder / f"{name}.parquet", {"id": found.ids, **columns}, {"cost": cost})


def load_predictions(name: str, folder: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        CorpusError: The file is absent or damaged.
    """
    path = folder / f"{name}.parquet"
    table = _read(path)
    try:
        columns = [table[emotion].to_numpy() for emotion in EMOTIONS]
        cost = Cost(**json.loads(table.schema.metadata[b"cost"]))
        ids: Sequence[str] = table["id"].to_pylist()
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{path}: holds no predictions ({error})") from error
    return Predictions([*ids], np.stack(columns, 1).astype(np.float32), cost)


def _write(
    path: Path, columns: dict[str, object], details: dict[str, str] | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata(details)
    with replacing(path) as whole:
        # Random digits do not repeat: a dictionary of them would be larger.
        parquet.write_table(
            table,
            whole,
            compression="zstd",
            compression_level=19,
            use_dictionary=["id"],
        )


def _read(path: Path) -> pa.Table:
    try:
        return parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorpusError(
            f"{path}: cannot be read ({error}); python -m research.peers run writes it"
        ) from error
