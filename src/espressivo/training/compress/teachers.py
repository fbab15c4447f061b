"""Trained networks as teachers: what a student is to learn of each clip."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch

from espressivo.errors import TrainingError
from espressivo.training.clips.arrays import load_array, save_array
from espressivo.training.clips.batches import Batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.config import read_config
from espressivo.training.export.card import read_run, starting_weights, trained_corpora
from espressivo.training.fit.lda import noise_covariance
from espressivo.training.networks.network import count_parameters
from espressivo.training.runs.folder import WEIGHTS, file_sha256, load_run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.clips.sampling import AugmentedClips, SampledClip
    from espressivo.training.networks.network import EmotionNetwork

    Rows = NDArray[np.float32]

_CHUNK = 256  # clips in a file of the cache: what a killed run may have to do again


class Outputs(NamedTuple):
    """What a teacher gives for N clips.

    Attributes:
        embeddings: float32 [N, width], the input of its classifier.
        logits: float32 [N, 4], those that its temperature divides.
    """

    embeddings: Rows
    logits: Rows


class Teacher:
    """The network of a finished run.

    Attributes:
        network: The network, in evaluation mode.
        described: What identifies the teacher in a student's `run.json`, and whose
            terms bind the student.
        lineage: `described`, and the same of those that the teacher was distilled from.
    """

    def __init__(self, run: Path, cache: Path | None) -> None:
        """Load the network.

        Raises:
            TrainingError: The folder is no run, the run has not finished, or its
                network needs to know who speaks.
        """
        self.network: EmotionNetwork = load_run(run)
        config, found = read_config(run / "config.toml"), read_run(run)
        if config.training.speaker_statistics:
            raise TrainingError(
                f"{run}: training.speaker_statistics needs each speaker's own mean, "
                "which a student does not have; choose a teacher without it"
            )
        unlabelled = found.get("target", {"corpora": ()})["corpora"]
        labelled = [corpus["name"] for corpus in trained_corpora(found)]
        self.described: dict[str, Any] = {
            "name": config.name,
            "weights_sha256": file_sha256(run / WEIGHTS),
            "corpora": sorted({*labelled, *unlabelled}),
            "starting_weights": starting_weights(config.network, found),
        }
        self.lineage = [self.described, *found.get("teachers", ())]
        self.run = run
        self._extractor = FeatureExtractor(self.network, cache)
        self._cache = cache

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return count_parameters(self.network)[0]

    def outputs(
        self,
        clips: AugmentedClips,
        sampled: Sequence[SampledClip],
        on_chunk: Callable[[int], None] | None = None,
    ) -> Outputs:
        """Return the outputs for the clips drawn, in their order.

        Args:
            clips: The clips that are drawn from.
            sampled: The clips drawn.
            on_chunk: Callback with the number of clips that were done since the last.
        """
        # Of similar length, since a teacher pads a batch.
        order = np.argsort([clips.clips[one.index].n_samples for one in sampled])
        parts: list[Rows] = []
        for at in range(0, len(order), _CHUNK):
            chunk = [sampled[i] for i in order[at : at + _CHUNK].tolist()]
            parts.append(self._chunk(clips, chunk))
            if on_chunk is not None:
                on_chunk(len(chunk))
        rows = np.empty((len(order), parts[0].shape[1]), np.float32)
        rows[order] = np.concatenate(parts)
        n_classes = self.network.classify.out_features
        return Outputs(rows[:, n_classes:], rows[:, :n_classes])

    def _chunk(self, clips: AugmentedClips, chunk: Sequence[SampledClip]) -> Rows:
        path = None
        if self._cache is not None and clips.repeats:
            keys = [self.described["weights_sha256"], *map(clips.key, chunk)]
            name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
            path = self._cache / "teachers" / f"{name}.npy"
            if path.is_file():
                found: Rows = load_array(path)
                return found
        rows = self._apply(clips, chunk)
        if path is not None:
            save_array(rows, path)
        return rows

    @torch.no_grad()
    def _apply(self, clips: AugmentedClips, chunk: Sequence[SampledClip]) -> Rows:
        network, parts = self.network.eval(), []
        batches = Batches(self._extractor, clips)
        steps = [chunk[at : at + 16] for at in range(0, len(chunk), 16)]
        for batch in batches.load(steps):
            embedding = network.embedding(batch.frames).float()
            logits = network.background(network.classify(embedding), embedding)
            parts.append(torch.cat([logits, embedding], 1).cpu().numpy())
        found: Rows = np.concatenate(parts)
        return found


def load_teachers(
    runs: Sequence[Path], left_out: Collection[str], cache: Path | None
) -> list[Teacher]:
    """Load the teachers of a student.

    Args:
        runs: Their run folders.
        left_out: Corpora that the student must not know.
        cache: Folder of features and outputs.

    Raises:
        TrainingError: There is none, a folder is no finished run, or a teacher was
            trained on a corpus that is left out.
    """
    if not runs:
        raise TrainingError("there is no teacher; pass --teacher RUN")
    teachers = [Teacher(run, cache) for run in runs]
    for teacher in teachers:
        learned = {name for one in teacher.lineage for name in one["corpora"]}
        if known := sorted({*left_out} & learned):
            raise TrainingError(
                f"{teacher.run}: was trained on {', '.join(known)}, which is left out "
                "(itself, or a teacher of it), so the student would learn it; train "
                f"one without it (espressivo train ... --leave-out {known[0]})"
            )
    return teachers


class Targets:
    """The directions of teachers' embeddings that matter, fitted to labelled clips.

    Embeddings are whitened by what is noise to the discriminant (scatter within a class
    of a corpus, disagreement between corpora), and the first principal components are
    kept: in them emotions have the share of the variance that they have in the
    discriminant. Without labels, the components are those of the embeddings.
    """

    def __init__(self, means: list[Rows], projections: list[Rows]) -> None:
        """Keep a mean [width] and a projection [width, n] of each teacher."""
        self._means, self._projections = means, projections

    @classmethod
    def fit(
        cls,
        outputs: Sequence[Outputs],
        labels: NDArray[np.integer[Any]],
        corpora: Sequence[str],
        n_targets: int,
    ) -> Self:
        """Fit the directions, `n_targets` in all, to the outputs of N clips.

        Args:
            outputs: Of each teacher, N rows each.
            labels: int [N], -1 for a clip without a label.
            corpora: Corpus name of each clip [N].
            n_targets: Number of directions, shared equally by the teachers.
        """
        known = labels >= 0
        means, projections = [], []
        for rows, _ in outputs:
            wide = rows.astype(np.float64)
            whitening = np.eye(rows.shape[1])
            if len(np.unique(labels[known])) > 1:
                names = np.asarray(corpora)[known].tolist()
                noise = noise_covariance(wide[known], labels[known], names)
                values, vectors = np.linalg.eigh(noise)
                whitening = vectors / np.sqrt(values)
            mean = wide.mean(0)
            white = (wide - mean) @ whitening
            _, vectors = np.linalg.eigh(white.T @ white / len(white))
            n = min(-(-n_targets // len(outputs)), rows.shape[1])
            kept = vectors[:, ::-1][:, :n]
            # One scale for all, so that a direction counts by its variance.
            scale = np.sqrt(np.square(white @ kept).mean())
            means.append(mean.astype(np.float32))
            projections.append((whitening @ kept / scale).astype(np.float32))
        return cls(means, projections)

    @property
    def width(self) -> int:
        """Number of directions in all."""
        return sum(part.shape[1] for part in self._projections)

    def of(self, outputs: Sequence[Outputs]) -> Outputs:
        """Return directions [N, width] and the teachers' mean logits [N, 4]."""
        parts = self._parts(outputs)
        logits = np.mean([found.logits for found in outputs], axis=0)
        return Outputs(np.concatenate(list(parts), 1), logits)

    def _parts(self, outputs: Sequence[Outputs]) -> Iterator[Rows]:
        for found, mean, projection in zip(
            outputs, self._means, self._projections, strict=True
        ):
            part = (found.embeddings - mean) @ projection
            yield part.astype(np.float32)
