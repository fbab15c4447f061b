"""Timing of several graphs in interleaved rounds."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from espressivo.bench.window_runner import open_samples_graph, window_runner
from espressivo.model.session import session_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")


def time_graphs(
    graphs: Mapping[str, bytes],
    seconds: float = 8.0,
    threads: int = 1,
    rounds: int = 21,
) -> dict[str, list[float]]:
    """Time one window through each graph in turn, so that load slows all alike.

    To compare two graphs, divide their lists round by round and take the median.

    Args:
        graphs: Name -> content of the ONNX file.
        seconds: Length of the window.
        threads: Threads of onnxruntime, for each graph.
        rounds: How often each is timed, after one run that does not count.

    Returns:
        Name -> seconds that each round took, [rounds].

    Raises:
        ModelError: A graph does not load, or does not take such a window.
        ValueError: Fewer than one round.
    """
    runs = open_all(graphs, seconds, threads)
    return in_turn(
        {name: partial(seconds_of, run) for name, run in runs.items()}, rounds
    )


def seconds_of(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def open_all(
    graphs: Mapping[str, bytes] | Mapping[str, Path], seconds: float, threads: int
) -> dict[str, Callable[[], object]]:
    """Load each graph; return a function per graph that runs one window.

    Raises:
        ModelError: A graph does not load, or does not take such a window.
    """
    return {
        name: window_runner(
            open_samples_graph(graph, session_options(threads), name), seconds, name
        )
        for name, graph in graphs.items()
    }


def in_turn(
    measures: Mapping[str, Callable[[], T]],
    rounds: int,
    on_step: Callable[[], None] | None = None,
) -> dict[str, list[T]]:
    """Call each measure once a round, starting with a different one each time.

    Args:
        measures: Name -> function that measures once.
        rounds: Number of rounds, after one more that does not count.
        on_step: Called after every measurement.

    Returns:
        Name -> its measurements, [rounds].

    Raises:
        ValueError: Fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; wanted 1 or more")
    found: dict[str, list[T]] = {name: [] for name in measures}
    order = list(measures)
    for _ in range(1 + rounds):
        for name in order:
            found[name].append(measures[name]())
            if on_step is not None:
                on_step()
        # Who comes after whom decides what is still in the processor's cache.
        order = [*order[1:], order[0]]
    return {name: values[1:] for name, values in found.items()}
