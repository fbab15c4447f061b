"""What a model says of all labelled clips of a corpus, computed once."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from espressivo.audio.parallel import map_recordings
from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, CorpusError
from espressivo.files.atomic import replacing
from espressivo.model.adaptation import adapt
from espressivo.model.classifier import load_classifier
from espressivo.model.window_statistics import WindowStatistics
from espressivo.training.clips.conditions import apply_condition, utterance_seed
from espressivo.training.clips.preprocess import find_loud
from espressivo.training.clips.surroundings import Surroundings
from espressivo.training.evaluate import clip_windows, require_emotions
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.model.adaptation import AdaptationCard, Posterior
    from espressivo.model.classifier import Classifier
    from espressivo.training.corpora import Utterance
    from espressivo.types import Progress

    Rows = NDArray[np.integer[Any]]
    """Indices of clips."""

_HALF = 8  # as in `WindowStatistics`


class _Windows(NamedTuple):
    plain: NDArray[np.float32]
    voices: NDArray[np.float32]
    lengths: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """Labelled clips, and what the model says of their windows.

    Attributes:
        name: Name of the corpus, or of the part of it.
        labels: Emotion of each clip, int [N].
        speakers: Speaker of each clip, [N].
        calm: Whether a clip is labelled calm, which is scored as neutral, bool [N].
        starts: First window of each clip, and the number of windows, int [N + 1].
        plain: Probabilities without adaptation, float32 [W, C].
        voices: Voice vectors, float32 [W, columns].
        lengths: Length of each window in samples, int [W].
    """

    name: str
    labels: NDArray[np.int64]
    speakers: NDArray[np.str_]
    calm: NDArray[np.bool_]
    starts: NDArray[np.int64]
    plain: NDArray[np.float32]
    voices: NDArray[np.float32]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, rows: Rows) -> Rows:
        """Return the indices of the windows of some clips, clip by clip."""
        spans = [np.arange(self.starts[i], self.starts[i + 1]) for i in rows]
        return np.concatenate(spans) if spans else np.zeros(0, np.int64)

    def without_calm(self, name: str) -> Clips:
        """Return the clips that are not labelled calm, under another name."""
        rows = np.flatnonzero(~self.calm)
        windows = self.windows(rows)
        counts = np.diff(self.starts)[rows]
        return Clips(
            name,
            self.labels[rows],
            self.speakers[rows],
            self.calm[rows],
            np.concatenate([[0], np.cumsum(counts)]),
            self.plain[windows],
            self.voices[windows],
            self.lengths[windows],
        )

    def statistics(
        self, card: AdaptationCard, rows: Rows, *, setting: bool = False
    ) -> WindowStatistics:
        """Return the statistics of some clips; in a setting each clip has weight 1."""
        windows = self.windows(rows)
        factors = np.ones(len(windows))
        if setting:
            counts = np.diff(self.starts)[rows]
            factors = np.repeat(1 / counts, counts)
        return statistics_of(card, self.voices[windows], factors, len(rows))

    def predict(
        self, card: AdaptationCard, rows: Rows, posterior: Posterior | None
    ) -> NDArray[np.float64]:
        """Return the probabilities [rows, C] of some clips: means over their windows.

        Windows weigh by their length, as in `espressivo evaluate`.
        """
        windows = self.windows(rows)
        found = adapt(card, posterior, self.plain[windows], self.voices[windows])
        weights = self.lengths[windows, None]
        counts = np.diff(self.starts)[rows]
        starts = np.cumsum(counts) - counts
        total = np.add.reduceat(found.astype(np.float64) * weights, starts)
        mean: NDArray[np.float64] = total / np.add.reduceat(weights, starts)
        return mean

    def sample(self, n: int, seed: int = 0) -> Rows:
        """Return at most `n` clips, equally many of each emotion where there are."""
        if len(self) <= n:
            return np.arange(len(self))
        # The corpus is part of the seed, so that corpora are drawn independently.
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        each = n // len(Emotion)
        rows = [
            rng.permutation(np.flatnonzero(self.labels == k))[:each]
            for k in range(len(Emotion))
        ]
        return np.sort(np.concatenate(rows))


def statistics_of(
    card: AdaptationCard,
    voices: NDArray[np.float32],
    factors: NDArray[np.float64] | None = None,
    n_recordings: int = 1,
) -> WindowStatistics:
    """Return the statistics of many windows at once.

    They equal those of windows that are merged one by one, but for rounding.

    Args:
        card: Card of the model.
        voices: Voice vectors, float32 [W, columns].
        factors: Factor of each window's weight [W]; None: 1.
        n_recordings: Number of recordings that they come from.
    """
    d = card.n_dims
    rows = np.asarray(voices, np.float64)
    weights = 1 - rows[:, d]
    if factors is not None:
        weights = weights * factors
    places = np.clip(np.floor(rows[:, :d]), -_HALF, _HALF - 1).astype(np.int64)
    cells, index = np.unique(places, axis=0, return_inverse=True)
    totals, sums = np.zeros(len(cells)), np.zeros((len(cells), d))
    np.add.at(totals, index.reshape(-1), weights)
    np.add.at(sums, index.reshape(-1), weights[:, None] * rows[:, :d])
    axes = rows[:, d + 1 :]
    mean = axes.mean(0) if len(axes) else np.zeros(card.n_axes)
    apart = axes - mean
    return WindowStatistics(
        len(rows), n_recordings, 0, cells, totals, sums, mean, apart.T @ apart
    )


def choose(
    utterances: Sequence[Utterance], most: int, seed: int = 0
) -> list[Utterance]:
    """Return at most some utterances: of each speaker and label in turn, at random.

    Their order is kept.
    """
    cells: dict[tuple[str, str], list[int]] = {}
    for n, utterance in enumerate(utterances):
        label = utterance.original or str(utterance.emotion)
        cells.setdefault((utterance.speaker, label), []).append(n)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(cells[key]).tolist() for key in sorted(cells)]
    turns = (n for turn in zip_longest(*orders) for n in turn if n is not None)
    return [utterances[n] for n in sorted(islice(turns, most))]


def read_clips(
    name: str,
    folder: Path,
    utterances: Sequence[Utterance],
    cache: Path,
    *,
    condition: str = "clean",
    progress: Progress | None = None,
) -> Clips:
    """Run a model over labelled clips, as `espressivo evaluate` does, or read them.

    Args:
        name: Name of the corpus.
        folder: Folder of the model.
        utterances: Utterances of the corpus.
        cache: Folder that keeps what the model says.
        condition: Condition in which the clips are heard, see `clips.conditions`.
        progress: Callback, called after every utterance.

    Raises:
        ModelError: The folder holds no model, or one that takes no profiles.
        CorpusError: There is no utterance, or one cannot be read.
    """
    if not utterances:
        raise CorpusError("no utterances to study; pass a corpus that holds some")
    classifier = load_classifier(folder)
    classifier.require_adaptation()
    columns = require_emotions(classifier, folder)
    if columns != sorted(columns):
        raise CorpusError(f"{folder}: its emotions are in another order than ours")
    # The clips are part of the name: another selection must not be taken for this one.
    key = zlib.crc32("\n".join(u.id for u in utterances).encode())
    path = cache / f"{name}-{condition}-{classifier.card.sha256[:12]}-{key:08x}.npz"
    if not path.exists():
        arrays = _embed_all(classifier, utterances, condition, progress)
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial_path, partial_path.open("wb") as file:
            np.savez(file, **arrays)
    with np.load(path) as found:
        return Clips(name, **found)


def _embed_all(
    classifier: Classifier,
    utterances: Sequence[Utterance],
    condition: str,
    progress: Progress | None,
) -> dict[str, Any]:
    embed = partial(_embed, classifier, condition)
    found: list[_Windows] = []
    for result in map_recordings(embed, utterances, progress):
        if isinstance(result, AudioError):
            raise CorpusError(f"{result}; a study needs all of a corpus: restore it")
        found.append(result)
    order = [*Emotion]
    counts = [len(windows.lengths) for windows in found]
    return {
        "labels": np.array([order.index(u.emotion) for u in utterances]),
        "speakers": np.array([u.speaker for u in utterances]),
        "calm": np.array([u.original == "calm" for u in utterances]),
        "starts": np.concatenate([[0], np.cumsum(counts)]),
        "plain": np.concatenate([w.plain for w in found]),
        "voices": np.concatenate([w.voices for w in found]),
        "lengths": np.concatenate([w.lengths for w in found]),
    }


def _embed(
    classifier: Classifier, condition: str, utterance: Utterance
) -> _Windows | AudioError:
    try:
        signal = load_audio(utterance.path)
    except AudioError as error:
        return error
    # The silent ends are those of the recording as it was, as in `evaluate`.
    loud = find_loud(signal)
    seed = utterance_seed(0, utterance.id, condition)
    signal = apply_condition(condition, signal, seed, Surroundings(Path()))
    rows, lengths = clip_windows(classifier.card, signal, loud)
    pairs = [classifier.run(row[None], "probabilities", "voice") for row in rows]
    plain, voices = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return _Windows(plain, voices, lengths)
