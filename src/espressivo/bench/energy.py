"""Energy that the processor draws, where it has counters (RAPL on Linux)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class EnergyMeter:
    """Energy counters of the processor's packages, which count all that runs on them.

    Attributes:
        counters: File that counts microjoules -> the value at which it wraps around.
        why_not: Why there is no figure: `-` where there are no counters, else words.
    """

    counters: dict[Path, int]
    why_not: str | None = None

    def read(self) -> tuple[int, ...]:
        """Return every counter, in microjoules."""
        return tuple(int(path.read_text()) for path in self.counters)

    def joules_since(self, before: tuple[int, ...]) -> float:
        """Return the joules drawn since `read` returned `before`."""
        spans = zip(before, self.read(), self.counters.values(), strict=True)
        # Counters wrap around, within minutes on a large machine.
        return sum((now - then) % (top + 1) for then, now, top in spans) / 1e6


def find_meter(powercap: Path = _POWERCAP) -> EnergyMeter:
    """Return the counters of all packages, without their parts or their sum."""
    counters: dict[Path, int] = {}
    try:
        # `intel-rapl:0` also on AMD; `intel-rapl:0:0` is a part of it, `psys` holds it.
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
