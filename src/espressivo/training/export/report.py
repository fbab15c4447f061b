"""What an export did and measured, as an object and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espressivo.training.export.checks.costs import Costs
    from espressivo.training.export.checks.parity import Agreement
    from espressivo.training.scores.bootstrap import Interval

SCHEMA = "espressivo.export/2"
"""Name and version of the JSON that `ExportReport.to_dict` returns."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The exact graph and the shipped one scored on the same labelled recordings.

    Intervals are of 95 %, over speakers; None for a single speaker.

    Attributes:
        corpus: Its name.
        n_speakers: In it.
        ua_fp32: Mean recall of the exact graph, 0 to 1.
        ua_fp32_interval: Of it.
        ua: The same of the graph that is shipped.
        ua_interval: Of it.
        difference: Of `ua` less `ua_fp32`, both on the same speakers.
        agreement: Of the two graphs' probabilities.
    """

    corpus: str
    n_speakers: int
    ua_fp32: float
    ua_fp32_interval: Interval | None
    ua: float
    ua_interval: Interval | None
    difference: Interval | None
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class MeasuredSite:
    """What could be rounded, what that does, and whether it was.

    Attributes:
        name: A layer, or a kind of operator.
        kind: `weights`, `attention` (a product of two activations) or `operator`.
        change: Mean over recordings of the largest change of a probability, with
            nothing else rounded.
        seconds: Saved on a window of 8 s; below 0 where it costs time.
        share: The same, of the exact graph's time.
        decision: `8 bits` or `fp32`, and why.
    """

    name: str
    kind: str
    change: float
    seconds: float
    share: float
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What came out of an export.

    Attributes:
        name: Of the model.
        version: Of the model.
        precision: `int8`, `int4` (of weights), `fp16` or `fp32`.
        sha256: Of `model.onnx`.
        n_parameters: Trained numbers in the graph.
        bytes_fp32: Size of the exact graph.
        bytes: Size of the graph that is shipped.
        temperature: Divides the logits.
        parity: Largest drift of an fp32 probability from torch's.
        rows: Largest drift of a row of a batch from the recording alone.
        costs: Time, memory and operators of both graphs.
        agreement: Shipped graph against fp32, on training recordings that calibrated
            nothing; None for fp32.
        products: What is rounded.
        kept: Products with weights that could have been, and stayed fp32.
        range_method: How ranges of activations were chosen; None where none were.
        n_calibration: Recordings that chose them.
        budget: Change of a probability that a search was to stay within, if there was
            one.
        operators: Kind of operator -> how many the shipped graph holds.
        sites: Each alone, where that was measured; what changes most comes first.
        ranges: Method of choosing ranges -> agreement with fp32, where that was asked.
        held_out: Scores on labelled recordings that trained nothing.
        profile_parity: Largest drift of `profile.onnx`'s probabilities from what was
            fitted; None where the model takes no profiles.
        profile_bytes: Size of `profile.onnx`.
    """

    name: str
    version: str
    precision: str
    sha256: str
    n_parameters: int
    bytes_fp32: int
    bytes: int
    temperature: float
    parity: float
    rows: float
    costs: Costs
    agreement: Agreement | None = None
    products: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    range_method: str | None = None
    n_calibration: int = 0
    budget: float | None = None
    operators: dict[str, int] = field(default_factory=dict)
    sites: tuple[MeasuredSite, ...] = ()
    ranges: dict[str, Agreement] = field(default_factory=dict)
    held_out: tuple[HeldOut, ...] = ()
    profile_parity: float | None = None
    profile_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can say it."""
        return {"schema": SCHEMA} | asdict(self)
