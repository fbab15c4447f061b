"""Check of stored weights against the tensors of a network."""

from collections.abc import Mapping

from torch import Tensor

from espressivo.errors import TrainingError


def require_tensors(
    stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str, remedy: str
) -> None:
    """Raise an error if a wanted tensor is not stored, or has another shape.

    Raises:
        TrainingError: A tensor is missing or misshapen; `remedy` ends the message.
    """
    for name, tensor in wanted.items():
        if name not in stored:
            raise TrainingError(f"{source}: holds no tensor '{name}'{remedy}")
        if stored[name].shape != tensor.shape:
            raise TrainingError(
                f"{source}: '{name}' is {tuple(stored[name].shape)}, not "
                f"{tuple(tensor.shape)}{remedy}"
            )
