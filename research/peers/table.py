"""Tables between the study and a system: a fold's clips in, probabilities out.

A system is any command. It gets two more arguments: a CSV file that it reads and one
that it writes, both UTF-8 with commas and a header. It may also write the latter's name
with `.json` in place of `.csv`: what it costs, see `Cost`.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import CorpusError, TrainingError
from espressivo.files.atomic import replacing
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from research.peers.clips import Clip

EMOTIONS = tuple(str(emotion) for emotion in Emotion)

_TRAINED = ("id", "path", "part", "label", "speaker", "corpus", "recording")
_PRETRAINED = ("id", "path")
_TOLERANCE = 0.01  # of the sum of four rounded probabilities


@dataclass(frozen=True, slots=True)
class Row:
    """A clip in the table that a system reads.

    Attributes:
        id: Identifier, unique in the table.
        path: WAV file, mono 16 kHz, at most 8 s, silent ends removed.
        part: `train` or `test`; only `test` for a system that needs no training.
        label: Emotion; empty in the test part.
        speaker: Speaker; empty for a system that needs no training, as the next two.
        corpus: Name of the corpus.
        recording: The corpus's own file, of which the clip is the part that is used.
    """

    id: str
    path: Path
    part: str = "test"
    label: str = ""
    speaker: str = ""
    corpus: str = ""
    recording: Path = Path()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a system costs; None where it is not known.

    Attributes:
        n_bytes: Size of what has to be shipped beside Python and its libraries.
        n_parameters: Number of learned parameters.
        ms_per_s: CPU time on one thread, in ms per second of audio.
    """

    n_bytes: int | None = None
    n_parameters: int | None = None
    ms_per_s: float | None = None


def write_table(path: Path, train: Iterable[Clip], test: Iterable[Clip]) -> None:
    """Write the table of a fold. Test clips have no label."""
    rows = [_row(clip, "train") for clip in train] + [_row(c, "test") for c in test]
    _write(path, _TRAINED, rows)


def write_paths(path: Path, clips: Iterable[Clip]) -> None:
    """Write the table for a system that needs no training: ids and paths only."""
    _write(path, _PRETRAINED, [_row(clip, "test") for clip in clips])


def read_table(path: Path) -> tuple[list[Row], list[Row]]:
    """Return the training and the test rows of a table.

    Raises:
        CorpusError: The file is absent, or is no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [_to_row(cells) for cells in csv.DictReader(stream)]
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError) as error:
        raise CorpusError(
            f"{path}: is no table of clips; its columns are {', '.join(_TRAINED)}"
        ) from error
    train = [row for row in rows if row.part == "train"]
    return train, [row for row in rows if row.part != "train"]


def write_probabilities(
    path: Path,
    ids: Sequence[str],
    probabilities: NDArray[np.floating],
    cost: Cost | None = None,
) -> None:
    """Write what a system says, [N, 4] in the order of `EMOTIONS`, and what it costs.

    The cost is written first, since a complete table ends the work on a fold.
    """
    if cost is not None:
        text = json.dumps(asdict(cost), indent=2)
        path.with_suffix(".json").write_text(text, "utf-8")
    with replacing(path) as whole, whole.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", *EMOTIONS])
        for name, row in zip(ids, probabilities, strict=True):
            writer.writerow([name, *(f"{value:.6g}" for value in row)])


def read_probabilities(path: Path, ids: Sequence[str]) -> NDArray[np.float32]:
    """Return the probabilities of clips [N, 4], in the order of `ids` and `EMOTIONS`.

    Raises:
        TrainingError: The file is absent, or lacks a clip, or a row holds no
            probabilities.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = {row["id"]: row for row in csv.DictReader(stream)}
        found = np.array(
            [[float(rows[name][emotion]) for emotion in EMOTIONS] for name in ids]
        )
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror})") from error
    except KeyError as error:
        raise TrainingError(
            f"{path}: lacks {error}; it needs a row for every test clip and the "
            f"columns id, {', '.join(EMOTIONS)}"
        ) from error
    except (TypeError, ValueError) as error:
        raise TrainingError(f"{path}: holds no numbers ({error})") from error
    sums = found.sum(1)
    if not ((found >= 0).all() and (np.abs(sums - 1) <= _TOLERANCE).all()):
        worst = int(np.abs(np.nan_to_num(sums, nan=np.inf) - 1).argmax())
        raise TrainingError(
            f"{path}: the row of {ids[worst]} holds no probabilities, "
            f"{found[worst].tolist()}; they are not negative and sum to 1"
        )
    exact: NDArray[np.float32] = (found / sums[:, None]).astype(np.float32)
    return exact


def read_cost(path: Path) -> Cost:
    """Return the cost that a system wrote beside its table; unknown if it did not.

    Raises:
        TrainingError: The file is damaged.
    """
    file = path.with_suffix(".json")
    if not file.is_file():
        return Cost()
    try:
        return Cost(**json.loads(file.read_text("utf-8")))
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"{file}: is no cost; it holds n_bytes, n_parameters and ms_per_s"
        ) from error


def _row(clip: Clip, part: str) -> dict[str, str]:
    utterance = clip.utterance
    return {
        "id": utterance.id,
        "path": str(clip.path.absolute()),
        "part": part,
        "label": str(utterance.emotion) if part == "train" else "",
        "speaker": utterance.speaker,
        "corpus": utterance.corpus,
        "recording": str(utterance.path.absolute()),
    }


def _to_row(cells: dict[str, Any]) -> Row:
    paths = {"path": Path(cells["path"]), "recording": Path(cells.get("recording", ""))}
    return Row(**cells | paths)


def _write(path: Path, columns: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as whole, whole.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
