"""Count of a network's operations, which is the same on every machine."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv3d}
_PRODUCTS = {
    *(torch.matmul, torch.mm, torch.bmm),
    *(Tensor.matmul, Tensor.mm, Tensor.bmm, Tensor.__matmul__),
}


class OperationCounter(TorchFunctionMode):
    """Counts the multiply-accumulates of everything that is computed within it.

    Matrix products, convolutions and attention are counted; everything else (norms,
    activations, Fourier transforms) is small beside them. The gradients of a product
    take as many operations as the product, for each of its factors that needs one. They
    are counted with the product, by shapes alone, and need not be computed.

    Attributes:
        forward: Multiply-accumulates of the products.
        backward: Multiply-accumulates of their gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forward = self.backward = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute `function`, and count it."""
        result = function(*args, **(kwargs or {}))
        if function is functional.linear:
            self._count(result.numel() * args[1].shape[-1], args[0], args[1])
        elif function in _CONVOLUTIONS:
            # Channels of one group, times the size of the kernel.
            self._count(result.numel() * prod(args[1].shape[1:]), args[0], args[1])
        elif function in _PRODUCTS:
            self._count(result.numel() * args[0].shape[-1], args[0], args[1])
        elif function is functional.scaled_dot_product_attention:
            query, key, value = args[:3]
            n_scores = prod(query.shape[:-1]) * key.shape[-2]
            self._count(n_scores * query.shape[-1], query, key)
            scores = query if query.requires_grad else key
            self._count(n_scores * value.shape[-1], scores, value)
        return result

    def _count(self, n: int, left: Tensor, right: Tensor) -> None:
        self.forward += n
        if torch.is_grad_enabled():
            self.backward += n * (left.requires_grad + right.requires_grad)
