"""Load on `espressivo api`: how many streams it answers in time, for how long.

    python benchmarks/server/run.py --streams 100 150 200       # a minute each
    python benchmarks/server/run.py --streams 100 --seconds 1800 --abuse --uploads 1

Clients speak in real time, note after note of 20 to 200 s, each a stream of its own, in
chunks of 0.2 s. Every estimate is compared with the one that `Analyzer.stream` gives;
its delay is taken from when its last chunk was due to be sent, not from when a late
client sent it. Server and clients share this machine. Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espressivo.analyzer import load_model

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.recordings import read_speech, write_m4a
from benchmarks.server.abuse import NOTHING, abuse
from benchmarks.server.clients import Heard, speak
from benchmarks.server.notes import make_notes
from benchmarks.server.uploads import upload
from benchmarks.server.watch import Watch, cpu_of
from benchmarks.shared import shared_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from benchmarks.server.notes import Note

N_NOTES = 40
WARM_UP_S = 10.0
UPLOAD_MINUTES = 5.0
COLUMNS = (
    ("streams", "{streams}"),
    ("estimates", "{estimates:,}"),
    ("p50 ms", "{p50_ms:.0f}"),
    ("p95 ms", "{p95_ms:.0f}"),
    ("p99 ms", "{p99_ms:.0f}"),
    ("p95 from window's end ms", "{window_p95_ms:.0f}"),
    ("server cores", "{server_cores:.2f}"),
    ("clients' cores", "{client_cores:.2f}"),
    ("memory MB", "{memory_mb:.0f}"),
    ("broken or wrong", "{bad}"),
)


class Result(NamedTuple):
    """One run: its row, memory over time, and what came of abuse."""

    row: dict[str, Any]
    memory: list[tuple[float, int]]
    abuse: list[tuple[str, str, int]]
    bad: list[str]


def main() -> None:
    """Run each load; print a row of each."""
    args = _arguments()
    analyzer = load_model(args.model)
    notes = make_notes(
        args.speech, analyzer, n=N_NOTES, chunk_s=args.chunk, hop_s=args.hop
    )
    results = []
    print(_table_line(name for name, _ in COLUMNS))
    print(_table_line("---" for _ in COLUMNS))
    for n_streams in args.streams:
        with TemporaryDirectory() as folder, serving(args, n_streams) as (url, pid):
            sound = read_speech(args.speech, UPLOAD_MINUTES)
            recording = write_m4a(Path(folder) / "recording.m4a", sound)
            report = analyzer.analyze(recording, name=recording.name).to_dict()
            load = Load(args, url, pid, notes, n_streams)
            result = asyncio.run(load.run((recording, json.loads(json.dumps(report)))))
        results.append(result)
        print(_table_line(form.format(**result.row) for _, form in COLUMNS), flush=True)
        for what in result.bad[:5]:
            print(f"  {what}")
        _print_details(result)
    if args.json:
        content = [result._asdict() for result in results]
        args.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    sys.exit(1 if any(result.bad for result in results) else 0)


@contextmanager
def serving(args: argparse.Namespace, n_streams: int) -> Iterator[tuple[str, int]]:
    """Run the server; give its address and its process."""
    command = [sys.executable, "-m", "espressivo", "api", "--port", "0"]
    command += ["--model", args.model, "--max-rate", "0"]
    command += ["--max-streams", str(n_streams + 50)]
    if args.abuse:  # so that each kind of it comes about many times in a run
        command += ["--idle", "10", "--ping", "5", "--slow", "5", "--max-upload", "8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            yield next(word for word in words if word.startswith("http")), process.pid
        finally:
            process.terminate()
    if process.returncode:
        raise SystemExit(f"the server ended with {process.returncode}")


class Load:
    """One run against a server.

    Args:
        args: Of the command.
        url: Of the server.
        pid: Of its process.
        notes: What clients say.
        n_streams: How many clients say it at a time.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        url: str,
        pid: int,
        notes: list[Note],
        n_streams: int,
    ) -> None:
        self._args, self._url, self._pid = args, url, pid
        self._notes, self._n_streams = notes, n_streams
        self._heard = Heard()
        self._found: Counter[tuple[str, str]] = Counter()
        self._took: list[float] = []

    async def run(self, upload_: tuple[Path, dict[str, Any]]) -> Result:
        """Run it to its end.

        Args:
            upload_: A recording, and the report of it.
        """
        begun = time.monotonic()
        until = begun + WARM_UP_S + self._args.seconds
        watch = Watch(self._pid)
        watching = asyncio.create_task(watch.watch())
        async with asyncio.TaskGroup() as group:
            for i in range(self._n_streams):
                target = f"{self._url.replace('http', 'ws', 1)}v1/stream"
                target += f"?hop={self._args.hop:g}"
                random_ = random.Random(i)  # noqa: S311 - the same in every run
                group.create_task(
                    speak(target, self._notes, until, random_, self._heard)
                )
            if self._args.abuse:
                group.create_task(
                    abuse(self._url, self._notes[0], until - 20, self._found)
                )
            for _ in range(self._args.uploads):
                group.create_task(upload(self._url, *upload_, until, self._took))
            await asyncio.sleep(WARM_UP_S)
            self._forget()
            server, ours = cpu_of(self._pid), time.process_time()
            took = time.monotonic()
            await asyncio.sleep(until - time.monotonic())
            took = time.monotonic() - took
            server, ours = cpu_of(self._pid) - server, time.process_time() - ours
        watching.cancel()
        return self._result(watch, server / took, ours / took)

    def _forget(self) -> None:
        """Leave out what was measured while clients began."""
        for values in (self._heard.after_sound_s, self._heard.after_window_s):
            values.clear()
        self._heard.behind_s.clear()

    def _result(self, watch: Watch, server_cores: float, client_cores: float) -> Result:
        heard = self._heard
        sound, window, behind = (
            1000 * np.array(values or [np.nan])
            for values in (heard.after_sound_s, heard.after_window_s, heard.behind_s)
        )
        p50, p95, p99 = np.percentile(sound, (50, 95, 99)).tolist()
        stuck = [f"{k}: {came}" for k, came in self._found if came == NOTHING]
        bad = [*heard.broken, *heard.wrong, *stuck]
        row = {
            "streams": self._n_streams,
            "seconds": self._args.seconds,
            "hop_s": self._args.hop,
            "chunk_s": self._args.chunk,
            "estimates": len(heard.after_sound_s),
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "window_p95_ms": float(np.percentile(window, 95)),
            "behind_p95_ms": float(np.percentile(behind, 95)),
            "server_cores": server_cores,
            "client_cores": client_cores,
            "memory_mb": watch.memory[-1][1] / 1e6,
            "ended": heard.n_streams,
            "uploads": len(self._took),
            "upload_p50_s": float(np.median(self._took)) if self._took else None,
            "bad": len(bad),
        }
        abused = [(*key, n) for key, n in sorted(self._found.items())]
        return Result(row, watch.memory, abused, bad)


def _print_details(result: Result) -> None:
    """Print memory over time, and what came of abuse."""
    row = result.row
    print(f"  clients sent late: p95 {row['behind_p95_ms']:.0f} ms", end="")
    print(f"; {row['ended']} streams ended with a report", end="")
    if row["uploads"]:
        print(f"; {row['uploads']} uploads, median {row['upload_p50_s']:.2f} s", end="")
    print()
    n = len(result.memory)
    shown = [result.memory[i * (n - 1) // 10] for i in range(11)]
    told = ", ".join(f"{at / 60:.1f} min {b / 1e6:.0f}" for at, b in shown)
    print(f"  memory in MB: {told}")
    for kind, came, times in result.abuse:
        print(_table_line((kind, came, str(times))))


def _table_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, nargs="+", default=[50, 100, 150, 200])
    parser.add_argument("--seconds", type=float, default=60, help="after a warm-up")
    parser.add_argument("--hop", type=float, default=2.0, help="seconds")
    parser.add_argument("--chunk", type=float, default=0.2, help="seconds of a message")
    parser.add_argument("--model", default="espressivo-tiny")
    parser.add_argument("--speech", type=shared_path, default="$ESPRESSIVO_DATA/speech")
    parser.add_argument("--abuse", action="store_true", help="misbehave besides")
    parser.add_argument(
        "--uploads",
        type=int,
        default=0,
        metavar="N",
        help="clients that send 5 minutes",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome")
    return parser.parse_args()


if __name__ == "__main__":
    main()
