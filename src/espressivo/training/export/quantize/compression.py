"""The fp32 graph -> the graph that is shipped, on recordings of its corpora."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from espressivo.errors import ExportError
from espressivo.training.export import recordings
from espressivo.training.export.checks import parity
from espressivo.training.export.checks.worst_layer import (
    worst_product,
    worst_state,
)
from espressivo.training.export.quantize.calibration import (
    calibrate,
    center_logits,
)
from espressivo.training.export.quantize.fp16 import to_half
from espressivo.training.export.quantize.int4 import quantize_four_bits
from espressivo.training.export.quantize.matmuls import (
    products_of,
    values_of,
)
from espressivo.training.export.quantize.quantizer import (
    Rounder,
    prepare,
)
from espressivo.training.export.quantize.ranges import RANGE_METHODS
from espressivo.training.export.report import MeasuredSite
from espressivo.training.export.search.budget import spend
from espressivo.training.export.search.measurements import (
    Measurements,
    measured_on,
)
from espressivo.training.export.search.search import (
    decision,
    search,
)
from espressivo.training.export.search.sensitivity import Laboratory
from espressivo.training.export.search.targets import (
    Site,
    sites_of,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import onnx

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora import Utterance
    from espressivo.training.export.options import ExportOptions, Progress
    from espressivo.training.export.search.sensitivity import Effect
    from espressivo.types import Signal

Measured: TypeAlias = dict[str, Any]

LARGEST_MEAN_CHANGE = 0.03
"""Of a probability by rounding; a model beyond is not written."""

_MEASURED_ON = 40  # recordings: every site is run on all of them
_BLAMED_ON = 20


@dataclass(frozen=True, slots=True)
class Material:
    """Windows drawn from the training corpora."""

    calibration: list[Signal]
    checks: list[Signal]


def draw_material(
    utterances: Sequence[Utterance], config: ExperimentConfig, options: ExportOptions
) -> Material:
    """Draw what calibrates and what checks from the utterances that trained a run."""
    drawn, rest = recordings.draw(utterances, options.n_calibration, options.seed)
    checked = (rest or drawn)[: options.n_checks]
    return Material(
        recordings.calibration_windows(drawn, utterances, config, options.seed)
        if options.calibrates
        else [],
        recordings.check_windows(checked, config.signal),
    )


def reduce_graph(
    fp32: onnx.ModelProto,
    material: Material,
    options: ExportOptions,
    progress: Progress,
) -> tuple[onnx.ModelProto, Measured]:
    """Return the graph in the form asked for, and what a report says of it.

    Raises:
        ExportError: It would not be the fp32 graph any more, or be too large.
    """
    if options.form == "fp32":
        return fp32, {}
    if options.form == "fp16":
        progress("converting to fp16")
        half = to_half(fp32)
        change = parity.compare(fp32, half, material.checks)
        _require(change, options, lambda: worst_state(fp32, half, material.checks[0]))
        return half, {"agreement": change}
    progress("calibrating and rounding")
    if options.form == "int4":
        return _four_bits(fp32, material, options)
    return _eight_bits(fp32, material, options, progress)


def _four_bits(
    fp32: onnx.ModelProto, material: Material, options: ExportOptions
) -> tuple[onnx.ModelProto, Measured]:
    every, chosen = products_of(fp32), products_of(fp32, options.keep)
    calibration = calibrate(
        fp32, values_of(every), material.calibration, options.range_method
    )
    reduced = quantize_four_bits(fp32, calibration, options.keep)
    reduced = center_logits(fp32, reduced, material.calibration)
    change = parity.compare(fp32, reduced, material.checks)
    blamed = material.checks[:_BLAMED_ON]
    _require(change, options, lambda: worst_product(fp32, calibration, blamed, 4))
    names = [product.name for product in chosen]
    return reduced, {
        "agreement": change,
        "products": tuple(names),
        "kept": tuple(p.name for p in every if p.name not in names),
        "n_calibration": calibration.n_recordings,
    }


def _eight_bits(
    fp32: onnx.ModelProto,
    material: Material,
    options: ExportOptions,
    progress: Progress,
) -> tuple[onnx.ModelProto, Measured]:
    every = sites_of(fp32)
    allowed = without(every, options.keep)
    if not _measures_all(options):  # products with weights are what is rounded then
        every, allowed = _weighted(every), _weighted(allowed)
    rounder = prepare(fp32, every, material.calibration, options.range_method)
    laboratory = _laboratory(rounder, options, progress)
    chosen = _choose(laboratory, allowed, options)
    reduced = rounder.finish(chosen)
    change = parity.compare(fp32, reduced, material.checks)
    blamed = material.checks[:_BLAMED_ON]
    _require(
        change, options, lambda: worst_product(fp32, rounder.calibration, blamed, 8)
    )
    names = [site.name for site in chosen]
    measured: Measured = {
        "agreement": change,
        "products": tuple(names),
        "kept": tuple(s.name for s in _weighted(every) if s.name not in names),
        "range_method": options.range_method,
        "n_calibration": rounder.calibration.n_recordings,
        "budget": options.budget,
    }
    if _measures_all(options):
        measured["sites"] = _measured_sites(
            laboratory.effects(every),
            every,
            kept={site.name for site in every} - {site.name for site in allowed},
            rounded=names,
            searched=options.budget is not None,
        )
    if options.compare_ranges:
        measured["ranges"] = _compare_ranges(fp32, material, chosen, progress)
    return reduced, measured


def _choose(
    laboratory: Laboratory, allowed: Sequence[Site], options: ExportOptions
) -> list[Site]:
    """Return what to round: by search, or all products but some that bytes are for."""
    rounder, largest = laboratory.rounder, options.largest_bytes
    weighted = _weighted(allowed)
    if largest is None:
        if options.budget is None:
            return weighted
        return search(laboratory, allowed, options.budget)
    smallest = rounder.round(weighted).ByteSize()
    if options.budget is None:
        kept = spend(weighted, smallest, largest, laboratory.changes(weighted))
        return [site for site in weighted if site.name not in kept]
    # Scales and nodes take some bytes back: count from the smallest graph.
    to_save = smallest + sum(site.bytes_saved for site in weighted) - largest
    return search(laboratory, allowed, options.budget, max(to_save, 0))


def _laboratory(
    rounder: Rounder, options: ExportOptions, progress: Progress
) -> Laboratory:
    # By what calibrates: the checks are to judge what is chosen here.
    heard = rounder.recordings[:_MEASURED_ON]
    of = measured_on(
        rounder.fp32, rounder.recordings, ranges=options.range_method, bits=options.bits
    )
    return Laboratory(rounder, heard, Measurements(options.cache, of), progress)


def _measured_sites(
    effects: Mapping[str, Effect],
    sites: Sequence[Site],
    *,
    kept: Collection[str],
    rounded: Collection[str],
    searched: bool,
) -> tuple[MeasuredSite, ...]:
    found = [
        MeasuredSite(
            name=site.name,
            kind=site.kind,
            **asdict(effects[site.name]),
            decision=decision(
                effects[site.name],
                rounded=site.name in rounded,
                kept=site.name in kept,
                weighed=searched or site.kind == "weights",
            ),
        )
        for site in sites
    ]
    return tuple(sorted(found, key=lambda site: -site.change))


def _compare_ranges(
    fp32: onnx.ModelProto,
    material: Material,
    chosen: Sequence[Site],
    progress: Progress,
) -> dict[str, parity.Agreement]:
    """Round the same sites by ranges of every method."""
    found: dict[str, parity.Agreement] = {}
    wanted = parity.probabilities(fp32, material.checks)
    for done, method in enumerate(RANGE_METHODS):
        progress(f"ranges by {method}", done, len(RANGE_METHODS))
        rounder = prepare(fp32, chosen, material.calibration, method)
        rounded = parity.probabilities(rounder.finish(chosen), material.checks)
        found[method] = parity.agreement_of(wanted, rounded)
    return found


def _measures_all(options: ExportOptions) -> bool:
    return options.sensitivity or options.budget is not None


def _weighted(sites: Iterable[Site]) -> list[Site]:
    return [site for site in sites if site.kind == "weights"]


def _require(
    change: parity.Agreement, options: ExportOptions, blame: Callable[[], str]
) -> None:
    if change.mean <= LARGEST_MEAN_CHANGE:
        return
    keep = "" if options.form == "fp16" else "keep that in fp32 with --keep, or "
    raise ExportError(
        f"{options.form} changes probabilities by {change.mean:.3f} in the mean, not "
        f"at most {LARGEST_MEAN_CHANGE}; {blame()}; {keep}export with --precision fp32"
    )
