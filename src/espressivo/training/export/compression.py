"""Compression of the fp32 graph to int8 or fp16, with a check of the change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from espressivo.errors import ExportError
from espressivo.training.export import recordings
from espressivo.training.export.checks import parity
from espressivo.training.export.checks.drift import most_changed_state
from espressivo.training.export.options import unwatched
from espressivo.training.export.quantize.fp16 import halve_constants, to_fp16
from espressivo.training.export.quantize.quantizer import (
    Quantizer,
    calibrate_quantizer,
)
from espressivo.training.export.quantize.ranges import RANGE_METHOD
from espressivo.training.export.quantize.targets import (
    QuantizationTarget,
    find_targets,
    without,
)
from espressivo.training.export.report import MeasuredTarget
from espressivo.training.export.search.measurements import (
    Measurements,
    measured_on,
)
from espressivo.training.export.search.search import decision, search
from espressivo.training.export.search.sensitivity import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import onnx

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora import Utterance
    from espressivo.training.export.options import ExportOptions, StepProgress
    from espressivo.training.export.search.sensitivity import Effect
    from espressivo.types import Signal

Measured: TypeAlias = dict[str, Any]

# docs/quantization.md: our int8 changes 0.013, dynamic int8 of matmuls 0.034.
LARGEST_MEAN_CHANGE = 0.03
"""Largest mean change of a probability with which a model is still written."""

_N_FOR_SENSITIVITY = 40  # recordings: every target is run on all of them
_N_FOR_WORST_LAYER = 20


@dataclass(frozen=True, slots=True)
class ExportWindows:
    """Windows drawn from the training corpora, float32 at 16 kHz.

    Attributes:
        calibration: Windows for ranges and means of activations.
        checks: Other windows, on which graphs are compared.
    """

    calibration: list[Signal]
    checks: list[Signal]


def draw_windows(
    utterances: Sequence[Utterance], config: ExperimentConfig, options: ExportOptions
) -> ExportWindows:
    """Draw windows for calibration and for checks from a run's training utterances."""
    # Checks on recordings that calibrated would flatter; only a corpus too small for
    # both has no others.
    drawn, rest = recordings.draw(utterances, options.n_calibration, options.seed)
    checked = (rest or drawn)[: options.n_checks]
    return ExportWindows(
        recordings.calibration_windows(drawn, utterances, config, options.seed)
        if options.calibrates
        else [],
        recordings.check_windows(checked, config.signal),
    )


def compress(
    fp32: onnx.ModelProto,
    windows: ExportWindows,
    options: ExportOptions,
    progress: StepProgress,
) -> tuple[onnx.ModelProto, Measured]:
    """Return the graph in the requested precision, and measurements for the report.

    Raises:
        ExportError: Its probabilities would change by more than `LARGEST_MEAN_CHANGE`.
    """
    if options.precision == "fp32":
        return fp32, {}
    if options.precision == "fp16":
        progress("converting to fp16")
        fp16 = to_fp16(fp32)
        change = parity.compare_graphs(fp32, fp16, windows.checks)
        # One window is enough to name a layer in a message.
        worst = windows.checks[0]
        _require(change, options, lambda: most_changed_state(fp32, fp16, worst))
        return fp16, {"agreement": change}
    progress("calibrating and quantizing")
    return _to_int8(fp32, windows, options, progress)


def _to_int8(
    fp32: onnx.ModelProto,
    windows: ExportWindows,
    options: ExportOptions,
    progress: StepProgress,
) -> tuple[onnx.ModelProto, Measured]:
    every = find_targets(fp32)
    allowed = without(every, options.keep)
    if not options.measures_targets:  # then matmuls with weights are all there is
        every, allowed = _weighted(every), _weighted(allowed)
    quantizer = calibrate_quantizer(fp32, every, windows.calibration)
    sensitivity = _sensitivity(quantizer, options, progress)
    chosen = _weighted(allowed)
    if options.budget is not None:
        chosen = search(sensitivity, allowed, options.budget)
    int8 = quantizer.quantize_and_center(chosen)
    change = parity.compare_graphs(fp32, int8, windows.checks)
    _require(change, options, lambda: _worst_layer(quantizer, every, windows))
    names = [target.name for target in chosen]
    measured: Measured = {
        "agreement": change,
        "products": tuple(names),
        "kept": tuple(t.name for t in _weighted(every) if t.name not in names),
        "range_method": RANGE_METHOD,
        "n_calibration": quantizer.calibration.n_recordings,
        "budget": options.budget,
    }
    if options.measures_targets:
        measured["sites"] = _measured_targets(
            sensitivity.effects(every),
            every,
            kept={t.name for t in every} - {t.name for t in allowed},
            quantized=names,
            searched=options.budget is not None,
        )
    return halve_constants(int8), measured


def _sensitivity(
    quantizer: Quantizer, options: ExportOptions, progress: StepProgress
) -> Sensitivity:
    # The search uses calibration windows, so that the check windows stay independent.
    used = quantizer.recordings[:_N_FOR_SENSITIVITY]
    of = measured_on(quantizer.fp32, quantizer.recordings, ranges=RANGE_METHOD, bits=8)
    return Sensitivity(quantizer, used, Measurements(options.cache, of), progress)


def _worst_layer(
    quantizer: Quantizer,
    targets: Iterable[QuantizationTarget],
    windows: ExportWindows,
) -> str:
    """Name the layer that changes probabilities most when it alone is quantized."""
    used = windows.checks[:_N_FOR_WORST_LAYER]
    # Not in the cache, whose key names the calibration windows.
    alone = Sensitivity(quantizer, used, Measurements(None, {}), unwatched)
    changes = alone.changes(_weighted(targets))
    worst = max(changes, key=lambda name: changes[name])
    return f"most by {worst} ({changes[worst]:.3f} alone)"


def _measured_targets(
    effects: Mapping[str, Effect],
    targets: Sequence[QuantizationTarget],
    *,
    kept: Collection[str],
    quantized: Collection[str],
    searched: bool,
) -> tuple[MeasuredTarget, ...]:
    found = [
        MeasuredTarget(
            name=target.name,
            kind=target.kind,
            **asdict(effects[target.name]),
            decision=decision(
                effects[target.name],
                quantized=target.name in quantized,
                kept=target.name in kept,
                weighed=searched or target.kind == "weights",
            ),
        )
        for target in targets
    ]
    return tuple(sorted(found, key=lambda target: -target.change))


def _weighted(targets: Iterable[QuantizationTarget]) -> list[QuantizationTarget]:
    return [target for target in targets if target.kind == "weights"]


def _require(
    change: parity.Agreement, options: ExportOptions, worst: Callable[[], str]
) -> None:
    if change.mean <= LARGEST_MEAN_CHANGE:
        return
    keep = "" if options.precision == "fp16" else "keep that in fp32 with --keep, or "
    raise ExportError(
        f"{options.precision} changes probabilities by {change.mean:.3f} in the mean, "
        f"not at most {LARGEST_MEAN_CHANGE}; {worst()}; {keep}export with "
        "--precision fp32"
    )
