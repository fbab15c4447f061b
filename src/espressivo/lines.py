"""An estimate as one line of JSON, as it is told while someone speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from espressivo.report import round_to_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.types import Emotion, Estimate


def line_of(
    estimate: Estimate, emotions: Sequence[Emotion], now_s: float
) -> dict[str, Any]:
    """Return what `espressivo listen --lines` prints of an estimate.

    Args:
        estimate: Of a stream.
        emotions: The order of its probabilities.
        now_s: How much of the stream has come in, in seconds.
    """
    best = estimate.probabilities.index(max(estimate.probabilities))
    shown = round_to_one(estimate.probabilities)
    return {
        "at_s": round(now_s, 3),
        "start_s": round(estimate.segment.start_s, 3),
        "end_s": round(estimate.segment.end_s, 3),
        "provisional": estimate.provisional,
        "emotion": emotions[best],
        "probabilities": dict(zip(emotions, shown, strict=True)),
    }
