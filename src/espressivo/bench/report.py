"""Report of a benchmark, as an object and as JSON."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Any, NamedTuple

import onnxruntime as ort

from espressivo.machine import (
    eight_bit_instructions,
    load_average,
    n_cores,
    processor_name,
)
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.bench.profiling import GraphProfile

SCHEMA = "espressivo.bench/1"
"""Name and version of the JSON schema of `BenchReport.to_dict`."""

WIDE = 0.10
"""Interquartile range over the median above which the report contains a warning."""


class Quartiles(NamedTuple):
    """Lower quartile, median and upper quartile of measurements."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        """Return the quartiles of one value or more."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*quantiles(values, n=4, method="inclusive"))

    @property
    def spread(self) -> float:
        """Interquartile range over the median."""
        return (self.high - self.low) / self.median


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and software that a benchmark ran on.

    Attributes:
        processor: Name of the processor.
        eight_bit_instructions: Instruction sets that speed up int8 matmuls.
        cores: Number of usable cores.
        load: Load average of the minute before the benchmark; None on Windows.
        system: Name of the operating system.
        python: Version of Python.
        onnxruntime: Version of onnxruntime.
    """

    processor: str
    eight_bit_instructions: tuple[str, ...]
    cores: int
    load: float | None
    system: str
    python: str
    onnxruntime: str

    @classmethod
    def this(cls) -> Machine:
        """Return the description of this machine with its current load."""
        return cls(
            processor=processor_name(),
            eight_bit_instructions=eight_bit_instructions(),
            cores=n_cores(),
            load=load_average(),
            system=platform.system(),
            python=platform.python_version(),
            onnxruntime=ort.__version__,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """Measured cost of one model.

    Attributes:
        name: Name in tables.
        sha256: SHA-256 of its graph.
        bytes: Size of its graph with external weights, in bytes.
        n_parameters: Number of parameters; None if unknown.
        times_s: Time of one window on one thread, in seconds, by round.
        threaded_times_s: Time of one window on all threads; empty without such rounds.
        first_results_s: Time from the start of Python to the first result, in seconds,
            by start.
        peak_bytes: Peak memory it adds to a process, in bytes; None on Windows.
        joules_per_s: Energy of the processor per second of audio on one thread; None
            without energy counters.
        profile: Cost of its operators on one thread.
        ua: Unweighted accuracy, 0 to 1, by corpus, from its card.
    """

    name: str
    sha256: str
    bytes: int
    n_parameters: int | None
    times_s: tuple[float, ...]
    threaded_times_s: tuple[float, ...]
    first_results_s: tuple[float, ...]
    peak_bytes: int | None
    joules_per_s: float | None
    profile: GraphProfile
    ua: dict[str, float]

    @property
    def time_s(self) -> Quartiles:
        """Quartiles of the time of one window on one thread."""
        return Quartiles.of(self.times_s)

    def ratio_to(self, other: ModelCost) -> Quartiles:
        """Return quartiles of the time ratios, computed round by round.

        Both models of a round ran under the same load, so ratios vary less than times.
        """
        pairs = zip(self.times_s, other.times_s, strict=True)
        return Quartiles.of([mine / theirs for mine, theirs in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """Costs of models measured together on one machine.

    Attributes:
        machine: The machine of the measurement.
        seconds: Length of the window, in seconds.
        threads: Number of threads of `ModelCost.threaded_times_s`.
        no_energy: Reason for missing energies; None if they were measured.
        models: Costs in the order of the arguments; ratios are relative to the first.
    """

    machine: Machine
    seconds: float
    threads: int
    no_energy: str | None
    models: tuple[ModelCost, ...]

    def real_time_factor(self, times_s: Sequence[float]) -> float:
        """Return the real-time factor: median time per second of audio."""
        return Quartiles.of(times_s).median / self.seconds

    def warnings(self) -> list[str]:
        """Return warnings about conditions that make the times unreliable."""
        found = []
        load = self.machine.load
        # The load was taken before the benchmark, so it is that of other programs.
        if load is not None and load > 0.2 * self.machine.cores:
            found.append(
                f"the machine was busy before this began (load {load:.1f}): "
                "go by ratios, not by times"
            )
        wide = [model.name for model in self.models if model.time_s.spread > WIDE]
        if wide:
            found.append(
                f"times of {', '.join(wide)} spread by more than {WIDE:.0%} between "
                "their quartiles: repeat on a quiet machine, or with more --rounds"
            )
        return found

    def to_dict(self, *, profiles: bool = False) -> dict[str, Any]:
        """Return the report, JSON-ready; `profiles` adds operators and nodes."""
        return {
            "schema": SCHEMA,
            "machine": asdict(self.machine),
            "seconds": self.seconds,
            "sample_rate_hz": SAMPLE_RATE,
            "threads": self.threads,
            "no_energy": self.no_energy,
            "warnings": self.warnings(),
            "models": [self._model(model, profiles=profiles) for model in self.models],
        }

    def _model(self, model: ModelCost, *, profiles: bool) -> dict[str, Any]:
        threaded = model.threaded_times_s
        found: dict[str, Any] = {
            "name": model.name,
            "sha256": model.sha256,
            "bytes": model.bytes,
            "n_parameters": model.n_parameters,
            "macs": model.profile.macs,
            "time_s": model.time_s._asdict(),
            "time_over_first": model.ratio_to(self.models[0])._asdict(),
            "real_time_factor": self.real_time_factor(model.times_s),
            "real_time_factor_threads": (
                self.real_time_factor(threaded) if threaded else None
            ),
            "first_result_s": Quartiles.of(model.first_results_s)._asdict(),
            "peak_bytes": model.peak_bytes,
            "joules_per_s": model.joules_per_s,
            "ua": model.ua,
            "times_s": list(model.times_s),
        }
        if profiles:
            found["operators"] = [asdict(o) for o in model.profile.by_operator()]
            found["nodes"] = [asdict(node) for node in model.profile.nodes]
        return found
