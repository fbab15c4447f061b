"""Results of the quantization benchmark as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.quantization.variants import PLAIN

if TYPE_CHECKING:
    from pathlib import Path

_N_SITES = 12
_N_OPERATORS = 4


def variants_table(results: dict[str, Any]) -> str:
    """Return one table per network, with one row per variant."""
    blocks = []
    for model, study in results["models"].items():
        head = ["size (MB)", "time", "time, WASM", "top-1", "change", "UA"]
        head.append("UA - fp32 (95 %)")
        lines = [
            f"**{model}**, {study['n']} recordings of {study['n_speakers']} speakers:",
            "",
            f"| | {' | '.join(head)} |",
            "|---" * (len(head) + 1) + "|",
        ]
        for name, found in study["variants"].items():
            lines.append(f"| {name} | {' | '.join(_cells(name, found))} |")
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, _machine(results["machine"])])


def operators_table(results: dict[str, Any]) -> str:
    """Return the operators that take most of each variant's time."""
    models = results["models"]
    head = " | ".join(models)
    lines = [f"| | {head} |", "|---" * (len(models) + 1) + "|"]
    names = dict.fromkeys(n for study in models.values() for n in study["variants"])
    for name in names:
        cells = []
        for study in models.values():
            shares = study["variants"].get(name, {}).get("operators", {})
            first = list(shares.items())[:_N_OPERATORS]
            cells.append(", ".join(f"{kind} {share:.0%}" for kind, share in first))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sites_table(results: dict[str, Any]) -> str:
    """Return the sensitivity of each quantization target alone, the largest first."""
    blocks = []
    for model, study in results["models"].items():
        sites = sorted(study["sites"], key=lambda site: -site["change"])[:_N_SITES]
        if not sites:
            continue
        lines = [
            f"**{model}**, the {len(sites)} that change most of {len(study['sites'])}:",
            "",
            "| alone in 8 bits | mean change | time saved | |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {s['name']} | {s['change']:.4f} | {s['share']:.1%} | {s['decision']} |"
            for s in sites
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def write_between(page: Path, tables: dict[str, str]) -> None:
    """Replace the text between a table's markers in a page, where it has them.

    Raises:
        SystemExit: The page holds an opening marker without a closing one.
    """
    text = page.read_text("utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if found and not closed:
            raise SystemExit(f"{page}: has a line '{begin}' and no '{end}'")
        if found:
            text = f"{before}{begin}\n{table}\n{end}{after}"
    page.write_text(text, "utf-8")


def _cells(name: str, found: dict[str, Any]) -> list[str]:
    size = f"{found['bytes'] / 1e6:.2f}"
    ua = f"{100 * found['ua']:.2f}"
    if name == PLAIN:
        return [size, "1", "1", "", "", ua, ""]
    low, high = 100 * found["ua_low"], 100 * found["ua_high"]
    return [
        size,
        _ratio(found["native"][PLAIN]),
        _ratio(found["web"][PLAIN]),
        f"{found['top1']:.1%}",
        f"{found['change']:.4f}",
        ua,
        f"{100 * found['ua_difference']:+.2f} ({low:+.2f}..{high:+.2f})",
    ]


def _ratio(timed: dict[str, Any] | None) -> str:
    if timed is None:
        return "-"
    return f"{timed['ratio']:.3f}" if "ratio" in timed else "does not load"


def _machine(machine: dict[str, Any]) -> str:
    instructions = ", ".join(machine["instructions"]) or "instructions unknown"
    return (
        f"{machine['processor']} ({instructions}), "
        f"onnxruntime {machine['onnxruntime']}, one thread."
    )
