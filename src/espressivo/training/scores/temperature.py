"""Temperature scaling: softmax, fit of a temperature, and `temperature.json`.

The fitted temperature of a run is in `temperature.json` of its folder; `crossval`,
`calibrate` and `export` write and read it here.

Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import TrainingError
from espressivo.files.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.scores.metrics import Floats, Labels, Probabilities

TEMPERATURE = "temperature.json"

_HOTTEST = 100.0


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> Floats:
    """Return the probabilities [N, C] of logits [N, C] divided by a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    # Without the shift, exp would overflow at low temperatures.
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    probabilities: Floats = powers / powers.sum(1, keepdims=True)
    return probabilities


def to_logits(probabilities: Probabilities) -> Floats:
    """Return logits [N, C] whose softmax is `probabilities`."""
    # A probability of 0 would be a logit of -inf at every temperature.
    logits: Floats = np.log(np.maximum(probabilities, 1e-12))
    return logits


def fit_temperature(
    logits: NDArray[np.floating[Any]],
    labels: Labels,
    weights: NDArray[np.floating[Any]] | None = None,
) -> float:
    """Return the temperature at which softmax(logits / temperature) has least log loss.

    Args:
        logits: Logits of speakers outside the training part, float [N, C].
        labels: int [N], N > 0.
        weights: Weight of each utterance, float [N]; equal if None.

    Returns:
        A temperature in 0.01..100; near the lower end if all predictions are right,
        since the loss then has no minimum.
    """
    z = np.asarray(logits, np.float64)
    wanted = np.average(z[np.arange(len(z)), labels], weights=weights)

    def slope(inverse: float) -> float:
        # The loss is convex in 1 / temperature; this is its derivative.
        expected = (softmax(z, 1 / inverse) * z).sum(1)
        return float(np.average(expected, weights=weights) - wanted)

    # Bisection of the logarithm: 60 halvings of 9.2 are below the float64 step.
    low, high = -np.log(_HOTTEST), np.log(_HOTTEST)
    for _ in range(60):
        middle = (low + high) / 2
        if slope(float(np.exp(middle))) <= 0:
            low = middle
        else:
            high = middle
    return float(np.exp(-(low + high) / 2))


def fit_model_temperature(
    logits: NDArray[np.floating[Any]],
    labels: Labels,
    weights: NDArray[np.floating[Any]] | None = None,
) -> float:
    """Return what `fit_temperature` does, but 1 if all predictions are right.

    These do not determine a temperature, and the lowest one would make a model certain
    of everything because of a few easy recordings.
    """
    if (np.asarray(logits).argmax(1) == labels).all():
        return 1.0
    return fit_temperature(logits, labels, weights)


def write_temperature(run: Path, fitted: Mapping[str, Any]) -> None:
    """Write `temperature.json` into a run folder, atomically.

    Args:
        run: The run folder.
        fitted: Content of the file: `temperature`, `fitted` (the data it was fitted
            to), and further keys.
    """
    write_text(json.dumps(fitted, indent=2) + "\n", run / TEMPERATURE)


def read_temperature(run: Path) -> dict[str, Any]:
    """Read `temperature.json` of a run folder.

    Returns:
        The content of the file; `temperature` is a float, and 1 if the run has no such
        file.

    Raises:
        TrainingError: The file contains no temperature.
    """
    path = run / TEMPERATURE
    if not path.is_file():
        return {"temperature": 1.0, "fitted": "not fitted"}
    try:
        found = dict(json.loads(path.read_text("utf-8")))
        return found | {"temperature": float(found["temperature"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: is no JSON object with a number 'temperature'; "
            "fit it again, or pass --temperature"
        ) from error
