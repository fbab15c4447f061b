"""What rounding changes and saves, site by site, measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

from espressivo.bench import time_graphs
from espressivo.training.export.checks import parity
from espressivo.training.export.graph.tiling import tile_convolution
from espressivo.training.export.search.target_times import shares_saved

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from espressivo.training.export.options import Progress
    from espressivo.training.export.quantize.quantizer import Rounder
    from espressivo.training.export.search.measurements import Measurements
    from espressivo.training.export.search.targets import Site
    from espressivo.types import Signal

LEAST_GAIN = 0.002
"""Of the fp32 graph's time; what saves less cannot be told from what saves nothing."""

_EXACT_SECONDS = "seconds of the fp32 graph"
_ROUNDS = 11


@dataclass(frozen=True, slots=True)
class Effect:
    """What rounding one site does.

    Attributes:
        change: Mean over recordings of the largest change of a probability, with
            nothing else rounded.
        seconds: Saved on a window of 8 s; below 0 where it costs time.
        share: The same, of the fp32 graph's time.
    """

    change: float
    seconds: float
    share: float

    @property
    def saves_time(self) -> bool:
        """Whether it is faster, as far as can be told."""
        return self.share >= LEAST_GAIN


@dataclass(frozen=True)
class Laboratory:
    """Measures what rounding does; what is known already is not measured again.

    Attributes:
        rounder: Of the graph.
        recordings: On which changes are measured.
        known: Measurements so far.
        progress: Told what is measured.
    """

    rounder: Rounder
    recordings: Sequence[Signal]
    known: Measurements
    progress: Progress

    def effects(self, sites: Sequence[Site]) -> dict[str, Effect]:
        """Measure all there is to know about each site alone."""
        changes, shares = self.changes(sites), self.shares(sites)
        whole = self.known[_EXACT_SECONDS]
        return {
            name: Effect(change, shares[name] * whole, shares[name])
            for name, change in changes.items()
        }

    def changes(self, sites: Sequence[Site]) -> dict[str, float]:
        """Return site -> mean change of a probability with it alone rounded."""
        names = {site.name: f"change by {site.name}" for site in sites}
        for done, site in enumerate(sites):
            if names[site.name] not in self.known:
                self.progress(f"what {site.name} changes", done, len(sites))
                change = self._change(self.rounder.round([site]))
                self.known.put({names[site.name]: change})
        return {site: self.known[name] for site, name in names.items()}

    def change_together(self, sites: Sequence[Site]) -> float:
        """Return the mean change of a probability with all these rounded."""
        together = "\n".join(sorted(site.name for site in sites))
        digest = hashlib.sha256(together.encode()).hexdigest()[:16]
        name = f"change by {len(sites)} together, {digest}"
        if name not in self.known:
            self.progress(f"what {len(sites)} together change")
            change = self._change(self.rounder.finish(sites, self.recordings))
            self.known.put({name: change})
        return self.known[name]

    def shares(self, sites: Sequence[Site]) -> dict[str, float]:
        """Return site -> share of the fp32 graph's time that it saves."""
        names = {site.name: f"time saved by {site.name}" for site in sites}
        if not all(name in self.known for name in (*names.values(), _EXACT_SECONDS)):
            shares, seconds = self._time(sites)
            saved = {names[site]: share for site, share in shares.items()}
            self.known.put(saved | {_EXACT_SECONDS: seconds})
        return {site: self.known[name] for site, name in names.items()}

    @cached_property
    def _exact(self) -> NDArray[np.float32]:
        return parity.probabilities(self.rounder.fp32, self.recordings)

    def _change(self, model: onnx.ModelProto) -> float:
        found = parity.probabilities(model, self.recordings)
        return parity.agreement_of(self._exact, found).mean

    def _time(self, sites: Sequence[Site]) -> tuple[dict[str, float], float]:
        """Time products by profiles, other operators by graphs with and without."""
        self.progress("how long each product takes")
        products = [site for site in sites if site.product is not None]
        fp32 = tile_convolution(self.rounder.fp32)
        rounded = tile_convolution(self.rounder.round(products))
        shares, seconds = shares_saved(
            fp32, rounded, [site.product for site in products if site.product]
        )
        others = [site for site in sites if site.product is None]
        self.progress("how long other operators take")
        graphs = {"exact": fp32, "rounded": rounded}
        for site in others:
            graph = self.rounder.round([*products, site])
            graphs[site.name] = tile_convolution(graph)
        times = time_graphs(
            {name: graph.SerializeToString() for name, graph in graphs.items()},
            rounds=_ROUNDS,
        )
        for site in others:
            rounds = zip(
                times["exact"], times["rounded"], times[site.name], strict=True
            )
            shares[site.name] = median(
                (without - carried) / exact for exact, without, carried in rounds
            )
        return shares, seconds
