"""The space of a search: every shape that a student may have."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from espressivo.errors import ConfigError, TrainingError
from espressivo.training.config import SearchConfig
from espressivo.training.networks import build_network
from espressivo.training.networks.network import count_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.networks import NetworkConfig

Shape: TypeAlias = "dict[str, Any]"
"""Settings of [network] that a shape replaces, by name."""

Space: TypeAlias = "dict[str, list[Any]]"
"""Settings of [network] -> the values that each may have."""

MOST_SHAPES = 200

_DEFAULTS: dict[str, Space] = {
    "separable": {"width": [64, 96, 128, 192], "n_layers": [3, 4, 6, 8]},
    "whisper": {"width": [64, 128, 192, 256], "n_layers": [1, 2, 3, 4]},
}


def space_of(config: ExperimentConfig) -> Space:
    """Return the values of [search], or those of the network's kind without any.

    Raises:
        ConfigError: There is nothing to search, a value occurs twice, there are too
            many shapes, or the network has pretrained weights, which give its size.
    """
    names = [one.name for one in fields(SearchConfig) if one.name != "epochs"]
    given = {name: list(getattr(config.search, name)) for name in names}
    kind = config.network.kind
    space = {name: values for name, values in given.items() if values}
    space = space or _DEFAULTS.get(kind, {})
    if not space:
        raise ConfigError(
            f"[search] names nothing to search, and network.kind '{kind}' has no usual "
            f"space; give {' or '.join(names)} a list of values, or choose a kind of "
            f"{', '.join(_DEFAULTS)}"
        )
    if config.network.weights:
        raise ConfigError(
            f"network.weights is '{config.network.weights}', which gives the student "
            "its size, so that there is nothing to search; leave it out"
        )
    for name, values in space.items():
        if len(set(values)) < len(values):
            raise ConfigError(f"search.{name} is {values}; name each value once")
    if (n := prod(map(len, space.values()))) > MOST_SHAPES:
        raise ConfigError(
            f"[search] has {n} shapes, and each is measured; give fewer values, for "
            f"at most {MOST_SHAPES}"
        )
    return space


def shapes_of(space: Space) -> list[Shape]:
    """Return every shape of the space."""
    rows = product(*space.values())
    return [dict(zip(space, row, strict=True)) for row in rows]


def name_of(shape: Mapping[str, Any]) -> str:
    """Return a name of a shape, fit for a folder.

    >>> name_of({"width": 96, "n_layers": 4})
    'width-96_n_layers-4'
    """
    return "_".join(f"{name}-{value}" for name, value in shape.items())


def describe(shape: Mapping[str, Any]) -> str:
    """Return a shape in a sentence.

    >>> describe({"width": 96, "n_layers": 4})
    'width 96, n_layers 4'
    """
    return ", ".join(f"{name} {value}" for name, value in shape.items())


def network_config(config: ExperimentConfig, shape: Shape) -> NetworkConfig:
    """Return the settings of a student of this shape."""
    return replace(config.network, **shape)


def count_all(config: ExperimentConfig, shapes: list[Shape]) -> list[int]:
    """Return the number of parameters of each shape.

    Raises:
        ConfigError: The network does not have a shape.
    """
    return [
        count_parameters(build_network(network_config(config, shape)))[0]
        for shape in shapes
    ]


def require_smaller(
    shapes: list[Shape], n_parameters: list[int], teachers: Mapping[str, int]
) -> None:
    """Refuse a space with a student that is as large as all its teachers, or larger.

    Args:
        shapes: Shapes of the students.
        n_parameters: Number of parameters of each.
        teachers: Name of each teacher -> its number of parameters.

    Raises:
        TrainingError: A student has at least as many parameters as every teacher.
    """
    largest, name = max((n, name) for name, n in teachers.items())
    most = max(n_parameters)
    if most >= largest:
        shape = shapes[n_parameters.index(most)]
        raise TrainingError(
            f"a student of {describe(shape)} has {most:,} parameters, and its teacher "
            f"{name} {largest:,}; name smaller values in [search]"
        )
