"""Parity check of graph and torch network, on real recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from espressivo.errors import ExportError
from espressivo.training.clips.preprocess import condition
from espressivo.training.export.checks.drift import drifting_state
from espressivo.training.export.recordings import SHORTEST, WINDOW
from espressivo.training.export.session import open_proto
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx
    import onnxruntime as ort
    from numpy.typing import NDArray

    from espressivo.training.config import SignalConfig
    from espressivo.training.fit.voice_fit import VoiceProjection
    from espressivo.training.networks.network import EmotionNetwork, Frames
    from espressivo.types import Signal

# Rounding alone gives about 5e-7 (docs/export.md).
LARGEST_DRIFT = 1e-4
"""Largest difference of a probability between the fp32 graph and torch."""

LARGEST_VOICE_DRIFT = 1e-3
"""Largest difference of a voice vector, in standard deviations of a window."""

_N_VOICES = 16  # recordings

# Not multiples of a hop nor of an encoder frame, and the shortest and longest allowed.
_LENGTHS = (SHORTEST, SHORTEST + 1, 15_999, 24_239, 40_161, 77_777, WINDOW - 1, WINDOW)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two graphs' probabilities on the same recordings.

    Attributes:
        n: Number of recordings.
        top1: Share of recordings with the same most probable emotion.
        mean: Largest change of a probability, mean over the recordings.
        p95: Largest change of a probability, 95th percentile.
        worst: Largest change of a probability, maximum.
    """

    n: int
    top1: float
    mean: float
    p95: float
    worst: float


def require_parity(
    network: EmotionNetwork,
    model: onnx.ModelProto,
    temperature: float,
    recordings: Sequence[Signal],
    signal: SignalConfig | None = None,
) -> float:
    """Return the largest drift of a probability from torch's, over several lengths.

    Args:
        network: The network that the graph was written from.
        model: The graph, in fp32.
        temperature: Divisor of the network's logits.
        recordings: Windows as they are read. The network gets them conditioned as
            `signal` says, which the graph does by itself.
        signal: The same as `to_onnx` got.

    Raises:
        ExportError: The drift exceeds `LARGEST_DRIFT`, or a result is not finite.
    """
    session = open_proto(model)
    lengths = _lengths(network)
    sound = np.concatenate([*recordings, *recordings])
    # Repeated until the longest window fits, however short the recordings are.
    sound = np.resize(sound, max(len(sound), 2 * WINDOW))
    spread = np.linspace(0, len(sound) - WINDOW, len(lengths)).astype(int)
    worst = 0.0
    for start, length in zip(spread.tolist(), lengths, strict=True):
        window = sound[start : start + length]
        samples = window[None]
        conditioned = condition(window, signal)[None] if signal else samples
        with torch.inference_mode():
            logits = network.eval()(torch.from_numpy(conditioned))
        # In float64, so that all of the drift is from the graph and the logits.
        wanted = (logits.double() / temperature).softmax(-1).numpy()
        drift = float(np.abs(_run(session, samples) - wanted).max())
        if not drift <= LARGEST_DRIFT:  # also when it is not a number
            layer = drifting_state(network, model, samples, conditioned, LARGEST_DRIFT)
            raise ExportError(
                f"the fp32 graph's probabilities are {drift:.2g} from torch's on "
                f"{length} samples, not at most {LARGEST_DRIFT:g}; {layer}; "
                "this is a defect of the exporter: report it"
            )
        worst = max(worst, drift)
    # Divisions by a peak or a deviation and logarithms could fail there.
    for length in (SHORTEST, WINDOW):
        silence = _run(session, np.zeros((1, length), np.float32))
        if not np.isfinite(silence).all():
            raise ExportError(
                f"{length} samples of digital silence give no finite probabilities; "
                "this is a defect of the exporter: report it"
            )
    return worst


def require_voice_parity(
    network: EmotionNetwork,
    model: onnx.ModelProto,
    projection: VoiceProjection,
    recordings: Sequence[Signal],
    signal: SignalConfig | None = None,
) -> float:
    """Return the largest drift of a voice vector from what was fitted.

    Args:
        network: The network that the graph was written from.
        model: The graph in fp32, with its output `voice`.
        projection: The fitted projection.
        recordings: Windows as they are read, of which the first few are compared.
        signal: The same as `to_onnx` got.

    Raises:
        ExportError: The drift exceeds `LARGEST_VOICE_DRIFT`.
    """

    def voices(frames: Frames) -> NDArray[np.floating[Any]]:
        pooled = network.pooled(frames)
        embedding = network.standardize(pooled)
        logits = network.classify(embedding)
        raised = network.background(logits, embedding)
        speech = (logits.logsumexp(-1) - raised.logsumexp(-1)).exp()
        return projection.voices(pooled.numpy(), 1 - speech.numpy())

    drift = _drift_of("voice", network, model, recordings, signal, voices)
    if not drift <= LARGEST_VOICE_DRIFT:  # also when it is not a number
        raise ExportError(
            f"the fp32 graph's voice vectors are {drift:.2g} from what was fitted, not "
            f"at most {LARGEST_VOICE_DRIFT:g}; this is a defect of the exporter: "
            "report it"
        )
    return drift


def require_dimension_parity(
    network: EmotionNetwork,
    model: onnx.ModelProto,
    recordings: Sequence[Signal],
    signal: SignalConfig | None = None,
) -> float:
    """Return the largest drift of a dimension from torch.

    Args:
        network: The network that the graph was written from.
        model: The graph in fp32, with its output `dimensions`.
        recordings: Windows as they are read, of which the first few are compared.
        signal: The same as `to_onnx` got.

    Raises:
        ExportError: The drift exceeds `LARGEST_DRIFT`.
    """

    def levels(frames: Frames) -> NDArray[np.floating[Any]]:
        return network.levels(frames).numpy()

    drift = _drift_of("dimensions", network, model, recordings, signal, levels)
    if not drift <= LARGEST_DRIFT:  # also when it is not a number
        raise ExportError(
            f"the fp32 graph's dimensions are {drift:.2g} from torch's, not at most "
            f"{LARGEST_DRIFT:g}; this is a defect of the exporter: report it"
        )
    return drift


def _drift_of(  # noqa: PLR0917 - what both sides compute, and from what
    output: str,
    network: EmotionNetwork,
    model: onnx.ModelProto,
    recordings: Sequence[Signal],
    signal: SignalConfig | None,
    wanted: Callable[[Frames], NDArray[np.floating[Any]]],
) -> float:
    """Return the largest drift of an output of a graph on the first recordings.

    Args:
        output: Name of the output.
        network: The network that the graph was written from.
        model: The graph in fp32.
        recordings: Windows as they are read.
        signal: The same as `to_onnx` got.
        wanted: Function from the output of the network's front to what is expected.
    """
    session = open_proto(model)
    network.eval()
    drift = np.float64(0)
    for window in recordings[:_N_VOICES]:
        conditioned = condition(window, signal) if signal else window
        with torch.inference_mode():
            expected = wanted(network.front(torch.tensor(conditioned[None])))
        (found,) = session.run([output], {"samples": window[None]})
        # Of a number and NaN, NaN is the larger.
        drift = np.maximum(drift, np.abs(found - expected).max())
    return float(drift)


def _lengths(network: EmotionNetwork) -> list[int]:
    """Return the lengths to compare at, including those around a fixed window."""
    if network.config.padding != "fixed":
        return list(_LENGTHS)
    n_samples = round(network.config.window_s * SAMPLE_RATE)
    around = {n_samples - 1, n_samples, n_samples + 1}
    return sorted({*_LENGTHS, *(n for n in around if SHORTEST <= n <= WINDOW)})


def require_rows(model: onnx.ModelProto, recordings: Sequence[Signal]) -> float:
    """Return the largest drift of batch rows from the same recordings run alone.

    Raises:
        ExportError: The drift exceeds `LARGEST_DRIFT`.
    """
    session = open_proto(model)
    sound = np.resize(np.concatenate(list(recordings)), 3 * 2 * SAMPLE_RATE)
    batch = sound.reshape(3, -1)
    together = _run(session, batch)
    alone = np.concatenate([_run(session, row[None]) for row in batch])
    drift = float(np.abs(together - alone).max())
    if not drift <= LARGEST_DRIFT:
        raise ExportError(
            f"a row of a batch is {drift:.2g} from the same recording alone, not at "
            f"most {LARGEST_DRIFT:g}; this is a defect of the exporter: report it"
        )
    return drift


def compare_graphs(
    fp32: onnx.ModelProto, other: onnx.ModelProto, recordings: Sequence[Signal]
) -> Agreement:
    """Return the agreement of two graphs on the same recordings."""
    return agreement_of(
        probabilities(fp32, recordings), probabilities(other, recordings)
    )


def agreement_of(
    wanted: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]
) -> Agreement:
    """Compare probabilities [N, emotions] of the same recordings."""
    change = np.abs(found - wanted).max(1)
    return Agreement(
        n=len(change),
        top1=float((found.argmax(1) == wanted.argmax(1)).mean()),
        mean=float(change.mean()),
        p95=float(np.percentile(change, 95)),
        worst=float(change.max()),
    )


def probabilities(
    model: onnx.ModelProto, recordings: Sequence[Signal]
) -> NDArray[np.float32]:
    """Return the probabilities [N, emotions] of recordings, each alone."""
    session = open_proto(model)
    return np.concatenate([_run(session, signal[None]) for signal in recordings])


def _run(
    session: ort.InferenceSession, samples: NDArray[np.float32]
) -> NDArray[np.float32]:
    (found,) = session.run(["probabilities"], {"samples": samples})
    return np.asarray(found, np.float32)
