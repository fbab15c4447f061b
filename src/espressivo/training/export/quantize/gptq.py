"""GPTQ: int8 weights with the least change of a matmul on calibration recordings.

x86 processors without VNNI (most before 2020) add the products of two neighbouring
inputs, u8 times s8, in 16 bits, and cut off what does not fit: in conv1 that cost a
fifth of the output. No two neighbouring weights can reach that here, whatever the
inputs, so that a model gives the same probabilities on all machines. Seven bits for all
weights would prevent it too, at a larger error.

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
_LEAST_SCALE = 2.0**-24  # of fp16; levels of smaller weights are 0
_PAIR = 128  # two levels of one sign at most: 255 * 128 < 2**15 <= 255 * 129


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one bool
class InputStatistics:
    """Second moments of a matmul's inputs, as GPTQ needs them.

    Attributes:
        order: Order in which rows of weights are quantized, int [in].
        shares: Share of a weight's error that each later weight compensates: upper
            triangular [in, in], the Cholesky factor of the inverse of the damped Gram
            matrix.
    """

    order: NDArray[np.intp]
    shares: NDArray[np.float64]


def input_statistics(gram: NDArray[np.float64]) -> InputStatistics:
    """Prepare `quantize_weights` from the Gram matrix of the inputs [in, in]."""
    # Stable, so that equal inputs keep one order on every machine.
    order = np.argsort(-np.diag(gram), kind="stable")
    damped = gram[np.ix_(order, order)]
    # The last term serves inputs that are all 0, which have no Cholesky factor.
    damped += np.eye(len(gram)) * (_DAMPING * np.diag(gram).mean() + 1e-12)
    # With both axes reversed, the lower factor of the matrix turns into the upper one
    # whose inverse is wanted: a third of the work of inverting first.
    reverse = torch.from_numpy(damped[::-1, ::-1].copy())
    upper = torch.linalg.cholesky(reverse).flip(0, 1)
    shares = torch.linalg.solve_triangular(
        upper, torch.eye(len(gram), dtype=torch.float64), upper=True
    )
    return InputStatistics(order, shares.numpy())


def quantize_weights(
    exact: NDArray[np.float64], inputs: InputStatistics
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return levels int8 [in, out] and a scale per output [out], symmetric.

    Row by row, later rows compensate the error of a quantized row, as far as their
    inputs are correlated.
    """
    scale = _scale(exact)
    levels = np.zeros(exact.shape)
    weights, shares = exact[inputs.order], inputs.shares
    for start in range(0, len(weights), _BLOCK):
        end = min(start + _BLOCK, len(weights))
        errors = np.zeros((end - start, weights.shape[1]))
        for row in range(start, end):
            place = int(inputs.order[row])
            levels[place] = _nearest_levels(weights[row] / scale, levels, place)
            error = (weights[row] - levels[place] * scale) / shares[row, row]
            weights[row + 1 : end] -= np.outer(shares[row, row + 1 : end], error)
            errors[row - start] = error
        # Later blocks are updated by one product: the paper's lazy batch updates.
        weights[end:] -= shares[start:end, end:].T @ errors
    return levels.astype(np.int8), scale


def quantize_kernels(
    exact: NDArray[np.float64], most: int = _PAIR // 2
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return levels int8 [out, in, ...] and a scale per output [out], symmetric.

    Each weight goes to the nearest level up to `most`; by default no pair of them
    exceeds 16 bits. GPTQ of a convolution would take a Gram matrix of all its taps.
    """
    rows = exact.reshape(len(exact), -1)
    scale = _stored(np.abs(rows).max(1) / most)
    return np.rint(rows / scale[:, None]).astype(np.int8).reshape(exact.shape), scale


def _nearest_levels(
    row: NDArray[np.float64], levels: NDArray[np.float64], place: int
) -> NDArray[np.float64]:
    """Return the levels [out] of a row that its neighbour in a pair leaves room for."""
    # Pairs are rows 2k and 2k + 1; a neighbour not yet quantized is still 0.
    beside = levels[place ^ 1] if place ^ 1 < len(levels) else 0.0
    least = -np.minimum(127, _PAIR + np.minimum(beside, 0))
    most = np.minimum(127, _PAIR - np.maximum(beside, 0))
    nearest: NDArray[np.float64] = np.clip(np.round(row), least, most)
    return nearest


def _scale(exact: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the least scales [out] by which single weights and pairs fit."""
    even = np.pad(exact, ((0, len(exact) % 2), (0, 0)))
    up, down = np.maximum(even, 0), np.maximum(-even, 0)
    pairs = np.maximum(up[::2] + up[1::2], down[::2] + down[1::2]).max(0)
    return _stored(np.maximum(np.abs(exact).max(0) / 127, pairs / _PAIR))


def _stored(least: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return scales that fp16 holds exactly, none of them below `least` or 0."""
    half = np.maximum(least, _LEAST_SCALE).astype(np.float16)
    above = np.nextafter(half, np.float16(np.inf))
    return np.where(half < least, above, half).astype(np.float32)
