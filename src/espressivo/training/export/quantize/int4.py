"""fp32 graph -> weights in 4 bits where the products are, activations as they were.

onnxruntime has an operator of its own for it, MatMulNBits: each output's weights in
blocks of 32, each block with a scale and a zero of its own.

Source of the format: onnxruntime's ContribOperators.md, com.microsoft.MatMulNBits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from espressivo.training.export.graph.data_movement import biases_behind
from espressivo.training.export.quantize.gptq import (
    carry_errors,
    round_kernels,
)
from espressivo.training.export.quantize.matmuls import (
    Product,
    products_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.training.export.quantize.calibration import Calibration
    from espressivo.training.export.quantize.gptq import Inputs

    _Float = NDArray[np.float64]

_DOMAIN = "com.microsoft"
_BLOCK = 32
_TOP = 15  # the highest of 16 levels
_SHRUNK: list[float] = np.linspace(1.0, 0.6, 17).tolist()  # of a block's range


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one bool
class Grid:
    """What the 16 levels of each block of weights stand for: (level - zero) * scale.

    Attributes:
        scale: Float32 [blocks, out].
        zero: Whole numbers 0..15 [blocks, out].
        block: Weights of an output that share a scale.
    """

    scale: NDArray[np.float32]
    zero: _Float
    block: int


def quantize_four_bits(
    model: onnx.ModelProto,
    calibration: Calibration | None,
    keep: Sequence[str] = (),
    block: int = _BLOCK,
) -> onnx.ModelProto:
    """Return a copy of the graph with 4-bit weights in its products of matrices.

    Convolutions, for which there is no such operator, get 8-bit weights.

    Args:
        model: In fp32, from `to_onnx`.
        calibration: Of its products: weights are then rounded so that the products
            change least, and biases keep their mean; else each to the nearest.
        keep: Patterns of layers that stay fp32.
        block: Weights that share a scale: 16, 32, 64, 128 or 256.

    Raises:
        ExportError: A pattern of `keep` names no layer.
    """
    rounding = _Rounding(model, calibration, block)
    for product in products_of(model, keep):
        rounding.add(product)
    return rounding.finish()


def choose_grid(exact: _Float, block: int = _BLOCK) -> Grid:
    """Choose each block's range, shrunk where that makes the squared error less.

    Args:
        exact: Weights [in, out]; `in` need not be a multiple of the block.
        block: Weights of an output that share a scale.
    """
    blocks = _in_blocks(exact, block)
    low, high = np.minimum(blocks.min(1), 0), np.maximum(blocks.max(1), 0)
    best = np.full(low.shape, np.inf)
    scale, zero = np.zeros(low.shape, np.float32), np.zeros(low.shape)
    for share in _SHRUNK:
        tried = np.maximum((high - low) * share / _TOP, 1e-10).astype(np.float32)
        # The one range is cut on both sides alike.
        middle = np.clip(np.rint(-low * share / tried), 0, _TOP)
        back = _nearest(blocks, tried[:, None], middle[:, None])
        error = ((back - blocks) ** 2).sum(1)
        better = error < best
        best = np.where(better, error, best)
        scale, zero = np.where(better, tried, scale), np.where(better, middle, zero)
    return Grid(scale, zero, block)


def round_to_grid(exact: _Float, grid: Grid, inputs: Inputs | None) -> _Float:
    """Return levels 0..15 [in, out] of weights.

    Args:
        exact: Weights [in, out].
        grid: Of the same weights.
        inputs: How the product's inputs move together, by which later weights make
            good the errors of earlier ones; None: each to the nearest.
    """
    levels = np.zeros(exact.shape)

    def round_row(place: int, row: _Float) -> _Float:
        scale = grid.scale[place // grid.block].astype(np.float64)
        zero = grid.zero[place // grid.block]
        levels[place] = np.clip(np.rint(row / scale + zero), 0, _TOP)
        rounded: _Float = (levels[place] - zero) * scale
        return rounded

    if inputs is None:
        for place, row in enumerate(exact):
            round_row(place, row)
    else:
        carry_errors(exact, inputs, round_row)
    return levels


def values_of_levels(levels: _Float, grid: Grid) -> _Float:
    """Return the weights [in, out] that levels [in, out] stand for."""
    scale = np.repeat(grid.scale.astype(np.float64), grid.block, 0)[: len(levels)]
    zero = np.repeat(grid.zero, grid.block, 0)[: len(levels)]
    back: _Float = (levels - zero) * scale
    return back


def pack(levels: _Float) -> NDArray[np.uint8]:
    """Put two levels in a byte, the first one low: [..., n] to [..., (n + 1) // 2]."""
    whole = levels.astype(np.uint8)
    if whole.shape[-1] % 2:
        whole = np.concatenate([whole, np.zeros_like(whole[..., :1])], -1)
    return whole[..., ::2] | (whole[..., 1::2] << np.uint8(4))


class _Rounding:
    """A graph's nodes and initializers while its weights are rounded."""

    def __init__(
        self, model: onnx.ModelProto, calibration: Calibration | None, block: int
    ) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._calibration = calibration
        self._block = block
        self._tensors = {t.name: t for t in model.graph.initializer}
        self._nodes: dict[str, list[onnx.NodeProto]] = {
            node.name: [node] for node in self._model.graph.node
        }
        self._bias_behind = biases_behind(model)

    def add(self, product: Product) -> None:
        """Round a product's weights."""
        assert product.weight is not None
        exact = np.asarray(
            numpy_helper.to_array(self._tensors.pop(product.weight)), np.float64
        )
        if product.operator == "Conv":
            self._add_kernel(product, product.weight, exact)
            return
        seen = self._calibration and self._calibration.values.get(product.value)
        grid = choose_grid(exact, self._block)
        levels = round_to_grid(exact, grid, seen.inputs if seen else None)
        if seen and (bias := self._bias_behind.get(product.output)):
            lost = seen.mean @ (exact - values_of_levels(levels, grid))
            corrected = numpy_helper.to_array(self._tensors[bias]) + lost
            self._put(bias, corrected.astype(np.float32))
        self._add_matrix(product, product.weight, levels, grid)

    def finish(self) -> onnx.ModelProto:
        """Return the checked graph."""
        graph = self._model.graph
        nodes = [node for group in self._nodes.values() for node in group]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(self._tensors.values())
        if any(node.domain == _DOMAIN for node in nodes):
            self._model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
        onnx.checker.check_model(self._model)
        return self._model

    def _add_matrix(
        self, product: Product, weight: str, levels: _Float, grid: Grid
    ) -> None:
        n_in, n_out = levels.shape
        by_output = _in_blocks(levels, grid.block).transpose(2, 0, 1)
        stored = [
            self._put(f"{weight}.u4", pack(by_output)),
            self._put(f"{weight}.scale_u4", grid.scale.T.ravel()),
            self._put(f"{weight}.zero_u4", pack(grid.zero.T).ravel()),
        ]
        node = helper.make_node(
            "MatMulNBits",
            [product.value, *stored],
            [product.output],
            product.node,
            domain=_DOMAIN,
            K=n_in,
            N=n_out,
            bits=4,
            block_size=grid.block,
        )
        self._nodes[product.node] = [node]

    def _add_kernel(self, product: Product, weight: str, exact: _Float) -> None:
        levels, scale = round_kernels(exact, 127)  # computed in fp32: no pairs
        stored = [
            self._put(f"{weight}.s8", levels),
            self._put(f"{weight}.scale_s8", scale),
        ]
        rounded = f"{weight}.rounded"
        (node,) = self._nodes[product.node]
        node.input[1] = rounded
        exactly = helper.make_node(
            "DequantizeLinear", stored, [rounded], rounded, axis=0
        )
        self._nodes[product.node] = [exactly, node]

    def _put(self, name: str, values: NDArray[np.generic]) -> str:
        self._tensors[name] = numpy_helper.from_array(values, name)
        return name


def _in_blocks(rows: _Float, block: int) -> _Float:
    """Cut [in, out] into [blocks, block, out], the last one filled up with zeros."""
    missing = -len(rows) % block
    filled = np.pad(rows, ((0, missing), (0, 0)))
    return filled.reshape(-1, block, rows.shape[1])


def _nearest(values: _Float, scale: NDArray[np.float32], zero: _Float) -> _Float:
    levels = np.clip(np.rint(values / scale + zero), 0, _TOP)
    back: _Float = (levels - zero) * scale
    return back
