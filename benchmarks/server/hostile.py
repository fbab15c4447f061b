"""Requests and frames of no good will, thousands of each kind, and what they leave.

    python benchmarks/server/hostile.py --times 10000

The kinds are those of `wire.py`, random streams of `frames.py`, and uploads that are
broken off after each of their bytes. All responses must be as they stand there. The
server's memory and descriptors are read after a tenth of each kind, and at its end;
at the end it must have logged nothing, and must answer. Linux only.
"""

from __future__ import annotations

import argparse
import random
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.server.frames import run as run_frames
from benchmarks.server.watch import memory_of
from benchmarks.server.wire import REQUESTS, SECOND, exchange, statuses_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Attack = Callable[[int], str]

N_CLIENTS = 16
FRAMES, ABORTS = "frames", "broken-off uploads"


def main() -> None:
    """Attack a server with each kind in turn."""
    args = _arguments()
    command = [sys.executable, "-m", "espressivo", "api", "--port", "0"]
    command += ["--model", args.model, "--max-rate", "0"]
    command += ["--max-waiting", "64"]  # so that none of our clients is turned away
    with (
        TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        assert server.stdout is not None
        words = server.stdout.readline().split()
        url = next(word for word in words if word.startswith("http"))
        try:
            bad = [k for k in args.kinds if not _attack(url, server.pid, k, args)]
            (status,) = statuses_of(exchange(url, SECOND))
        finally:
            server.terminate()
            server.wait()
        log.seek(0)
        logged = log.read()
    print(f"health afterwards: {status}; logged: {logged or 'nothing'}")
    raise SystemExit(1 if bad or status != 200 or logged else 0)


def _attack(url: str, pid: int, kind: str, args: argparse.Namespace) -> bool:
    """Attack with one kind, print a line, and return whether all was as it should."""
    attack = _attack_of(url, kind)
    begun, findings = time.monotonic(), Counter[str]()
    n_first = max(1, args.times // 10)
    before = (0, 0)
    for numbers in (range(n_first), range(n_first, args.times)):
        with ThreadPoolExecutor(N_CLIENTS) as pool:
            findings.update(pool.map(partial(_tried, attack), numbers))
        time.sleep(3)  # what is refused may linger for 2 s
        after = (memory_of(pid) // 10**6, len([*Path(f"/proc/{pid}/fd").iterdir()]))
        before = before if any(before) else after
    n_right = findings.pop("", 0)
    took_s = time.monotonic() - begun
    print(
        f"{kind}: {args.times} in {took_s:.0f} s, {n_right} as expected; "
        f"{before[0]} to {after[0]} MB, {before[1]} to {after[1]} descriptors",
        flush=True,
    )
    for finding, n in findings.most_common(5):
        print(f"  {n} times: {finding}", flush=True)
    return not findings


def _attack_of(url: str, kind: str) -> Attack:
    if kind == FRAMES:
        return lambda i: run_frames(url, random.Random(i))  # noqa: S311 - repeatable
    if kind == ABORTS:
        return partial(broken_off, url)
    return partial(_request, url, kind)


def _tried(attack: Attack, i: int) -> str:
    try:
        return attack(i)
    except (OSError, ValueError, IndexError) as error:
        return f"{type(error).__name__}: {error}"


def _request(url: str, kind: str, i: int) -> str:
    """Send a request; return "" if the responses are right, else what they are."""
    sent = REQUESTS[kind][i % len(REQUESTS[kind])]
    statuses = statuses_of(exchange(url, sent.content))
    if statuses == sent.statuses:
        return ""
    if not statuses and len(sent.content) > 2**18:
        return ""  # closed before everything was sent, which can drop the response
    return f"{sent.content[:90]!r}: {statuses}, not {sent.statuses}"


def broken_off(url: str, i: int) -> str:
    """Break an upload off after `i` bytes, by an end or by a reset."""
    content = upload()
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), 60) as client:
        client.sendall(content[: i % len(content)])
        if i % 2:
            linger = struct.pack("ii", 1, 0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    return ""


def upload() -> bytes:
    """Return a form with a recording of 0.1 s, in chunks."""
    rate, n = 8000, 800
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 1, 8)
    riff = form + b"data" + struct.pack("<I", n) + b"\x80" * n
    head = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    riff = b"RIFF" + struct.pack("<I", len(riff)) + riff
    content = b"--b\r\n" + head + riff + b"\r\n--b--\r\n"
    pieces = [content[at : at + 100] for at in range(0, len(content), 100)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return (
        b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    )


def _arguments() -> argparse.Namespace:
    kinds = [*REQUESTS, FRAMES, ABORTS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=10_000, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--model", default="espressivo-tiny")
    return parser.parse_args()


if __name__ == "__main__":
    main()
