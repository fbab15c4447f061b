"""The report of a bench, as an object and as JSON."""

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
"""Name and version of the JSON that `BenchReport.to_dict` returns."""

WIDE = 0.10
"""Share of the median above which the distance of the quartiles is a warning."""


class Quartiles(NamedTuple):
    """The middle half of some measurements, and their median."""

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
        """Distance of the quartiles over the median."""
        return (self.high - self.low) / self.median


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a bench ran.

    Attributes:
        load: Processes that wanted a core in the minute before; None when not told.
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
        """Return this machine and its present load."""
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
    """The cost of one model.

    Attributes:
        name: Name in tables.
        sha256: Hash of its graph.
        bytes: Size of its graph.
        n_parameters: Trained numbers; None when not known.
        times_s: Time of one window on one thread, per round.
        threaded_times_s: The same on all threads; empty when that is one.
        first_results_s: Time from starting Python to the first result, per start.
        peak_bytes: Memory it adds to a process; None where the system does not tell.
        joules_per_s: The processor's energy for a second of audio on one thread;
            None where there are no counters.
        profile: Cost of its operators on one thread.
        ua: Corpus -> unweighted accuracy, 0..1, from its card.
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
        """Return quartiles of the time ratios, taken round by round."""
        pairs = zip(self.times_s, other.times_s, strict=True)
        return Quartiles.of([mine / theirs for mine, theirs in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """The cost of models on one machine, measured together.

    Attributes:
        machine: The machine that it was measured on.
        seconds: Length of the window.
        threads: Threads of `ModelCost.threaded_times_s`.
        no_energy: Why there is no energy; None when there is.
        models: In the order given; ratios are over the first.
    """

    machine: Machine
    seconds: float
    threads: int
    no_energy: str | None
    models: tuple[ModelCost, ...]

    def real_time_factor(self, times_s: Sequence[float]) -> float:
        """Return seconds of work for a second of audio, by the median."""
        return Quartiles.of(times_s).median / self.seconds

    def warnings(self) -> list[str]:
        """Return reasons why the times are less certain than they look."""
        found = []
        load = self.machine.load
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
        """Return all figures as JSON values; `profiles` adds every operator."""
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
