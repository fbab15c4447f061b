"""Energy consumption of the processor from its counters (RAPL on Linux)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class EnergyMeter:
    """Energy counters of the processor's packages; they include all running programs.

    Attributes:
        counters: Largest value of each counter file, in microjoules, by path; then the
            counter wraps around.
        why_not: Reason for missing counters, `-` if the machine has none; None if there
            are counters.
    """

    counters: dict[Path, int]
    why_not: str | None = None

    def read(self) -> tuple[int, ...]:
        """Return the value of every counter, in microjoules."""
        return tuple(int(path.read_text()) for path in self.counters)

    def joules_since(self, before: tuple[int, ...]) -> float:
        """Return the energy consumed since `read` returned `before`, in joules."""
        spans = zip(before, self.read(), self.counters.values(), strict=True)
        # Counters wrap around, within minutes on a large machine.
        return sum((now - then) % (top + 1) for then, now, top in spans) / 1e6


def find_meter(powercap: Path = _POWERCAP) -> EnergyMeter:
    """Return a meter of all packages, without subzones and without the platform."""
    counters: dict[Path, int] = {}
    try:
        # AMD's zones are named `intel-rapl:0` too. `intel-rapl:0:0` is a subzone of it,
        # and the zone `psys` includes it: both would count energy twice.
        for zone in sorted(powercap.glob("intel-rapl:*")):
            if (zone / "name").read_text().startswith("package"):
                counter = zone / "energy_uj"
                counter.read_text()
                counters[counter] = int((zone / "max_energy_range_uj").read_text())
    except PermissionError:
        return EnergyMeter({}, "not readable (needs root)")
    except (OSError, ValueError) as error:
        return EnergyMeter({}, f"not readable ({error})")
    return EnergyMeter(counters, None if counters else "-")
