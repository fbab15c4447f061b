"""What was heard of one voice: sums that can be merged in any order.

Of every window a row of traits is kept account of: the model's embedding, the
probabilities it gave, and how undecided it was. Never the audio, never a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerStatistics:
    """Count, mean and spread of the traits of windows.

    Attributes:
        n_windows: How many.
        n_recordings: Of how many recordings.
        n_samples: Of how much speech, in samples at 16 kHz.
        mean: float64 [traits].
        squares: float64 [traits], sum of squared distances from the mean.
    """

    n_windows: int
    n_recordings: int
    n_samples: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @staticmethod
    def empty(n_traits: int) -> SpeakerStatistics:
        """Return the voice of which nothing was heard."""
        return SpeakerStatistics(0, 0, 0, np.zeros(n_traits), np.zeros(n_traits))

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of each trait over the windows, float64 [traits]; 0 where none was heard."""
        return self.squares / max(1, self.n_windows)

    def merged(self, other: SpeakerStatistics) -> SpeakerStatistics:
        """Return what both together have heard; the order changes only rounding.

        Source: Chan et al. (1979), merging of means and sums of squares.
        """
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
        self, traits: NDArray[np.float64], n_samples: int
    ) -> SpeakerStatistics:
        """Return what has been heard after one more window, of the same recording."""
        window = SpeakerStatistics(1, 0, n_samples, traits, np.zeros_like(traits))
        return self.merged(window)


def traits_of(
    embeddings: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Lay out the traits of windows [B, width + emotions + 1].

    Args:
        embeddings: [B, width].
        probabilities: [B, emotions], of the model without a profile.
    """
    p = np.asarray(probabilities, np.float64)
    undecided = -(p * np.log(np.maximum(p, 1e-12))).sum(1, keepdims=True)  # nats
    return np.hstack([np.asarray(embeddings, np.float64), p, undecided])
