"""Measurement of several models: time, first result, memory, energy, operators."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from espressivo.bench.energy import find_meter
from espressivo.bench.fresh import first_result_s, peak_bytes_of
from espressivo.bench.profiling import profile
from espressivo.bench.report import BenchReport, Machine, ModelCost
from espressivo.bench.timing import in_turn, open_all, seconds_of
from espressivo.errors import ModelError
from espressivo.machine import n_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from espressivo.bench.energy import EnergyMeter
    from espressivo.bench.profiling import GraphProfile
    from espressivo.bench.subject import Subject
    from espressivo.types import Progress


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """Options of the measurement.

    Attributes:
        seconds: Length of the window, in seconds.
        rounds: Number of timings per model, interleaved with the other models.
        threads: Number of threads of the second timing; None: one per core; 1: no
            second timing.
        starts: Number of starts of each model in a fresh process.
        runs: Number of runs per profile.
    """

    seconds: float = 8.0
    rounds: int = 21
    threads: int | None = None
    starts: int = 5
    runs: int = 5


def bench(
    subjects: Sequence[Subject],
    options: BenchOptions | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Return the costs of models; their timings are interleaved.

    Args:
        subjects: Models to measure, at least one; ratios are relative to the first.
        options: Options of the measurement; None: the defaults.
        progress: Callback with the number of measurements done and their total.

    Raises:
        ModelError: A graph does not load, or is not meant for such a window.
    """
    options = options or BenchOptions()
    _require_length(subjects, options.seconds)
    machine = Machine.this()  # first, so that its load is only that of other programs
    measure = _Measure(subjects, options, progress)
    one, joules = measure.times(1)
    # Only its times: joules are given for a single thread.
    many = measure.times(measure.threads)[0] if measure.threads > 1 else {}
    first = measure.first_results()
    costs = []
    for subject in subjects:
        cost = ModelCost(
            name=subject.name,
            sha256=hashlib.sha256(subject.path.read_bytes()).hexdigest(),
            bytes=subject.bytes,
            n_parameters=subject.n_parameters,
            times_s=one[subject.name],
            threaded_times_s=many.get(subject.name, ()),
            first_results_s=first[subject.name],
            peak_bytes=measure.peak_bytes(subject),
            joules_per_s=joules.get(subject.name),
            profile=measure.profile(subject),
            ua=subject.ua,
        )
        costs.append(cost)
    return BenchReport(
        machine=machine,
        seconds=options.seconds,
        threads=measure.threads,
        no_energy=measure.meter.why_not,
        models=tuple(costs),
    )


def _require_length(subjects: Sequence[Subject], seconds: float) -> None:
    for subject in subjects:
        low, high = subject.limits_s or (seconds, seconds)
        if not low <= seconds <= high:
            raise ModelError(
                f"{subject.name}: is meant for {low:g} to {high:g} s, not "
                f"{seconds:g} s; pass --seconds within that"
            )


class _Measure:
    """Measurements of all models, with progress reports."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        options: BenchOptions,
        progress: Progress | None,
    ) -> None:
        self.subjects, self.options, self.progress = subjects, options, progress
        self.threads = options.threads or n_cores()
        self.meter = find_meter()
        timings = (1 + options.rounds) * (2 if self.threads > 1 else 1)
        # Per model: timings, starts (plus one warm-up), a peak memory and a profile.
        self._total = len(subjects) * (timings + 1 + options.starts + 2)
        self._done = 0

    def _step(self) -> None:
        self._done += 1
        if self.progress is not None:
            self.progress(self._done, self._total)

    def times(
        self, threads: int
    ) -> tuple[dict[str, tuple[float, ...]], dict[str, float]]:
        """Return, by model, seconds per round, and joules per second of audio.

        Energies are empty if the machine has no readable counters.
        """
        graphs = {subject.name: subject.path for subject in self.subjects}
        runs = open_all(graphs, self.options.seconds, threads)
        found = in_turn(
            {name: partial(_cost, run, self.meter) for name, run in runs.items()},
            self.options.rounds,
            self._step,
        )
        times = {name: tuple(s for s, _ in pairs) for name, pairs in found.items()}
        if self.meter.why_not is not None:
            return times, {}
        # Per second of audio, so that benchmarks with other windows compare.
        audio_s = self.options.rounds * self.options.seconds
        return times, {
            name: sum(joules for _, joules in pairs) / audio_s
            for name, pairs in found.items()
        }

    def first_results(self) -> dict[str, tuple[float, ...]]:
        """Return the times from process start to first result, by model, in seconds."""
        found = in_turn(
            {
                subject.name: partial(first_result_s, subject, self.options.seconds)
                for subject in self.subjects
            },
            self.options.starts,
            self._step,
        )
        return {name: tuple(values) for name, values in found.items()}

    def peak_bytes(self, subject: Subject) -> int | None:
        """Return the peak memory that a model adds to a process, in bytes."""
        found = peak_bytes_of(subject.path, self.options.seconds, subject.name)
        self._step()
        return found

    def profile(self, subject: Subject) -> GraphProfile:
        """Return the profile of a model's operators."""
        seconds, runs = self.options.seconds, self.options.runs
        found = profile(subject.path, seconds, runs, name=subject.name)
        self._step()
        return found


def _cost(run: Callable[[], object], meter: EnergyMeter) -> tuple[float, float]:
    """Return the duration (seconds) and the energy (joules) of a call."""
    before = meter.read()
    seconds = seconds_of(run)
    return seconds, meter.joules_since(before)
