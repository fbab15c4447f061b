"""Statistics of windows, from which adaptation infers; they merge in any order.

A window has a *voice vector*: `n_dims` dimensions in which emotions differ within one
speaker, the probability that the window is no speech, and `n_axes` dimensions in which
speakers differ (`AdaptationCard`). The first are counted in a grid of cells, the last
are summed up. The statistics contain no audio.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF = 8  # cells on either side of the origin; a cell is one standard deviation wide
_MOST = 2**53  # windows, recordings or samples: JavaScript counts no further
_LARGEST = 1e6  # coordinate of a window, in standard deviations
_LEAST = 1e-20  # a window's weight is a difference of float32, over some thousands


@dataclass(frozen=True, slots=True, eq=False)
class WindowStatistics:
    """Counts and sums over the windows of a speaker, or of a setting.

    Attributes:
        n_windows: Number of windows.
        n_recordings: Number of recordings that the windows come from.
        n_samples: Total length of the windows, in samples at 16 kHz.
        cells: Coordinates of the cells that hold windows, int64 [cells, dims], sorted.
        weights: Weight of the windows in each cell, float64 [cells].
        sums: Weighted sum of the windows in each cell, float64 [cells, dims].
        mean: Mean in the dimensions of speakers, float64 [axes].
        scatter: Sum of outer products of deviations from it, float64 [axes, axes].
    """

    n_windows: int
    n_recordings: int
    n_samples: int
    cells: NDArray[np.int64]
    weights: NDArray[np.float64]
    sums: NDArray[np.float64]
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @staticmethod
    def empty(n_dims: int, n_axes: int) -> WindowStatistics:
        """Return statistics of no windows."""
        return WindowStatistics(
            0,
            0,
            0,
            np.zeros((0, n_dims), np.int64),
            np.zeros(0),
            np.zeros((0, n_dims)),
            np.zeros(n_axes),
            np.zeros((n_axes, n_axes)),
        )

    @staticmethod
    def of_window(
        voice: NDArray[np.floating[Any]], n_dims: int, n_samples: int
    ) -> WindowStatistics:
        """Return the statistics of one window.

        Args:
            voice: Voice vector [dims + 1 + axes].
            n_dims: Number of dimensions of emotions.
            n_samples: Length of the window, in samples.
        """
        place = np.asarray(voice[:n_dims], np.float64)
        axes = np.asarray(voice[n_dims + 1 :], np.float64)
        # What is probably no speech says nothing of a voice.
        weight = max(0.0, 1 - float(voice[n_dims]))  # a softmax may exceed 1
        cell = np.clip(np.floor(place), -_HALF, _HALF - 1).astype(np.int64)
        return WindowStatistics(
            1,
            0,
            n_samples,
            cell[None],
            np.array([weight]),
            weight * place[None],
            axes,
            np.zeros((len(axes), len(axes))),
        )

    @property
    def n_dims(self) -> int:
        """Number of dimensions in which emotions differ."""
        return int(self.cells.shape[1])

    @property
    def n_axes(self) -> int:
        """Number of dimensions in which speakers differ."""
        return len(self.mean)

    @property
    def weight(self) -> float:
        """Total weight of the windows."""
        return float(self.weights.sum())

    def merged(self, other: WindowStatistics) -> WindowStatistics:
        """Return the statistics of both sets together; the order changes only rounding.

        Source: Chan et al. (1979), pairwise update of mean and sum of squares.
        """
        rows = np.concatenate([self.cells, other.cells])
        cells, index = np.unique(rows, axis=0, return_inverse=True)
        index = index.reshape(-1)
        weights = np.zeros(len(cells))
        np.add.at(weights, index, np.concatenate([self.weights, other.weights]))
        sums = np.zeros((len(cells), self.n_dims))
        np.add.at(sums, index, np.concatenate([self.sums, other.sums]))
        n = self.n_windows + other.n_windows
        share = other.n_windows / max(1, n)
        apart = other.mean - self.mean
        return WindowStatistics(
            n,
            self.n_recordings + other.n_recordings,
            self.n_samples + other.n_samples,
            cells,
            weights,
            sums,
            self.mean + apart * share,
            self.scatter
            + other.scatter
            + np.outer(apart, apart) * (self.n_windows * share),
        )

    def with_window(
        self, voice: NDArray[np.floating[Any]], n_samples: int
    ) -> WindowStatistics:
        """Return the statistics with one more window of the same recording."""
        window = WindowStatistics.of_window(voice, self.n_dims, n_samples)
        return self.merged(window)

    def require_possible(self) -> None:
        """Check statistics from a file.

        Raises:
            ValueError: There are no windows of which these are the statistics.
        """
        for name in ("n_windows", "n_recordings", "n_samples"):
            if not 0 <= getattr(self, name) <= _MOST:
                raise ValueError(f"{name} is below 0 or above 2^53")
        self._require_possible_arrays()
        self._require_possible_cells()
        self._require_possible_axes()

    def _require_possible_arrays(self) -> None:
        arrays = self.weights, self.cells, self.sums, self.mean, self.scatter
        k, d, a = self.weights.size, (0, *self.cells.shape)[-1], self.mean.size
        if not d or not a:
            raise ValueError("there are no dimensions or no axes")
        if [x.shape for x in arrays] != [(k,), (k, d), (k, d), (a,), (a, a)]:
            raise ValueError("arrays have other shapes")
        if not all(np.isfinite(x).all() for x in arrays):
            raise ValueError("sums that are no numbers")

    def _require_possible_cells(self) -> None:
        weights, most = self.weights, 1 + 1e-9  # sums are rounded
        if weights.min(initial=0.0) < 0 or weights.sum() > self.n_windows * most:
            raise ValueError("weights are below 0, or more than there are windows")
        if np.any((weights > 0) & (weights < _LEAST)):
            raise ValueError("weights are too small for those of windows")
        if not np.isin(self.cells, np.arange(-_HALF, _HALF)).all():
            raise ValueError("cells lie outside the grid")
        if len(np.unique(self.cells, axis=0)) < len(weights):
            raise ValueError("cells occur twice")
        if np.any(np.abs(self.sums) > _LARGEST * most * weights[:, None]):
            raise ValueError("sums are too large for their weights")

    def _require_possible_axes(self) -> None:
        scatter = self.scatter
        most = _LARGEST**2 * max(1, self.n_windows)
        if np.abs(self.mean).max() > _LARGEST or np.abs(scatter).max() > most:
            raise ValueError("mean or scatter is too large")
        least = -1e-6 * max(1.0, float(np.trace(scatter)))
        if (
            not np.allclose(scatter, scatter.T)
            or np.linalg.eigvalsh(scatter)[0] < least
        ):
            raise ValueError("scatter is no sum of squares")

    def as_one(self) -> WindowStatistics:
        """Return the statistics with the weight of one window, for a setting.

        A setting is learned from many people: each of their recordings counts once,
        whatever its length.
        """
        factor = 1 / max(1, self.n_windows)
        return replace(self, weights=self.weights * factor, sums=self.sums * factor)
