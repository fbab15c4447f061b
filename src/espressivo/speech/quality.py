"""Quality of the sound, as far as it limits what can be heard in the voice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quality:
    """Properties of a recording's speech that limit the estimates.

    Attributes:
        bandwidth_hz: Highest frequency with speech; None without speech.
        level_db: Level of the speech (root mean square) in dB re full scale; None
            without speech.
        clipped: Share of the samples of the speech that are cut off, 0 to 1; None
            without speech.
        snr_db: Estimated ratio of speech to noise, in dB; None without speech.
    """

    bandwidth_hz: int | None = None
    level_db: float | None = None
    clipped: float | None = None
    snr_db: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return the quality, rounded as in the report's JSON."""
        return {
            "bandwidth_hz": self.bandwidth_hz,
            "level_db": _rounded(self.level_db, 1),
            "clipped": _rounded(self.clipped, 4),
            "snr_db": _rounded(self.snr_db, 1),
        }


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)
