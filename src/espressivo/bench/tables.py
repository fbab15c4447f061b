"""Report of a benchmark as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from espressivo.bench.report import Quartiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.bench.report import BenchReport, ModelCost


MOST_COLUMNS = 3
"""Largest number of models shown as columns; more are shown as rows, in less detail."""


def cost_table(report: BenchReport) -> Table:
    """Return a table with a column per model and a row per cost.

    For more than `MOST_COLUMNS` models, models are rows and costs are columns.
    """
    if len(report.models) > MOST_COLUMNS:
        return _compact_table(report)
    table = _table("", *(model.name for model in report.models))
    for label, *cells in _cost_rows(report):
        table.add_row(label, *cells)
    return table


def _cost_rows(report: BenchReport) -> Iterator[tuple[str, ...]]:
    models = report.models
    audio = f"{report.seconds:g} s"
    yield "size (MB)", *(f"{m.bytes / 1e6:.2f}" for m in models)
    yield "parameters (million)", *(_parameters(m) for m in models)
    yield f"GMAC for {audio}", *(f"{m.profile.macs / 1e9:.2f}" for m in models)
    yield f"ms for {audio}, 1 thread", *(_milliseconds(m.time_s) for m in models)
    if len(models) > 1:
        ratios = [m.ratio_to(models[0]) for m in models[1:]]
        yield f"time over {models[0].name}", "1", *(_with_range(r) for r in ratios)
    factors = [report.real_time_factor(m.times_s) for m in models]
    yield "real-time factor, 1 thread", *(_two_digits(f) for f in factors)
    if report.threads > 1:
        factors = [report.real_time_factor(m.threaded_times_s) for m in models]
        label = f"real-time factor, {report.threads} threads"
        yield label, *(_two_digits(f) for f in factors)
    firsts = [Quartiles.of(m.first_results_s) for m in models]
    yield "first result (s)", *(f"{first.median:.2f}" for first in firsts)
    yield "peak memory (MB)", *(_megabytes(m.peak_bytes) for m in models)
    why = report.no_energy or ""
    energies = [m.joules_per_s for m in models]
    label = "energy for 1 s of audio (J)"
    yield label, *(why if e is None else f"{e:.3g}" for e in energies)


def _compact_table(report: BenchReport) -> Table:
    """Return a table with a row per model, without quartiles, to fit 80 columns."""
    headings = ["size\nMB", "GMAC", "1 thread\nms", "over\nfirst", "real-time\nfactor"]
    headings += ["first\nresult s", "memory\nMB"]
    if report.no_energy is None:
        headings.append("J for\n1 s")
    table = _table("", *headings)
    for model in report.models:
        cells = [
            f"{model.bytes / 1e6:.2f}",
            f"{model.profile.macs / 1e9:.2f}",
            f"{1000 * model.time_s.median:.1f}",
            f"{model.ratio_to(report.models[0]).median:.2f}",
            _two_digits(report.real_time_factor(model.times_s)),
            f"{Quartiles.of(model.first_results_s).median:.2f}",
            _megabytes(model.peak_bytes),
        ]
        if model.joules_per_s is not None:
            cells.append(f"{model.joules_per_s:.3g}")
        table.add_row(model.name, *cells)
    return table


def _parameters(model: ModelCost) -> str:
    return "-" if model.n_parameters is None else f"{model.n_parameters / 1e6:.2f}"


def _megabytes(n_bytes: int | None) -> str:
    return "-" if n_bytes is None else f"{n_bytes / 1e6:.0f}"


def _two_digits(value: float) -> str:
    # `#` keeps trailing zeros, so that all factors have two digits: 0.10, not 0.1.
    return f"{value:#.2g}".rstrip(".")


def _milliseconds(times_s: Quartiles) -> str:
    return _with_range(Quartiles(*(1000 * value for value in times_s)))


def _with_range(found: Quartiles) -> str:
    digits = 1 if found.median >= 10 else 2
    low, median, high = (f"{value:.{digits}f}" for value in found)
    return f"{median} ({low}..{high})"


def operator_table(model: ModelCost, n_shown: int = 12) -> Table:
    """Return a table of a model's operator types, the slowest first."""
    table = _table(model.name, "calls", "ms", "share", "GMAC", "GMAC/s")
    costs = model.profile.by_operator()
    for cost in costs[:n_shown]:
        cells = _share(cost.seconds, cost.macs, model)
        table.add_row(cost.operator, str(cost.calls), *cells)
    if rest := costs[n_shown:]:
        n_calls = sum(cost.calls for cost in rest)
        seconds, macs = sum(c.seconds for c in rest), sum(c.macs for c in rest)
        label = f"{len(rest)} other kinds"
        table.add_row(label, str(n_calls), *_share(seconds, macs, model), style="dim")
    n_calls = sum(cost.calls for cost in costs)
    whole = _share(model.profile.seconds, model.profile.macs, model)
    table.add_row("all", str(n_calls), *whole, style="bold")
    return table


def node_table(model: ModelCost, n_shown: int = 10) -> Table:
    """Return a table of a model's slowest nodes, named by their first output."""
    table = _table("slowest nodes", "operator", "ms", "share", "GMAC", "GMAC/s")
    slowest = sorted(model.profile.nodes, key=lambda node: -node.seconds)[:n_shown]
    for node in slowest:
        cells = _share(node.seconds, node.macs, model)
        table.add_row(node.output or node.name or "-", node.operator, *cells)
    return table


def _share(seconds: float, macs: int, model: ModelCost) -> tuple[str, str, str, str]:
    gmac = macs / 1e9
    told = gmac >= 0.001 and seconds > 0
    return (
        f"{1000 * seconds:.2f}",
        f"{seconds / model.profile.seconds:.1%}",
        f"{gmac:.3f}" if told else "",
        f"{gmac / seconds:.0f}" if told else "",
    )


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right", overflow="fold", style="cyan")
    return table
