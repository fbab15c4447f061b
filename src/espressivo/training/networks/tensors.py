"""Stored weights beside those that a network wants."""

from collections.abc import Mapping

from torch import Tensor

from espressivo.errors import TrainingError


def require_tensors(
    stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str, remedy: str
) -> None:
    """Refuse stored weights that lack a wanted tensor, or have it in another shape.

    Raises:
        TrainingError: They do; `remedy` ends its message.
    """
    for name, tensor in wanted.items():
        if name not in stored:
            raise TrainingError(f"{source}: holds no tensor '{name}'{remedy}")
        if stored[name].shape != tensor.shape:
            raise TrainingError(
                f"{source}: '{name}' is {tuple(stored[name].shape)}, not "
                f"{tuple(tensor.shape)}{remedy}"
            )
