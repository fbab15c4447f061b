"""What one hostile client costs another: half-open connections, and hours of silence.

    python benchmarks/server/starve.py

The hostile client keeps 300 half-open connections, and 12 uploads under way. Half of
these are 20,000 s of silence as Opus (7.5 MB), which announce their length, half are
the same with a last page that says 8 s. The other client, of another address, uploads
a recording of 8 s about every second and streams a note, first alone and then under
the attack. Server and clients share this machine. Linux only, where all of 127/8 is
loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import av
import numpy as np

from espressivo.analyzer import load_model

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.recordings import read_speech, write_m4a
from benchmarks.server.clients import Measurements, stream_notes
from benchmarks.server.notes import make_notes
from benchmarks.server.uploads import upload
from benchmarks.server.watch import Watch
from benchmarks.shared import shared_path

if TYPE_CHECKING:
    from benchmarks.server.notes import Note

HOSTILE = "127.0.0.2"
N_HALF_OPEN, N_UPLOADS = 300, 12
SILENCE_S = 20_000
WARM_UP_S = 5.0


def main() -> None:
    """Measure the other client alone, then under the attack."""
    args = _arguments()
    if args.attack:
        asyncio.run(attack(*args.attack))
        return
    analyzer = load_model(args.model)
    (note,) = make_notes(args.speech, analyzer, n=1, chunk_s=0.2, hop_s=2.0)
    with TemporaryDirectory() as folder:
        honest = Path(folder) / "honest.ogg"
        write_silence(honest)
        content = honest.read_bytes()
        print(f"silence: {len(content) / 1e6:.1f} MB")
        honest.with_name("forged.ogg").write_bytes(forged(content, 8))
        recording = write_m4a(
            Path(folder) / "recording.m4a", read_speech(args.speech, 8 / 60)
        )
        report = analyzer.analyze(recording, name=recording.name).to_dict()
        expected = json.loads(json.dumps(report))
        command = [sys.executable, "-m", "espressivo", "api", "--port", "0"]
        command += ["--model", args.model, "--max-rate", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                words = server.stdout.readline().split()
                url = next(word for word in words if word.startswith("http"))
                client = Client(url, recording, expected, note, server.pid)
                print(asyncio.run(client.measure("alone", args.seconds)), flush=True)
                hostile = [sys.executable, __file__, "--attack", url, folder]
                with subprocess.Popen(hostile) as attacker:
                    time.sleep(WARM_UP_S)
                    print(asyncio.run(client.measure("attacked", args.seconds)))
                    attacker.terminate()
            finally:
                server.terminate()


class Client:
    """The client that is to be served.

    Args:
        url: Base URL of the server.
        recording: Recording to upload.
        expected: Its report.
        note: Note to stream.
        pid: Process id of the server.
    """

    def __init__(
        self,
        url: str,
        recording: Path,
        expected: dict[str, object],
        note: Note,
        pid: int,
    ) -> None:
        self._url, self._recording, self._expected = url, recording, expected
        self._note, self._pid = note, pid

    async def measure(self, name: str, seconds: float) -> str:
        """Upload and stream for a while; return a line of figures."""
        measured, took = Measurements(), list[float]()
        until = time.monotonic() + seconds
        target = f"{self._url.replace('http', 'ws', 1)}v1/stream?hop=2"
        watch = Watch(self._pid)
        watching = asyncio.create_task(watch.watch(0.2))
        streaming = stream_notes(
            target,
            [self._note],
            until,
            random.Random(0),  # noqa: S311 - the same in every run
            measured,
        )
        sending = upload(self._url, self._recording, self._expected, until, took)
        await asyncio.gather(streaming, sending)
        watching.cancel()
        bad = [*measured.broken, *measured.wrong]
        load = os.getloadavg()[0]  # of other programs, too
        lags = np.percentile(measured.after_sound_s or [np.nan], (50, 95)) * 1000
        most = max(n for _, n in watch.memory) / 1e6
        return (
            f"{name}: {len(took)} recordings of 8 s, median {np.median(took):.3f} s, "
            f"slowest {max(took):.3f} s; {len(measured.after_sound_s)} estimates, p50 "
            f"{lags[0]:.0f} ms, p95 {lags[1]:.0f} ms; memory at most {most:.0f} MB; "
            f"{len(bad)} broken or wrong {bad[:2]}; load at the end {load:.1f}"
        )


async def attack(url: str, folder: str) -> None:
    """Attack until the process is ended; print what came of the uploads."""
    came: Counter[str] = Counter()
    files = [(Path(folder) / f"{n}.ogg").read_bytes() for n in ("honest", "forged")]
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(N_HALF_OPEN):
                group.create_task(_half_open(url, came))
            for i in range(N_UPLOADS):
                group.create_task(_upload(url, files[i % 2], i % 2, came))
            while True:
                await asyncio.sleep(5)
                print(f"  attack so far: {dict(sorted(came.items()))}", flush=True)
    except* OSError as error:
        print(f"  attack ended: {error.exceptions[0]}")


async def _half_open(url: str, came: Counter[str]) -> None:
    """Open a connection, send half a head, and begin again when it is closed."""
    while True:
        with suppress(ConnectionError):
            reader, writer = await _connected(url)
            writer.write(b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
            await reader.read()
            writer.transport.abort()
        came["half-open connections closed"] += 1
        await asyncio.sleep(1)


async def _upload(url: str, content: bytes, which: int, came: Counter[str]) -> None:
    name = ("honest", "forged")[which]
    head = (
        f"POST /v1/analyze HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    while True:
        answer = b""
        with suppress(ConnectionError):
            reader, writer = await _connected(url)
            writer.write(head.encode() + content)
            answer = await reader.read()
            writer.transport.abort()
        came[f"{name}: {answer[9:12].decode() or 'cut'}"] += 1
        await asyncio.sleep(0.2)


async def _connected(
    url: str,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(url)
    return await asyncio.open_connection(
        place.hostname, place.port, local_addr=(HOSTILE, 0)
    )


def write_silence(path: Path) -> None:
    """Write `SILENCE_S` seconds of silence as Opus in Ogg: a second, many times."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = 6000
        zeros = np.zeros((1, 48_000), np.int16)
        second = av.AudioFrame.from_ndarray(zeros, format="s16", layout="mono")
        second.sample_rate, second.pts = 48_000, 0
        packets = [*stream.encode(second), *stream.encode(None)]
        content = bytes(packets[10])
        for i in range(SILENCE_S * 50):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, 48_000)
            packet.pts = packet.dts = i * 960
            packet.duration = 960
            container.mux(packet)


def forged(content: bytes, seconds: float) -> bytes:
    """Return an Ogg file whose last page says that it ends after so many seconds."""
    at = content.rfind(b"OggS")
    page = bytearray(content[at:])
    page[6:14] = round(seconds * 48_000).to_bytes(8, "little")
    page[22:26] = bytes(4)
    crc = 0
    for byte in page:  # RFC 3533, section 6
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    page[22:26] = crc.to_bytes(4, "little")
    return content[:at] + bytes(page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30, help="of each part")
    parser.add_argument("--model", default="espressivo-tiny")
    parser.add_argument("--speech", type=shared_path, default="$ESPRESSIVO_DATA/speech")
    parser.add_argument("--attack", nargs=2, metavar=("URL", "FOLDER"), help="internal")
    return parser.parse_args()


if __name__ == "__main__":
    main()
