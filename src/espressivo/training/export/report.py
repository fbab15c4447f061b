"""What an export did and measured, as an object, JSON and Markdown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espressivo.training.export.parity import Agreement, Speed

SCHEMA = "espressivo.export/1"
"""Name and version of the JSON that `ExportReport.to_dict` returns."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """fp32 and int8 scored on the same labelled recordings.

    Attributes:
        corpus: Its name.
        ua_fp32: Mean recall, 0 to 1.
        ua: The same, of the graph that is shipped.
        low: Of the 95 % interval of `ua` less `ua_fp32`, over speakers; None for a
            single speaker.
        high: Likewise.
        agreement: Of the two graphs' probabilities.
    """

    corpus: str
    ua_fp32: float
    ua: float
    low: float | None
    high: float | None
    agreement: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What came out of an export.

    Attributes:
        name: Of the model.
        version: Of the model.
        precision: `int8` or `fp32`.
        sha256: Of `model.onnx`.
        n_parameters: Trained numbers in the graph.
        bytes_fp32: Size of the fp32 graph.
        bytes: Size of the graph that is shipped.
        temperature: Divides the logits.
        parity: Largest drift of an fp32 probability from torch's.
        rows: Largest drift of a row of a batch from the recording alone.
        agreement: Shipped graph against fp32, on training recordings that calibrated
            nothing; None for fp32.
        speed: Likewise.
        products: Layers in int8.
        kept: Layers that could have been, and stayed fp32.
        range_method: How ranges of activations were chosen.
        n_calibration: Recordings that chose them.
        operators: Kind of operator -> how many the graph holds.
        sensitivity: Layer -> mean change of a probability with it alone in int8.
        held_out: Scores on corpora given for it.
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
    agreement: Agreement | None = None
    speed: Speed | None = None
    products: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    range_method: str | None = None
    n_calibration: int = 0
    operators: dict[str, int] = field(default_factory=dict)
    sensitivity: dict[str, float] = field(default_factory=dict)
    held_out: tuple[HeldOut, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can say it."""
        return {"schema": SCHEMA} | asdict(self)

    def to_markdown(self) -> str:
        """Return the report for people."""
        lines = [
            f"# {self.name} {self.version}: export to {self.precision}",
            "",
            "| | |",
            "|---|---|",
            *(f"| {key} | {value} |" for key, value in self.rows_of_text()),
        ]
        if self.held_out:
            head = ["corpus", "n", "UA fp32", f"UA {self.precision}"]
            head += ["difference (95 %)", "top-1 agreement", "mean, worst change"]
            lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
            lines += map(_held_out_row, self.held_out)
        if self.sensitivity:
            lines += ["", "| layer alone in int8 | mean change |", "|---|---|"]
            lines += [f"| {k} | {v:.4f} |" for k, v in self.sensitivity.items()]
        if self.products:
            lines += ["", "In int8: " + ", ".join(self.products) + "."]
        if self.kept:
            lines += ["", "Kept in fp32: " + ", ".join(self.kept) + "."]
        return "\n".join(lines) + "\n"

    def rows_of_text(self) -> list[tuple[str, str]]:
        """Return what matters most as pairs, for a terminal or a table."""
        rows = [
            ("parameters", f"{self.n_parameters:,}"),
            ("fp32 graph", f"{self.bytes_fp32 / 1e6:.2f} MB"),
            ("parity with torch", f"{self.parity:.1g} (largest change, any length)"),
            ("rows of a batch", f"{self.rows:.1g} (largest change)"),
            ("temperature", f"{self.temperature:.4g}"),
        ]
        if self.agreement is not None and self.speed is not None:
            rows[2:2] = [(f"{self.precision} graph", f"{self.bytes / 1e6:.2f} MB")]
            rows += _rounded_rows(self, self.agreement, self.speed)
        return rows


def _rounded_rows(
    report: ExportReport, change: Agreement, speed: Speed
) -> list[tuple[str, str]]:
    return [
        (
            f"{report.precision} against fp32",
            (
                f"top-1 {change.top1:.1%}, change {change.mean:.4f} mean, "
                f"{change.p95:.4f} p95, {change.worst:.3f} worst, "
                f"{change.n} training recordings"
            ),
        ),
        ("time over fp32", f"{speed.ratio:.3f} (8 s, 1 thread)"),
        (
            "real-time factor",
            f"{speed.real_time_factor:.5f} (fp32 {speed.fp32_real_time_factor:.5f})",
        ),
        ("ranges", f"{report.range_method}, {report.n_calibration} recordings"),
    ]


def _held_out_row(found: HeldOut) -> str:
    difference = f"{100 * (found.ua - found.ua_fp32):+.2f}"
    change = found.agreement
    if found.low is not None and found.high is not None:
        difference += f" ({100 * found.low:+.2f}..{100 * found.high:+.2f})"
    return (
        f"| {found.corpus} | {change.n} | {found.ua_fp32:.2%} | {found.ua:.2%} | "
        f"{difference} | {change.top1:.1%} | {change.mean:.4f}, {change.worst:.3f} |"
    )
