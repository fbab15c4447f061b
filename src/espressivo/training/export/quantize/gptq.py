"""Weights to 8 bits so that a product changes least on the recordings it was shown.

x86 processors without VNNI (most before 2020) add the products of two neighbouring
inputs, u8 times s8, in 16 bits, and what does not fit is cut off: in conv1 that cost a
fifth of the output. Here no two neighbours can get there, whatever the inputs, so that
a model answers alike on all machines. Seven bits for all weights would do as well, at
a larger error.

Source: Frantar et al. (2023), GPTQ, algorithm 1, largest inputs first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_DAMPING = 1e-3  # of the mean square of the inputs
_BLOCK = 64  # rows whose error is handed on at once
_PAIR = 128  # two levels of one sign at most: 255 * 128 < 2**15 <= 255 * 129


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
    scale = _scale(exact)
    levels = np.zeros(exact.shape)

    def round_row(place: int, row: NDArray[np.float64]) -> NDArray[np.float64]:
        beside = levels[place ^ 1] if place ^ 1 < len(levels) else 0.0
        least = -np.minimum(127, _PAIR + np.minimum(beside, 0))
        most = np.minimum(127, _PAIR - np.maximum(beside, 0))
        levels[place] = np.clip(np.round(row / scale), least, most)
        rounded: NDArray[np.float64] = levels[place] * scale
        return rounded

    carry_errors(exact, inputs, round_row)
    return levels.astype(np.int8), scale


def carry_errors(
    exact: NDArray[np.float64],
    inputs: Inputs,
    round_row: Callable[[int, NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    """Round weights row by row, each row making good the errors of those before it.

    Args:
        exact: The weights [in, out].
        inputs: Of the product.
        round_row: Called with a row's place and what it has become [out]; returns it
            rounded.
    """
    weights, shares = exact[inputs.order], inputs.shares
    for start in range(0, len(weights), _BLOCK):
        end = min(start + _BLOCK, len(weights))
        errors = np.zeros((end - start, weights.shape[1]))
        for row in range(start, end):
            rounded = round_row(int(inputs.order[row]), weights[row])
            error = (weights[row] - rounded) / shares[row, row]
            weights[row + 1 : end] -= np.outer(shares[row, row + 1 : end], error)
            errors[row - start] = error
        weights[end:] -= shares[start:end, end:].T @ errors


def round_kernels(
    exact: NDArray[np.float64], most: int = _PAIR // 2
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return levels int8 [out, in, ...] and a scale per output [out], symmetric.

    To the nearest of the levels up to `most`: by default no two of them exceed what a
    pair may hold. How the inputs of a convolution move together would take a matrix of
    all its taps.
    """
    rows = exact.reshape(len(exact), -1)
    largest = np.abs(rows).max(1) / most
    scale: NDArray[np.float32] = np.maximum(largest, 1e-10).astype(np.float32)
    return np.rint(rows / scale[:, None]).astype(np.int8).reshape(exact.shape), scale


def _scale(exact: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the least scales [out] by which single weights and pairs fit."""
    even = np.pad(exact, ((0, len(exact) % 2), (0, 0)))
    up, down = np.maximum(even, 0), np.maximum(-even, 0)
    pairs = np.maximum(up[::2] + up[1::2], down[::2] + down[1::2]).max(0)
    least = np.maximum(np.abs(exact).max(0) / 127, pairs / _PAIR)
    scale: NDArray[np.float32] = np.maximum(least, 1e-10).astype(np.float32)
    return scale
