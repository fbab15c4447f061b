"""What each bundled model says in Python of windows of the note, for the goldens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.model.classifier import load_classifier
from espressivo.model.find import bundled_models, find_model

if TYPE_CHECKING:
    from espressivo.types import Signal

# First sample, number of samples, gain: short, long, quiet, and without speech at last.
WINDOWS = (
    (0, 72_000, 1.0),
    (4_000, 8_000, 1.0),
    (8_000, 24_000, 0.01),
    (0, 16_000, 0.0),
)


def models(note: Signal) -> dict[str, Any]:
    """Return probabilities and dimensions of the windows, by the model's name."""
    windows = [gain * note[start : start + n] for start, n, gain in WINDOWS]
    found = {}
    for name in bundled_models():
        classifier = load_classifier(find_model(name))
        outputs = ("probabilities", "dimensions")
        rows = [
            classifier.run(window[np.newaxis].astype(np.float32), *outputs)
            for window in windows
        ]
        found[name] = [
            {
                o: np.round(row[0].astype(float), 5).tolist()
                for o, row in zip(outputs, each, strict=True)
            }
            for each in rows
        ]
    return {"windows": WINDOWS, "found": found}
