"""The report of an export, as an object and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espressivo.training.export.checks.costs import ExportCosts
    from espressivo.training.export.checks.parity import Agreement
    from espressivo.training.scores.bootstrap import Interval

SCHEMA = "espressivo.export/3"
"""Name and version of the JSON that `ExportReport.to_dict` returns."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The exact graph and the shipped one scored on the same labelled recordings.

    Intervals are of 95 %, over speakers; None for a single speaker.

    Attributes:
        corpus: Name of the corpus.
        n_speakers: Number of its speakers.
        ua_fp32: Mean recall (UA) of the exact graph, 0 to 1.
        ua_fp32_interval: Interval of `ua_fp32`.
        ua: UA of the graph that is shipped.
        ua_interval: Interval of `ua`.
        difference: Interval of `ua` less `ua_fp32`, both on the same speakers.
        agreement: Agreement of the two graphs' probabilities.
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
class MeasuredTarget:
    """A quantization target with its measured effect and the decision about it.

    Attributes:
        name: A layer, or a kind of operator.
        kind: `weights`, `attention` (a matmul of two activations) or `operator`.
        change: Mean over recordings of the largest change of a probability, with
            nothing else quantized.
        seconds: Time saved on a window of 8 s; below 0 where it costs time.
        share: The same, as a share of the exact graph's time.
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
    """What an export wrote and measured.

    Attributes:
        name: Name of the model.
        version: Version of the model.
        precision: `int8`, `fp16` or `fp32`.
        sha256: Hash of `model.onnx`.
        n_parameters: Trained numbers in the graph.
        bytes_fp32: Size of the exact graph.
        bytes: Size of the graph that is shipped.
        temperature: Divisor of the logits.
        parity: Largest drift of an fp32 probability from torch's.
        rows: Largest drift of a row of a batch from the recording alone.
        costs: Time, memory and operators of both graphs.
        agreement: Shipped graph against fp32, on training recordings that calibrated
            nothing; None for fp32.
        products: Names of the targets that are quantized.
        kept: Matmuls with weights that stayed fp32.
        range_method: How ranges of activations were chosen; None where none were.
        n_calibration: Recordings that chose them.
        budget: Change of a probability that bounded the search; None without a search.
        operators: Kind of operator -> how many the shipped graph holds.
        sites: Each target alone, where that was measured; the most sensitive first.
        held_out: Scores on labelled recordings that trained nothing.
        voice_parity: Largest drift of a voice vector of the fp32 graph from what was
            fitted, in standard deviations of a window; None where the model cannot
            adapt.
        dimension_parity: Largest drift of a dimension of the fp32 graph from torch;
            None where the model has none.
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
    costs: ExportCosts
    agreement: Agreement | None = None
    products: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    range_method: str | None = None
    n_calibration: int = 0
    budget: float | None = None
    operators: dict[str, int] = field(default_factory=dict)
    sites: tuple[MeasuredTarget, ...] = ()
    held_out: tuple[HeldOut, ...] = ()
    voice_parity: float | None = None
    dimension_parity: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as a dictionary of JSON values."""
        return {"schema": SCHEMA} | asdict(self)
