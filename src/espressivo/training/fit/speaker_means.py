"""Means of speakers, and the directions in which speakers differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Float = NDArray[np.float64]

_N_AXES = 8
_RIDGE = 1.0


def speaker_means(
    rows: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    speakers: NDArray[Any],
) -> _Float:
    """Return each speaker's mean [S, width]; every emotion counts the same.

    Args:
        rows: [N, width].
        labels: [N].
        speakers: [N], names; the result is in their sorted order.
    """
    return np.stack(
        [
            np.mean(
                [
                    rows[(speakers == name) & (labels == label)].mean(0)
                    for label in np.unique(labels[speakers == name])
                ],
                axis=0,
            )
            for name in np.unique(speakers)
        ]
    )


def speaker_axes(
    rows: NDArray[np.floating[Any]], corpora: NDArray[Any], speakers: NDArray[Any]
) -> _Float:
    """Return the discriminant directions [axes, width] between speakers.

    Projected on them, clips of one speaker have variance 1 on average. Differences
    between corpora do not count: they may be those of microphones.

    Args:
        rows: [N, width], scaled alike.
        corpora: [N], names.
        speakers: [N], names.

    Source: Fisher (1936), with speakers as the classes.
    """
    names, first, index = np.unique(speakers, return_index=True, return_inverse=True)
    counts = np.bincount(index)
    means = np.stack([rows[index == i].mean(0) for i in range(len(names))])
    inside = (rows - means[index]) / np.sqrt(counts[index] * len(names))[:, None]
    within = inside.T @ inside
    # A microphone moves all speakers of a corpus: only differences within it count.
    corpus = corpora[first]
    apart = means - np.stack([means[corpus == c].mean(0) for c in corpus])
    between = apart.T @ apart / len(names)
    # The last term keeps the factorization possible where a dimension is constant.
    noise = within + _RIDGE * np.diag(within.diagonal()) + 1e-9 * np.eye(len(within))
    # Whitened by the noise, the directions are plain principal components.
    lower = np.linalg.cholesky(noise)
    half = np.linalg.solve(lower, between)
    _, vectors = np.linalg.eigh(np.linalg.solve(lower, half.T))
    # Each corpus mean that was subtracted takes one degree of freedom.
    n_axes = max(1, min(_N_AXES, len(names) - len(set(corpus.tolist()))))
    # `eigh` sorts eigenvalues in ascending order.
    axes = np.linalg.solve(lower.T, vectors[:, ::-1][:, :n_axes]).T
    scatter = np.einsum("aw,wv,av->a", axes, within, axes)
    return np.asarray(axes / np.sqrt(np.maximum(scatter, 1e-12))[:, None])
