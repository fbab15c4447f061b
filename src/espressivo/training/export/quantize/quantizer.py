"""An fp32 graph and what recordings said of it: any choice of sites, rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.training.export.quantize.activations import carry
from espressivo.training.export.quantize.calibration import (
    Calibration,
    calibrate,
    center_logits,
    observe_ranges,
)
from espressivo.training.export.quantize.int8 import quantize_products
from espressivo.training.export.quantize.matmuls import values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from espressivo.training.export.quantize.ranges import RangeMethod
    from espressivo.training.export.search.targets import Site
    from espressivo.types import Signal


@dataclass(frozen=True, slots=True)
class Rounder:
    """Rounds whichever sites it is asked to.

    Attributes:
        fp32: The exact graph.
        recordings: What it was calibrated with.
        calibration: Of what enters products.
        ranges: Of what other operators read and write.
    """

    fp32: onnx.ModelProto
    recordings: Sequence[Signal]
    calibration: Calibration
    ranges: dict[str, tuple[float, float]]

    def round(self, sites: Iterable[Site]) -> onnx.ModelProto:
        """Return a copy of the graph with these sites in 8 bits."""
        chosen = list(sites)
        products = [site.product for site in chosen if site.product is not None]
        rounded = quantize_products(self.fp32, self.calibration, products)
        carried = {v: self.ranges[v] for site in chosen for v in site.values}
        return carry(rounded, carried) if carried else rounded

    def finish(
        self, sites: Iterable[Site], recordings: Sequence[Signal] | None = None
    ) -> onnx.ModelProto:
        """Return the same with the mean logits of the exact graph restored.

        Args:
            sites: To round.
            recordings: The means are over these; over all that calibrated when None.
        """
        heard = self.recordings if recordings is None else recordings
        return center_logits(self.fp32, self.round(sites), heard)


def prepare(
    fp32: onnx.ModelProto,
    sites: Iterable[Site],
    recordings: Sequence[Signal],
    method: RangeMethod,
) -> Rounder:
    """Calibrate all that rounding any of these sites takes.

    Raises:
        ExportError: There are no recordings, or none has any sound.
    """
    every = list(sites)
    values = values_of(site.product for site in every if site.product is not None)
    calibration = calibrate(fp32, values, recordings, method)
    carried = list(dict.fromkeys(v for site in every for v in site.values))
    ranges = observe_ranges(fp32, carried, recordings, method) if carried else {}
    return Rounder(fp32, recordings, calibration, ranges)
