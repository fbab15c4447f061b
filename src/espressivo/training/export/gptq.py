"""Weights to 8 bits so that a product changes least on the recordings it was shown.

Source: Frantar et al. (2023), GPTQ, algorithm 1, largest inputs first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DAMPING = 1e-3  # of the mean square of the inputs
_BLOCK = 64  # rows whose error is handed on at once


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one bool
class Inputs:
    """How the inputs of a product move together.

    Attributes:
        order: In which its weights are rounded, int [in].
        shares: Of a weight's error, what those after it make good: upper triangular
            [in, in], the Cholesky factor of the inverse of the damped Gram matrix.
    """

    order: NDArray[np.intp]
    shares: NDArray[np.float64]


def observe_inputs(gram: NDArray[np.float64]) -> Inputs:
    """Prepare `round_weights` from the sum of the inputs' outer products [in, in]."""
    order = np.argsort(-np.diag(gram), kind="stable")
    damped = gram[np.ix_(order, order)]
    damped += np.eye(len(gram)) * (_DAMPING * np.diag(gram).mean() + 1e-12)
    # With both axes reversed, the lower factor of the matrix turns into the upper one
    # whose inverse is wanted: a third of the work of inverting first.
    reverse = torch.from_numpy(damped[::-1, ::-1].copy())
    upper = torch.linalg.cholesky(reverse).flip(0, 1)
    shares = torch.linalg.solve_triangular(
        upper, torch.eye(len(gram), dtype=torch.float64), upper=True
    )
    return Inputs(order, shares.numpy())


def round_weights(
    exact: NDArray[np.float64], inputs: Inputs
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return levels int8 [in, out] and a scale per output [out], symmetric.

    Row by row, the error of rounding is made good by the rows still to come, as far as
    their inputs move together.
    """
    scale = np.maximum(np.abs(exact).max(0) / 127, 1e-10).astype(np.float32)
    weights, shares = exact[inputs.order], inputs.shares
    levels = np.zeros_like(weights)
    for start in range(0, len(weights), _BLOCK):
        end = min(start + _BLOCK, len(weights))
        errors = np.zeros((end - start, weights.shape[1]))
        for row in range(start, end):
            levels[row] = np.clip(np.round(weights[row] / scale), -127, 127)
            error = (weights[row] - levels[row] * scale) / shares[row, row]
            weights[row + 1 : end] -= np.outer(shares[row, row + 1 : end], error)
            errors[row - start] = error
        weights[end:] -= shares[start:end, end:].T @ errors
    restored = np.empty(levels.shape, np.int8)
    restored[inputs.order] = levels
    return restored, scale
