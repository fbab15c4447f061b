"""The profile classifier: emotions relative to a speaker's own baseline.

The plain classifier takes an embedding as it is. This one takes it less the speaker's
baseline, which a profile estimates from unlabelled recordings::

    baseline = trust (mean - origin - discount (1 - even) sum_k share_k offset_k)
    logits = (1 - trust) (plain logits - W0 baseline) + trust W1 (embedding - baseline)
    trust = even (n - 1) / (n - 1 + patience)

Recordings with only anger are far from the baseline because of the anger. So the weight
of a profile grows with the evenness of its emotions, `even`. Evenness is the mutual
information of window and emotion, which the plain classifier estimates over the n
windows, as a share of the largest possible for the classifier's average uncertainty; a
share of `spread` or more gives full weight. Evenness is unknown after one window. The
remaining imbalance is subtracted: `offset` is the mean distance of an emotion from a
baseline, and `share` the mean probability that the plain classifier gives it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.scores.temperature import softmax

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    _Float = NDArray[np.float64]

LEAST = 1e-9
"""Smallest probability whose logarithm is taken."""
LEAST_INFORMATION = 0.05
"""Nats; the smallest possible mutual information that anything is divided by."""
SUSPICION = 0.02
"""Share of a speaker's own recordings that may exceed `distance_limit`."""


@dataclass(frozen=True, slots=True, eq=False)
class ProfileClassifier:
    """The fitted profile classifier, from which export writes `profile.onnx`.

    Attributes:
        plain: float64 [C, width], weights of the plain classifier's logits, before any
            temperature.
        weight: float64 [C, width], weights for an embedding minus its baseline.
        bias: float64 [C], bias of the same logits.
        origin: float64 [width], the mean baseline of all speakers.
        offsets: float64 [C, width], mean of each emotion less the baseline.
        axes: float64 [axes, width], directions in which speakers differ, scaled such
            that recordings of one speaker have variance 1.
        patience: Windows, beyond the first, after which a profile counts for half.
        discount: Share of the emotions' estimated offset that is subtracted, 0 to 1.
        spread: Share of the largest information from which on a profile is even.
        distance_limit: Distance that a share `suspicion` of a speaker's own recordings
            exceeds.
        suspicion: Share of recordings, 0 to 1.
    """

    plain: _Float
    weight: _Float
    bias: _Float
    origin: _Float
    offsets: _Float
    axes: _Float
    patience: float
    discount: float
    spread: float
    distance_limit: float
    suspicion: float = SUSPICION

    def probabilities(
        self,
        embeddings: NDArray[np.floating[Any]],
        plain: NDArray[np.floating[Any]],
        count: NDArray[np.floating[Any]],
        features: NDArray[np.floating[Any]],
        temperature: float = 1.0,
    ) -> _Float:
        """Return probabilities [B, C] given profiles, as `profile.onnx` computes them.

        Args:
            embeddings: [B, width].
            plain: [B, C], probabilities without a profile.
            count: [P, 1], windows in the profile; P is B, or 1 for the same profile.
            features: [P, width + C + 1], mean over the windows of `features_of`.
            temperature: Temperature of the plain probabilities.
        """
        width = self.weight.shape[1]
        mean, shares = features[:, :width], features[:, width:-1]
        trust, even = self.trust(count, features)
        offset = self.discount * (1 - even) * (shares @ self.offsets)
        baseline = trust * (mean - self.origin - offset)
        # Up to a constant per row, which the softmax ignores, these are the logits.
        logits = np.log(np.maximum(plain, LEAST))
        logits = logits - baseline @ self.plain.T / temperature
        centred = embeddings - self.origin - baseline
        own = centred @ self.weight.T + self.bias
        return softmax((1 - trust) * logits + trust * own)

    def trust(
        self, count: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]]
    ) -> tuple[_Float, _Float]:
        """Return the trust in profiles, and the evenness of their emotions, [P, 1]."""
        n_emotions, width = self.weight.shape
        shares = np.asarray(features[:, width:-1], np.float64)
        undecided = np.asarray(features[:, -1:], np.float64)
        whole = -(shares * np.log(np.maximum(shares, LEAST))).sum(1, keepdims=True)
        # No more information is possible than this: log C less a window's mean entropy.
        possible = np.maximum(np.log(n_emotions) - undecided, LEAST_INFORMATION)
        even = np.clip((whole - undecided) / (self.spread * possible), 0, 1)
        beyond = np.maximum(np.asarray(count, np.float64) - 1, 0)
        return even * beyond / (beyond + self.patience), even

    def distances(
        self,
        embeddings: NDArray[np.floating[Any]],
        count: NDArray[np.floating[Any]],
        mean: NDArray[np.floating[Any]],
    ) -> _Float:
        """Return distances of embeddings [B, width] from profiles, float64 [B, 1]."""
        n = np.asarray(count, np.float64)
        squared = (np.asarray(embeddings - mean, np.float64) @ self.axes.T) ** 2
        # The mean of n windows varies too, by 1 / n of the variance of one window.
        distances: _Float = squared.mean(1, keepdims=True) * n / (n + 1)
        return distances

    def write(self, path: Path) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save_file  # noqa: PLC0415 - with torch, slow

        # C order, since safetensors stores the bytes as they lie, and `axes` is the
        # transpose of a solution.
        arrays = {
            name: np.array(value, np.float64, order="C")
            for name, value in asdict(self).items()
        }
        save_file(arrays, path)

    @staticmethod
    def read(path: Path) -> ProfileClassifier:
        """Return the classifier from a file that `write` wrote.

        Raises:
            TrainingError: The file is missing or is no profile classifier.
        """
        from safetensors.numpy import load_file  # noqa: PLC0415 - with torch, slow

        try:
            found = load_file(path)
            parts: dict[str, Any] = {
                f.name: found[f.name] for f in fields(ProfileClassifier)
            }
            # An array without axes is a number.
            whole: dict[str, Any] = {
                name: part if part.ndim else float(part) for name, part in parts.items()
            }
            return ProfileClassifier(**whole)
        except Exception as error:  # safetensors' own, OSError, KeyError
            raise TrainingError(
                f"{path}: is not what training with profile.fit writes ({error}); "
                "train again in another folder"
            ) from error
