"""The fp32 graph -> the int8 graph that is shipped, on recordings of its corpora."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espressivo.errors import ExportError
from espressivo.training.export import parity, recordings
from espressivo.training.export.budget import spend
from espressivo.training.export.calibration import (
    Calibration,
    calibrate,
    center_logits,
)
from espressivo.training.export.rounding import products_of, quantize_products

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.export.options import ExportOptions
    from espressivo.types import Signal

LARGEST_MEAN_CHANGE = 0.03
"""Of a probability by rounding; a model beyond is not written."""


@dataclass(frozen=True, slots=True)
class Material:
    """Windows drawn from the training corpora."""

    calibration: list[Signal]
    checks: list[Signal]


def draw_material(
    config: ExperimentConfig, trained_on: Collection[str], options: ExportOptions
) -> Material:
    """Draw what calibrates and what checks from the corpora that trained a run."""
    utterances = recordings.training_utterances(config, trained_on, options.corpora)
    drawn, rest = recordings.draw(utterances, options.n_calibration, options.seed)
    checked = (rest or drawn)[: options.n_checks]
    return Material(
        recordings.calibration_windows(drawn, utterances, config, options.seed)
        if options.precision == "int8"
        else [],
        recordings.check_windows(checked, config.signal),
    )


def round_graph(
    fp32: onnx.ModelProto, material: Material, options: ExportOptions
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Return the int8 graph, and what a report says of it.

    Raises:
        ExportError: It would not be the fp32 graph any more, or be too large.
    """
    every, chosen = products_of(fp32), products_of(fp32, options.keep)
    values = list(dict.fromkeys(product.value for product in every))
    calibration = calibrate(fp32, values, material.calibration, options.range_method)
    drift = {}
    if options.sensitivity or options.largest_bytes is not None:
        # By what calibrates: the checks are to judge what is chosen here.
        drift = parity.sensitivity(fp32, calibration, material.calibration)
    int8 = quantize_products(fp32, calibration, chosen)
    if options.largest_bytes is not None:
        kept = {p.name for p in every} - {p.name for p in chosen}
        kept |= {*spend(fp32, int8.ByteSize(), options.largest_bytes, drift, kept)}
        chosen = [product for product in every if product.name not in kept]
        int8 = quantize_products(fp32, calibration, chosen)
    int8 = center_logits(fp32, int8, material.calibration)
    names = [product.name for product in chosen]
    return int8, {
        "agreement": _require_agreement(fp32, int8, calibration, material),
        "speed": parity.measure_speed(fp32, int8, material.checks[0]),
        "products": tuple(names),
        "kept": tuple(p.name for p in every if p.name not in names),
        "range_method": options.range_method,
        "n_calibration": calibration.n_recordings,
        "sensitivity": drift,
    }


def _require_agreement(
    fp32: onnx.ModelProto,
    int8: onnx.ModelProto,
    calibration: Calibration,
    material: Material,
) -> parity.Agreement:
    agreement = parity.compare(fp32, int8, material.checks)
    if not agreement.mean <= LARGEST_MEAN_CHANGE:
        drift = parity.sensitivity(fp32, calibration, material.checks[:20])
        worst = next(iter(drift))
        raise ExportError(
            f"int8 changes probabilities by {agreement.mean:.3f} in the mean, not at "
            f"most {LARGEST_MEAN_CHANGE}; most by {worst} ({drift[worst]:.3f} alone); "
            "keep that in fp32 with --keep, or export with --precision fp32"
        )
    return agreement
