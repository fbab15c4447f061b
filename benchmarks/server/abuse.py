"""Misbehaving clients, one coroutine per kind, and how the server ended each."""

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable

    from benchmarks.server.notes import Note

    Abuse = Callable[[str, Note], Awaitable[str]]

PATIENCE_S = 60.0
"""Timeout after which a client that was neither refused nor dropped is a finding."""

NOTHING = f"nothing for {PATIENCE_S:g} s"
"""Outcome that is counted for a client that ran into the timeout."""

_BLOCK = bytes(64 * 1024)


async def abuse(
    url: str, note: Note, until: float, found: Counter[tuple[str, str]]
) -> None:
    """Run every kind of misbehaving client repeatedly.

    Args:
        url: Base URL of the server.
        note: Audio for the kinds that begin with valid messages.
        until: Time on the monotonic clock after which no client is started.
        found: Counter of (kind, outcome), updated in place.
    """
    async with asyncio.TaskGroup() as group:
        for kind, do in _KINDS.items():
            group.create_task(_again(kind, partial(do, url, note), until, found))


async def _again(
    kind: str,
    do: Callable[[], Awaitable[str]],
    until: float,
    found: Counter[tuple[str, str]],
) -> None:
    while time.monotonic() < until:
        try:
            async with asyncio.timeout(PATIENCE_S):
                came = await do()
        except TimeoutError:
            came = NOTHING
        except (OSError, ConnectionClosed) as error:
            came = f"{type(error).__name__}"
        found[kind, came] += 1
        await asyncio.sleep(1)


async def _takes_no_answer(url: str, note: Note) -> str:
    """Send much faster than real time, and read nothing."""
    reader, writer = await _stream(url, most=4096)
    try:
        frames = b"".join(_frame(chunk) for chunk in note.chunks)
        while True:
            writer.write(frames)
            await writer.drain()
    except OSError:
        return "connection cut"
    finally:
        del reader
        writer.transport.abort()


async def _answers_no_ping(url: str, note: Note) -> str:
    """Send one chunk, then neither send nor read, like a client behind a dead link."""
    reader, writer = await _stream(url)
    writer.write(_frame(note.chunks[0]))
    return await _closing(reader, writer)


async def _goes_silent(url: str, note: Note) -> str:
    """Send one chunk, then only answer pings."""
    async with connect(_streams(url), compression=None) as stream:
        await stream.send(note.chunks[0])
        return await _end_of(stream)


async def _half_head(url: str, _: Note) -> str:
    reader, writer = await _tcp(url)
    writer.write(b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
    return await _closing(reader, writer)


async def _half_body(url: str, _: Note) -> str:
    reader, writer = await _tcp(url)
    writer.write(_head(url, "Content-Length: 100000") + _BLOCK)
    return await _closing(reader, writer)


async def _too_large_by_its_head(url: str, _: Note) -> str:
    reader, writer = await _tcp(url)
    writer.write(_head(url, f"Content-Length: {10**12}"))
    return await _closing(reader, writer)


async def _too_large_in_chunks(url: str, _: Note) -> str:
    reader, writer = await _tcp(url)
    writer.write(_head(url, "Transfer-Encoding: chunked"))
    answer = asyncio.create_task(_closing(reader, writer))
    chunk = b"%x\r\n%b\r\n" % (len(_BLOCK), _BLOCK)
    try:
        while not answer.done():
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
    except OSError:
        pass
    return await answer


async def _garbage_bytes(url: str, _: Note) -> str:
    reader, writer = await _tcp(url)
    writer.write(bytes(range(1, 256)) * 8 + b"\r\n\r\n")
    return await _closing(reader, writer)


async def _garbage_frames(url: str, _: Note) -> str:
    """Send a frame with a reserved opcode and reserved bits set."""
    reader, writer = await _stream(url)
    writer.write(bytes((0xFB, 0x84, 0, 0, 0, 0, 1, 2, 3, 4)))
    return await _closing(reader, writer)


async def _garbage_text(url: str, _: Note) -> str:
    async with connect(_streams(url), compression=None) as stream:
        await stream.send("{" * 1000)
        return await _end_of(stream)


async def _half_samples(url: str, note: Note) -> str:
    async with connect(_streams(url), compression=None) as stream:
        await stream.send(note.chunks[0][:-1])
        return await _end_of(stream)


async def _huge_message(url: str, _: Note) -> str:
    async with connect(_streams(url), compression=None) as stream:
        await stream.send(bytes(2**20))
        return await _end_of(stream)


async def _no_recording(url: str, _: Note) -> str:
    reader, writer = await _tcp(url)
    writer.write(_head(url, "Content-Length: 5000") + bytes(range(250)) * 20)
    return await _closing(reader, writer)


async def _leaves_at_once(url: str, note: Note) -> str:
    """Abort the connection in the middle of a stream."""
    _, writer = await _stream(url)
    writer.write(_frame(note.chunks[0]))
    await writer.drain()
    writer.transport.abort()
    return "(it left)"


_KINDS: dict[str, Abuse] = {
    "takes no answers": _takes_no_answer,
    "answers no ping": _answers_no_ping,
    "goes silent": _goes_silent,
    "half a head": _half_head,
    "half a body": _half_body,
    "too large, as it says": _too_large_by_its_head,
    "too large, in chunks": _too_large_in_chunks,
    "garbage for HTTP": _garbage_bytes,
    "garbage for frames": _garbage_frames,
    "garbage for a text": _garbage_text,
    "half a sample": _half_samples,
    "a message of 1 MiB": _huge_message,
    "no recording": _no_recording,
    "leaves in the middle": _leaves_at_once,
}


def _streams(url: str) -> str:
    return f"{url.replace('http', 'ws', 1)}v1/stream?hop=0.5"


async def _tcp(
    url: str, most: int | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, with a receive buffer of about `most` bytes if that is given."""
    place = urlsplit(url)
    plain = socket.socket()
    if most is not None:
        # A small buffer makes the server's sends block soon.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, most)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, (place.hostname, place.port))
    return await asyncio.open_connection(sock=plain, limit=most or 2**16)


async def _stream(
    url: str, most: int | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket by hand, since client libraries follow the protocol."""
    reader, writer = await _tcp(url, most)
    writer.write(
        b"GET /v1/stream?hop=0.5 HTTP/1.1\r\n"
        + f"Host: {urlsplit(url).netloc}\r\n".encode()
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def _head(url: str, header: str) -> bytes:
    host = urlsplit(url).netloc
    return f"POST /v1/analyze HTTP/1.1\r\nHost: {host}\r\n{header}\r\n\r\n".encode()


def _frame(payload: bytes) -> bytes:
    """Return a binary WebSocket frame; a zero mask leaves the payload unchanged."""
    return b"\x82\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


async def _closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Read until the server closes; return the HTTP status or the close code."""
    came = bytearray()
    try:
        while block := await reader.read(2**16):
            came += block
    except ConnectionError:
        came += b""  # what came before it was cut still counts
    finally:
        writer.transport.abort()
    if came.startswith(b"HTTP/1.1 "):
        return came[9:12].decode()
    at = came.rfind(b"\x88")  # a close frame: its length, then its code
    if at >= 0:
        code = int.from_bytes(came[at + 2 : at + 4], "big")
        return f"{code} {came[at + 4 :].decode(errors='replace')}"
    return "connection cut"


async def _end_of(stream: ClientConnection) -> str:
    try:
        async for _ in stream:
            pass
    except ConnectionClosed:
        pass
    code = stream.close_code
    return f"{code} {stream.close_reason}"
