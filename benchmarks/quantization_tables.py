"""The study's results as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantization_variants import (
    DYNAMIC,
    OURS_FP32,
    OURS_INT8,
    PLAIN,
    SEARCHED,
)

if TYPE_CHECKING:
    from pathlib import Path

HUBERT, TINY = "DistilHuBERT", "espressivo-tiny"
_WINDOW_S = 8.0
_N_SITES = 12
_N_OPERATORS = 4


def variants_table(results: dict[str, Any]) -> str:
    """A row a variant, a block a network."""
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


def bars_table(results: dict[str, Any]) -> str:
    """What issue 4 asks for, what was measured, and whether that is enough."""
    lines = ["| | bar | measured | |", "|---|---|---|---|"]
    for what, most, found, text in _bars(results["models"]):
        verdict = "-" if found is None else "met" if found <= most else "missed"
        lines.append(f"| {what} | {most:g} | {text} | {verdict} |")
    return "\n".join(lines)


def operators_table(results: dict[str, Any]) -> str:
    """What each variant spends its time on."""
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
    """What rounding one thing alone changes and saves, the worst first."""
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


def write_between(page: Path, name: str, table: str) -> None:
    """Put a table between the page's markers of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = page.read_text("utf-8")
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page}: has no lines '{begin}' and '{end}' around a table")
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", "utf-8")


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


def _bars(
    models: dict[str, Any],
) -> list[tuple[str, float, float | None, str]]:
    """Return what, its bar, what was measured (None: nothing), and that as text."""
    hubert = models.get(HUBERT, {}).get("variants", {}).get(SEARCHED)
    tiny = models.get(TINY, {}).get("variants", {}).get(OURS_INT8)
    rows: list[tuple[str, float, float | None, str]] = []

    def add(what: str, most: float, found: float | None, form: str = "{:.3f}") -> None:
        text = "-" if found is None else form.format(found)
        rows.append((what, most, found, text))

    if hubert:
        add(f"{HUBERT} int8 (MB)", 24.5, hubert["bytes"] / 1e6, "{:.2f}")
        for runtime, name, mosts in (
            ("native", "onnxruntime", (0.30, 0.12)),
            ("web", "WASM", (0.50, 0.14)),
        ):
            others = zip((PLAIN, DYNAMIC), ("fp32", "dynamic int8"), mosts, strict=True)
            for key, other, most in others:
                timed = hubert[runtime].get(key) or {}
                what = f"{HUBERT} int8 / {other}, {name}"
                add(what, most, timed.get("ratio"))
        add(f"{HUBERT} answers that change", 0.02, 1 - hubert["top1"], "{:.1%}")
    if tiny:
        timed = tiny["native"].get(OURS_FP32) or {}
        add(f"{TINY} int8 / its fp32", 0.55, timed.get("ratio"))
        seconds = tiny["native"][PLAIN]["seconds"]
        add(f"{TINY} int8, real-time factor", 0.006, seconds / _WINDOW_S, "{:.4f}")
        points = 100 * tiny["ua_difference"]
        low, high = 100 * tiny["ua_low"], 100 * tiny["ua_high"]
        text = f"{points:+.2f} ({low:+.2f}..{high:+.2f})"
        rows.append((f"{TINY} UA int8 - fp32, points", 0.5, abs(points), text))
    return rows


def _machine(machine: dict[str, Any]) -> str:
    instructions = ", ".join(machine["instructions"]) or "instructions unknown"
    return (
        f"{machine['processor']} ({instructions}), "
        f"onnxruntime {machine['onnxruntime']}, one thread."
    )
