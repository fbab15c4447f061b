"""The browser benchmark's results as Markdown."""

from __future__ import annotations

from pathlib import PurePath
from statistics import median
from typing import Any

# Names of the peer's measurements, as `speed.mjs` writes them; ours are the models'.
WHOLE, WINDOWS = "peer, whole", "peer, 8 s windows"
_TITLES = {
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
    for part in (*found.get("app", {}).values(), found.get("speed", {})):
        versions |= part.get("versions", {})
    lines = [
        f"{machine['processor']} ({instructions}), {cores}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"60 s: {found['input']}",
    ]
    if speed := found.get("speed"):
        isolated = (
            "isolated" if speed["isolated"] else "not isolated (no COOP, no COEP)"
        )
        loading = [f"{name} {s:.1f} s" for name, s in speed["load_s"].items()]
        apart = [f"{name} {value:.4f}" for name, value in speed["difference"].items()]
        lines += [
            f"one WebAssembly thread, pages {isolated}",
            f"loading: {', '.join(loading)}",
            f"largest difference from Python's answer: {', '.join(apart)}",
        ]
    return "  \n".join(lines)


def speed_table(speed: dict[str, Any], seconds: float) -> str:
    """Return one row per model, library and windowing, with the ratio to the first."""
    task = f"{seconds:g} s of speech, model loaded"
    lines = [f"| {task} | median s | x real time | / the first |", "|---|---|---|---|"]
    for way in speed["ways"]:
        middle = median(way["seconds"])
        cells = f"{middle:.2f}", f"{seconds / middle:.1f}", f"{ratio(speed, way):.1f}"
        title = _TITLES.get(way["name"], f"{way['name']}, int8")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def app_table(app: dict[str, dict[str, Any]]) -> str:
    """Return times and bytes of opening the app, one column per model.

    It is opened from a server on this machine.
    """
    columns = [_app_column(found) for found in app.values()]
    rows = [[what, *(column[what] for column in columns)] for what in columns[0]]
    head = ["the app and one model, no network between", *app]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _app_column(found: dict[str, Any]) -> dict[str, str]:
    download = found["download"]
    cold, warm = median(found["cold_s"]), median(found["warm_s"])
    source = "service worker" if found["warm_from_worker"] else "NO service worker"
    return {
        "open to ready, empty profile": f"{cold:.2f} s",
        "open to ready, again": f"{warm:.2f} s ({source})",
        "sent until ready": _megabytes(download["until_ready_bytes"]),
        "sent in all, for use offline too": _megabytes(download["all_bytes"]),
        "sent on opening it again": _megabytes(download["again_bytes"]),
        "its files": _megabytes(found["files_bytes"]),
        "the same, each in gzip": _megabytes(found["files_gzip_bytes"]),
    }


def memory_table(memory: list[dict[str, Any]]) -> str:
    """Return one row per file: seconds, and memory before and at most."""
    lines = ["| file | s | MB before | MB at most |", "|---|---|---|---|"]
    for row in memory:
        name = PurePath(row["file"]).stem
        before, most = (row[key] / _MB for key in ("idle_bytes", "peak_bytes"))
        lines.append(f"| {name} | {row['seconds']:.1f} | {before:.0f} | {most:.0f} |")
    return "\n".join(lines)


def ratio(speed: dict[str, Any], way: dict[str, Any]) -> float:
    """Return the time of a measurement over the first one's, median of the rounds."""
    ours = speed["ways"][0]["seconds"]
    ratios = [s / o for s, o in zip(way["seconds"], ours, strict=True)]
    return float(median(ratios))


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / _MB:.1f} MB"
