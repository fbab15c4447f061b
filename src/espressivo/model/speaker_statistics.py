"""Sufficient statistics of one speaker's windows; they merge in any order.

The feature vector of a window is the model's embedding, its probabilities, and their
entropy. The statistics contain neither audio nor single windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerStatistics:
    """Count, mean and sum of squared deviations of the features of windows.

    Attributes:
        n_windows: Number of windows.
        n_recordings: Number of recordings that the windows come from.
        n_samples: Total length of the windows, in samples at 16 kHz.
        mean: Mean feature vector, float64 [features].
        squares: Sum of squared deviations from the mean, float64 [features].
    """

    n_windows: int
    n_recordings: int
    n_samples: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @staticmethod
    def empty(n_features: int) -> SpeakerStatistics:
        """Return statistics of zero windows."""
        return SpeakerStatistics(0, 0, 0, np.zeros(n_features), np.zeros(n_features))

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance of each feature, float64 [features]; 0 if there is no window."""
        return self.squares / max(1, self.n_windows)

    def merged(self, other: SpeakerStatistics) -> SpeakerStatistics:
        """Return the statistics of both sets together; the order changes only rounding.

        Source: Chan et al. (1979), pairwise update of mean and sum of squares.
        """
        # Deviations from the mean are merged, because a variance computed as a
        # difference of raw sums of squares loses digits (cancellation).
        n = self.n_windows + other.n_windows
        share = other.n_windows / max(1, n)
        apart = other.mean - self.mean
        return SpeakerStatistics(
            n,
            self.n_recordings + other.n_recordings,
            self.n_samples + other.n_samples,
            self.mean + apart * share,
            self.squares + other.squares + apart**2 * (self.n_windows * share),
        )

    def with_window(
        self, features: NDArray[np.float64], n_samples: int
    ) -> SpeakerStatistics:
        """Return the statistics with one more window of the same recording."""
        window = SpeakerStatistics(1, 0, n_samples, features, np.zeros_like(features))
        return self.merged(window)


def features_of(
    embeddings: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return feature vectors [B, width + emotions + 1] of windows, float64.

    Args:
        embeddings: [B, width].
        probabilities: [B, emotions], without a profile.
    """
    p = np.asarray(probabilities, np.float64)
    entropy = -(p * np.log(np.maximum(p, 1e-12))).sum(1, keepdims=True)  # nats
    return np.hstack([np.asarray(embeddings, np.float64), p, entropy])
