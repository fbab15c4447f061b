"""Energy that the processor draws, where the machine tells (RAPL on Linux)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class EnergyMeter:
    """Counters of the processor's packages; all that runs on them is in the figure.

    Attributes:
        counters: File that counts microjoules -> where it starts over.
        why_not: Why there is no figure: `-` where nothing tells, else words.
    """

    counters: dict[Path, int]
    why_not: str | None = None

    def read(self) -> tuple[int, ...]:
        """Return every counter, in microjoules."""
        return tuple(int(path.read_text()) for path in self.counters)

    def joules_since(self, before: tuple[int, ...]) -> float:
        """Return what was drawn since `read` returned that."""
        spans = zip(before, self.read(), self.counters.values(), strict=True)
        # They start over, within minutes on a large machine.
        return sum((now - then) % (top + 1) for then, now, top in spans) / 1e6


def find_meter(powercap: Path = _POWERCAP) -> EnergyMeter:
    """Return the counters of all packages, and of nothing inside or around them."""
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
