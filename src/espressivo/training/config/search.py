"""The `[search]` section of an experiment: which students are tried, and how long."""

from __future__ import annotations

from dataclasses import dataclass

from espressivo.training.networks.config import Head  # noqa: TC001 - read at run time


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """Shapes of students that `espressivo compress search` tries.

    A list that is empty leaves the setting as [network] has it; if all are, the space
    is that of the network's kind, see `compress.search.space`.

    Attributes:
        epochs: Epochs of a trial, a proxy of `training.epochs`.
        width: Values of `network.width`.
        n_layers: Values of `network.n_layers`.
        head: Values of `network.head`.
    """

    epochs: int = 3
    width: tuple[int, ...] = ()
    n_layers: tuple[int, ...] = ()
    head: tuple[Head, ...] = ()
