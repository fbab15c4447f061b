"""The report of an export for people: rows for a terminal, Markdown for a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from espressivo.bench import OperatorCost
    from espressivo.training.export.checks.costs import ExportCosts, GraphCosts
    from espressivo.training.export.checks.parity import Agreement
    from espressivo.training.export.report import (
        ExportReport,
        HeldOut,
        MeasuredTarget,
    )
    from espressivo.training.scores.bootstrap import Interval

_LEAST_SHARE = 0.001  # of the time; kinds of operators below it share one row


def rows_of(report: ExportReport) -> list[tuple[str, str]]:
    """Return the main figures as pairs of name and value."""
    costs, precision = report.costs, report.precision
    rows = [
        ("parameters", f"{report.n_parameters:,}"),
        ("fp32 graph", _megabytes(report.bytes_fp32)),
        ("time, fp32", _time(costs, costs.fp32)),
        ("peak memory, fp32", _megabytes(costs.fp32.peak_bytes)),
        (
            "multiply-accumulates",
            f"{costs.shipped.macs / 1e9:.3f} G in {costs.window_s:g} s",
        ),
        ("parity with torch", f"{report.parity:.1g} (largest change, any length)"),
        ("rows of a batch", f"{report.rows:.1g} (largest change)"),
        *_heads(report),
        ("temperature", f"{report.temperature:.4g}"),
    ]
    if report.agreement is None:
        return rows
    rows[4:4] = [
        (f"{precision} graph", _megabytes(report.bytes)),
        (f"time, {precision}", _time(costs, costs.shipped)),
        (f"time, {precision} / fp32", f"{costs.ratio:.3f} (median of rounds in turn)"),
        (f"peak memory, {precision}", _megabytes(costs.shipped.peak_bytes)),
    ]
    rows.append((f"{precision} against fp32", _agreement(report.agreement)))
    if report.n_calibration:
        method = f"{report.range_method} ranges, " if report.range_method else ""
        rows.append(("calibrated by", f"{method}{report.n_calibration} recordings"))
    if report.budget is not None:
        rows.append(("budget", f"a change of {report.budget:g} in the mean"))
    return rows


def to_markdown(report: ExportReport) -> str:
    """Return the report as Markdown."""
    lines = [f"# {report.name} {report.version}: export to {report.precision}", ""]
    lines += _table(("", ""), rows_of(report))
    lines += ["", _measured_on(report.costs)]
    if report.held_out:
        lines += ["", "## On labelled recordings", "", *_held_out(report)]
    lines += ["", "## What the operators cost", "", *_operators(report)]
    if report.sites:
        lines += [
            "",
            "## What each part changes and saves",
            "",
            *_targets(report.sites),
        ]
    if report.products:
        lines += ["", f"In {report.precision}: {', '.join(report.products)}."]
    if report.kept:
        lines += ["", f"Kept in fp32: {', '.join(report.kept)}."]
    return "\n".join(lines) + "\n"


def _measured_on(costs: ExportCosts) -> str:
    flags = f" ({', '.join(costs.instructions)})" if costs.instructions else ""
    return (
        f"Times: medians on one thread of {costs.processor}{flags}, a window of "
        f"{costs.window_s:g} s. Peak memory: what loading the graph and one window add "
        "to a process."
    )


def _held_out(report: ExportReport) -> list[str]:
    rows = [_held_out_row(found) for found in report.held_out]
    head = [
        "corpus",
        "recordings",
        "speakers",
        "UA fp32 (95 %)",
        f"UA {report.precision} (95 %)",
    ]
    head += ["difference, points (95 %)", "top-1", "mean, worst change"]
    n_columns = len(head) if report.agreement is not None else 4
    return _table(head[:n_columns], [row[:n_columns] for row in rows])


def _held_out_row(found: HeldOut) -> tuple[str, ...]:
    change = found.agreement
    difference = f"{100 * (found.ua - found.ua_fp32):+.2f}"
    if found.difference is not None:
        low, high = 100 * found.difference.low, 100 * found.difference.high
        difference += f" ({low:+.2f}..{high:+.2f})"
    return (
        found.corpus,
        f"{change.n:,}",
        str(found.n_speakers),
        _percent(found.ua_fp32, found.ua_fp32_interval),
        _percent(found.ua, found.ua_interval),
        difference,
        f"{change.top1:.1%}",
        f"{change.mean:.4f}, {change.worst:.3f}",
    )


def _operators(report: ExportReport) -> list[str]:
    """Return a row per kind of operator: nodes, MACs and time of either graph."""
    graphs = {"fp32": report.costs.fp32}
    if report.agreement is not None:
        graphs[report.precision] = report.costs.shipped
    found = [{o.operator: o for o in graph.operators} for graph in graphs.values()]
    # In the shipped graph's order, slowest first; a dict keeps it, a set would not.
    kinds = dict.fromkeys(kind for operators in reversed(found) for kind in operators)
    counted = {o.operator for operators in found for o in _at_least_a_share(operators)}
    rows, others = [], ["others"]
    for kind in kinds:
        if kind in counted:
            cells = [_operator_cells(operators.get(kind)) for operators in found]
            rows.append([kind, *(cell for three in cells for cell in three)])
    for operators in found:
        rest = sum(o.seconds for o in operators.values() if o.operator not in counted)
        others += ["", "", f"{1e3 * rest:.2f}"]
    head = ["operator"]
    for precision in graphs:
        head += [f"{precision}: nodes", "MMAC", "ms"]
    return _table(head, [*rows, others])


def _at_least_a_share(operators: dict[str, OperatorCost]) -> list[OperatorCost]:
    least = _LEAST_SHARE * sum(o.seconds for o in operators.values())
    return [o for o in operators.values() if o.macs or o.seconds >= least]


def _operator_cells(found: OperatorCost | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    macs = f"{found.macs / 1e6:,.1f}" if found.macs else ""
    return str(found.calls), macs, f"{1e3 * found.seconds:.2f}"


def _targets(targets: Iterable[MeasuredTarget]) -> list[str]:
    head = ("part, alone in 8 bits", "mean change", "saves, ms", "of fp32's time")
    return _table(
        (*head, "decision"),
        (
            (
                target.name if target.kind != "operator" else f"all {target.name}",
                f"{target.change:.5f}",
                f"{1e3 * target.seconds:+.2f}",
                f"{target.share:+.1%}",
                target.decision,
            )
            for target in targets
        ),
    )


def _heads(report: ExportReport) -> list[tuple[str, str]]:
    rows = []
    if (drift := report.dimension_parity) is not None:
        rows.append(("dimensions", f"{drift:.1g} from torch's (largest change)"))
    if (drift := report.voice_parity) is not None:
        what = f"{drift:.1g} from what was fitted (largest change)"
        rows.append(("voice vectors", what))
    return rows


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _agreement(change: Agreement) -> str:
    return (
        f"top-1 {change.top1:.1%}, change {change.mean:.4f} mean, "
        f"{change.p95:.4f} p95, {change.worst:.3f} worst, "
        f"{change.n} training recordings"
    )


def _percent(ua: float, interval: Interval | None) -> str:
    if interval is None:
        return f"{100 * ua:.2f}"
    return f"{100 * ua:.2f} ({100 * interval.low:.2f}..{100 * interval.high:.2f})"


def _time(costs: ExportCosts, graph: GraphCosts) -> str:
    factor = graph.seconds / costs.window_s
    return f"{1e3 * graph.seconds:.1f} ms (real-time factor {factor:.5f})"


def _megabytes(n_bytes: int | None) -> str:
    return "not told by this system" if n_bytes is None else f"{n_bytes / 1e6:.2f} MB"
