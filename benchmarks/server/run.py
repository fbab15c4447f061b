"""Load test of `espressivo api`: latency of estimates by number of streams.

    python benchmarks/server/run.py --streams 100 150 200       # a minute each
    python benchmarks/server/run.py --streams 100 --seconds 1800 --abuse --uploads 1

Clients stream notes of 20 to 200 s in real time, one WebSocket per note, in chunks of
0.2 s. Every estimate is compared with the one that `Analyzer.stream` returns. Latency
is counted from the time at which its last chunk was due to be sent, even if the client
sent that chunk late. Server and clients share this machine. Linux only.
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
from benchmarks.server.clients import Measurements, stream_notes
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
    """Results of one load.

    Attributes:
        row: Figures of the table, by key of `COLUMNS`, and further ones.
        memory: (seconds since the start, resident bytes of the server).
        abuse: (kind of misbehaviour, outcome, how often).
        bad: Descriptions of streams that broke and of results that were wrong.
    """

    row: dict[str, Any]
    memory: list[tuple[float, int]]
    abuse: list[tuple[str, str, int]]
    bad: list[str]


def main() -> None:
    """Run each load and print one row for it."""
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
    """Run the server; yield its URL and its process id."""
    command = [sys.executable, "-m", "espressivo", "api", "--port", "0"]
    command += ["--model", args.model, "--max-rate", "0"]
    command += ["--max-streams", str(2 * n_streams + 50)]  # for a client, 3 of 4
    if args.abuse:  # short timeouts, so that every kind occurs many times in a run
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
    """One load on a running server.

    Args:
        args: Parsed command line.
        url: Base URL of the server.
        pid: Process id of the server.
        notes: Notes that clients stream.
        n_streams: Number of simultaneous streams.
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
        self._measured = Measurements()
        self._found: Counter[tuple[str, str]] = Counter()
        self._took: list[float] = []

    async def run(self, upload_: tuple[Path, dict[str, Any]]) -> Result:
        """Run all clients until the time is over, and return the figures.

        Args:
            upload_: A recording, and the report that its upload is expected to return.
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
                    stream_notes(target, self._notes, until, random_, self._measured)
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
        """Discard the latencies of the warm-up."""
        for values in (self._measured.after_sound_s, self._measured.after_window_s):
            values.clear()
        self._measured.behind_s.clear()

    def _result(self, watch: Watch, server_cores: float, client_cores: float) -> Result:
        measured = self._measured
        sound, window, behind = (
            1000 * np.array(values or [np.nan])
            for values in (
                measured.after_sound_s,
                measured.after_window_s,
                measured.behind_s,
            )
        )
        p50, p95, p99 = np.percentile(sound, (50, 95, 99)).tolist()
        stuck = [f"{k}: {came}" for k, came in self._found if came == NOTHING]
        bad = [*measured.broken, *measured.wrong, *stuck]
        row = {
            "streams": self._n_streams,
            "seconds": self._args.seconds,
            "hop_s": self._args.hop,
            "chunk_s": self._args.chunk,
            "estimates": len(measured.after_sound_s),
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "window_p95_ms": float(np.percentile(window, 95)),
            "behind_p95_ms": float(np.percentile(behind, 95)),
            "server_cores": server_cores,
            "client_cores": client_cores,
            "memory_mb": watch.memory[-1][1] / 1e6,
            "ended": measured.n_streams,
            "uploads": len(self._took),
            "upload_p50_s": float(np.median(self._took)) if self._took else None,
            "bad": len(bad),
        }
        abused = [(*key, n) for key, n in sorted(self._found.items())]
        return Result(row, watch.memory, abused, bad)


def _print_details(result: Result) -> None:
    """Print memory over time, and the outcomes of misbehaving clients."""
    row = result.row
    print(f"  clients sent late: p95 {row['behind_p95_ms']:.0f} ms", end="")
    print(f"; {row['ended']} streams ended with a report", end="")
    if row["uploads"]:
        print(f"; {row['uploads']} uploads, median {row['upload_p50_s']:.2f} s", end="")
    print()
    n = len(result.memory)
    shown = [result.memory[i * (n - 1) // 10] for i in range(11)]
    series = ", ".join(f"{at / 60:.1f} min {b / 1e6:.0f}" for at, b in shown)
    print(f"  memory in MB: {series}")
    for kind, came, times in result.abuse:
        print(_table_line((kind, came, str(times))))


def _table_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, nargs="+", default=[50, 100, 150, 200])
    parser.add_argument("--seconds", type=float, default=60, help="without warm-up")
    parser.add_argument("--hop", type=float, default=2.0, help="seconds")
    parser.add_argument("--chunk", type=float, default=0.2, help="seconds of a message")
    parser.add_argument("--model", default="espressivo-tiny")
    parser.add_argument("--speech", type=shared_path, default="$ESPRESSIVO_DATA/speech")
    parser.add_argument(
        "--abuse", action="store_true", help="run misbehaving clients as well"
    )
    parser.add_argument(
        "--uploads",
        type=int,
        default=0,
        metavar="N",
        help="clients that upload recordings of 5 minutes",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome")
    return parser.parse_args()


if __name__ == "__main__":
    main()
