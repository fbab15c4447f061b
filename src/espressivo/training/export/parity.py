"""Is the exported graph the network that was trained? Measured on real recordings."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper

from espressivo.errors import ExportError
from espressivo.training.export.recordings import SHORTEST, WINDOW
from espressivo.training.export.rounding import products_of, quantize_products
from espressivo.training.networks import WhisperNetwork
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from espressivo.training.export.calibration import Calibration
    from espressivo.types import Signal

LARGEST_DRIFT = 1e-4
"""Of a probability of the fp32 graph from torch's."""

# Not multiples of a hop nor of an encoder frame, and the shortest and longest allowed.
_LENGTHS = (SHORTEST, SHORTEST + 1, 15_999, 24_239, 40_161, 77_777, WINDOW - 1, WINDOW)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far one graph's probabilities are from another's on the same recordings.

    Attributes:
        n: Recordings.
        top1: Share of recordings with the same most probable emotion.
        mean: Largest change of a probability, mean over the recordings.
        p95: The same, 95th percentile.
        worst: The same, maximum.
    """

    n: int
    top1: float
    mean: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Time of one window of 8 s on one thread, of two graphs run in turn.

    Attributes:
        ratio: Median over rounds of this graph's time over the fp32 graph's.
        real_time_factor: Median time over 8 s.
        fp32_real_time_factor: The same of the fp32 graph.
    """

    ratio: float
    real_time_factor: float
    fp32_real_time_factor: float


def open_session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Open a graph as the runtime does: one thread, nothing printed."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def require_parity(
    network: nn.Module,
    model: onnx.ModelProto,
    temperature: float,
    recordings: Sequence[Signal],
) -> float:
    """Return the largest drift of a probability from torch's, over several lengths.

    Raises:
        ExportError: It exceeds `LARGEST_DRIFT`, or a result is not finite.
    """
    session = open_session(model)
    sound = np.concatenate([*recordings, *recordings])
    sound = np.resize(sound, max(len(sound), 2 * WINDOW))
    spread = np.linspace(0, len(sound) - WINDOW, len(_LENGTHS)).astype(int)
    worst = 0.0
    for start, length in zip(spread.tolist(), _LENGTHS, strict=True):
        samples = sound[None, start : start + length]
        with torch.inference_mode():
            logits = network.eval()(torch.from_numpy(samples))
        wanted = (logits.double() / temperature).softmax(-1).numpy()
        drift = float(np.abs(_run(session, samples) - wanted).max())
        if not drift <= LARGEST_DRIFT:  # also when it is not a number
            layer = drifting_state(network, model, samples)
            raise ExportError(
                f"the fp32 graph's probabilities are {drift:.2g} from torch's on "
                f"{length} samples, not at most {LARGEST_DRIFT:g}; {layer}; "
                "this is a defect of the exporter: report it"
            )
        worst = max(worst, drift)
    silence = _run(session, np.zeros((1, WINDOW), np.float32))
    if not np.isfinite(silence).all():
        raise ExportError("digital silence gives no finite probabilities; report it")
    return worst


def drifting_state(
    network: nn.Module, model: onnx.ModelProto, samples: NDArray[np.float32]
) -> str:
    """Say which hidden state is the first to leave torch's, for an error message."""
    if not isinstance(network, WhisperNetwork):
        return "its hidden states cannot be compared"
    names = [
        node.output[0] for node in model.graph.node if node.output[0][:7] == "hidden."
    ]
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    found = open_session(observed).run(names, {"samples": samples})
    with torch.inference_mode():
        states = network.encoder(network.logmel(torch.from_numpy(samples)))
    for name, state, other in zip(names, states, found, strict=False):
        scale = float(state.abs().max())
        drift = float(np.abs(state.numpy() - other).max()) / scale
        if not drift <= LARGEST_DRIFT:
            return f"{name} is the first state to drift, by {drift:.2g} of its peak"
    return "the encoder's states agree, so what follows them drifts"


def require_rows(model: onnx.ModelProto, recordings: Sequence[Signal]) -> float:
    """Return how far rows of a batch are from the same recordings alone.

    Raises:
        ExportError: Further than `LARGEST_DRIFT`.
    """
    session = open_session(model)
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


def compare(
    fp32: onnx.ModelProto, other: onnx.ModelProto, recordings: Sequence[Signal]
) -> Agreement:
    """Run two graphs over the same recordings."""
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
    session = open_session(model)
    return np.concatenate([_run(session, signal[None]) for signal in recordings])


def sensitivity(
    fp32: onnx.ModelProto, calibration: Calibration, recordings: Sequence[Signal]
) -> dict[str, float]:
    """Return the mean change of a probability with one product rounded at a time.

    The layer that changes most comes first.
    """
    wanted = probabilities(fp32, recordings)
    drift = {}
    for product in products_of(fp32):
        alone = quantize_products(fp32, calibration, [product])
        drift[product.name] = agreement_of(
            wanted, probabilities(alone, recordings)
        ).mean
    return dict(sorted(drift.items(), key=lambda pair: -pair[1]))


def measure_speed(
    fp32: onnx.ModelProto, other: onnx.ModelProto, signal: Signal, rounds: int = 21
) -> Speed:
    """Time both graphs on 8 s, in turn, so that a busy machine slows both alike."""
    samples = np.resize(signal, WINDOW)[None]
    sessions = [open_session(fp32), open_session(other)]
    seconds = np.zeros((rounds, 2))
    for row in seconds:
        for column, session in enumerate(sessions):
            began = time.perf_counter()
            _run(session, samples)
            row[column] = time.perf_counter() - began
    kept = seconds[1:]  # the first round warms up
    fp32_s, other_s = np.median(kept, axis=0).tolist()
    window_s = WINDOW / SAMPLE_RATE
    ratio = float(np.median(kept[:, 1] / kept[:, 0]))
    return Speed(ratio, other_s / window_s, fp32_s / window_s)


def _run(
    session: ort.InferenceSession, samples: NDArray[np.float32]
) -> NDArray[np.float32]:
    (found,) = session.run(["probabilities"], {"samples": samples})
    return np.asarray(found, np.float32)
