"""The browser benchmark's results as Markdown."""

from __future__ import annotations

from pathlib import PurePath
from statistics import median
from typing import Any

# Names of the measurements, as `speed.mjs` writes them.
OURS, WHOLE, WINDOWS = "ours", "peer, whole", "peer, 8 s windows"
_TITLES = {
    OURS: "espressivo-tiny, int8",
    WHOLE: "transformers.js, DistilHuBERT's shape, q8",
    WINDOWS: "the same, handed 8 s at a time",
}
_MB = 1e6


def machine_text(found: dict[str, Any]) -> str:
    """Return the processor, the versions, the input and the loading times."""
    machine = found["machine"]
    instructions = ", ".join(machine["instructions"])
    cores = f"{machine['cores']} cores, load {machine['load']:.1f} at the start"
    versions: dict[str, str] = {}
    for part in ("app", "speed"):
        versions |= found.get(part, {}).get("versions", {})
    lines = [
        f"{machine['processor']} ({instructions}), {cores}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"60 s: {found['input']}",
    ]
    if speed := found.get("speed"):
        isolated = (
            "isolated" if speed["isolated"] else "not isolated (no COOP, no COEP)"
        )
        ours_s, peer_s = speed["load_s"]["ours"], speed["load_s"]["peer"]
        lines += [
            f"one WebAssembly thread, pages {isolated}",
            f"loading: {ours_s:.1f} s (ours), {peer_s:.1f} s (transformers.js)",
            f"largest difference from Python's answer: {speed['difference']:.4f}",
        ]
    return "  \n".join(lines)


def speed_table(speed: dict[str, Any], seconds: float) -> str:
    """Return one row per library and windowing, with the ratio to espressivo."""
    lines = [
        f"| {seconds:g} s of speech, model loaded | median s | x real time | / ours |",
        "|---|---|---|---|",
    ]
    for way in speed["ways"]:
        middle = median(way["seconds"])
        cells = f"{middle:.2f}", f"{seconds / middle:.1f}", f"{ratio(speed, way):.1f}"
        lines.append(f"| {_TITLES[way['name']]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def app_table(app: dict[str, Any]) -> str:
    """Return times and bytes of opening the app from a server on this machine."""
    download = app["download"]
    cold, warm = median(app["cold_s"]), median(app["warm_s"])
    source = "service worker" if app["warm_from_worker"] else "NO service worker"
    rows = {
        "open to ready, empty profile": f"{cold:.2f} s",
        f"open to ready, again ({source})": f"{warm:.2f} s",
        "sent until ready": _megabytes(download["until_ready_bytes"]),
        "sent in all, for use offline too": _megabytes(download["all_bytes"]),
        "sent on opening it again": _megabytes(download["again_bytes"]),
        "its files, without WebGPU's": _megabytes(app["files_bytes"]),
        "the same, each in gzip": _megabytes(app["files_gzip_bytes"]),
    }
    lines = ["| the app, model included, no network between | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {text} |" for what, text in rows.items())])


def memory_table(memory: list[dict[str, Any]]) -> str:
    """Return one row per file: seconds, and memory before and at most."""
    lines = ["| file | s | MB before | MB at most |", "|---|---|---|---|"]
    for row in memory:
        name = PurePath(row["file"]).stem
        before, most = (row[key] / _MB for key in ("idle_bytes", "peak_bytes"))
        lines.append(f"| {name} | {row['seconds']:.1f} | {before:.0f} | {most:.0f} |")
    return "\n".join(lines)


def ratio(speed: dict[str, Any], way: dict[str, Any]) -> float:
    """Return the time of a measurement over espressivo's, median of the rounds."""
    ours = next(w["seconds"] for w in speed["ways"] if w["name"] == OURS)
    ratios = [s / o for s, o in zip(way["seconds"], ours, strict=True)]
    return float(median(ratios))


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / _MB:.1f} MB"
