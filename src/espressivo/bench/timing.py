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
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the times of one window through each graph, in interleaved rounds.

    Interleaving makes the load of the machine affect all graphs alike. To compare two
    graphs, divide their lists round by round and take the median.

    Args:
        graphs: Content of the ONNX files by name.
        seconds: Length of the window, in seconds.
        threads: Number of threads of onnxruntime.
        rounds: Number of rounds, after one warm-up round.
        clock: Clock in seconds. On one thread, `time.thread_time` leaves out the time
            in which the processor works for other programs.

    Returns:
        Seconds per round, [rounds], by name.

    Raises:
        ModelError: A graph does not load, or does not accept such a window.
        ValueError: `rounds` is less than 1.
    """
    runs = open_all(graphs, seconds, threads)
    return in_turn(
        {name: partial(seconds_of, run, clock) for name, run in runs.items()}, rounds
    )


def seconds_of(
    run: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the duration of a call, in seconds."""
    # A monotonic clock: the system's time may be set while a graph runs.
    began = clock()
    run()
    return clock() - began


def open_all(
    graphs: Mapping[str, bytes] | Mapping[str, Path], seconds: float, threads: int
) -> dict[str, Callable[[], object]]:
    """Return a function per graph that runs one window; the graphs are loaded.

    Raises:
        ModelError: A graph does not load, or does not accept such a window.
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
    """Return measurements taken in rounds, with a rotating order of the measures.

    Args:
        measures: Functions that measure once, by name.
        rounds: Number of rounds, after one warm-up round.
        on_step: Callback after every measurement.

    Returns:
        Measurements, [rounds], by name.

    Raises:
        ValueError: `rounds` is less than 1.
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
        # The order rotates, since the predecessor decides what is left in the cache.
        order = [*order[1:], order[0]]
    # The first round warms up allocators and caches.
    return {name: values[1:] for name, values in found.items()}
