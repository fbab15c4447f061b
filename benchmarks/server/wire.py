"""Requests that no client of good will sends, byte by byte, and their responses.

`REQUESTS` holds them by kind. Many are followed by `SECOND`, a request of its own: it
could be smuggled where a server and a proxy disagree on where the first one ends. So
the statuses of all responses are given, in order.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST = b"Host: 127.0.0.1\r\n"
SECOND = b"GET /health HTTP/1.1\r\n" + _HOST + b"Connection: close\r\n\r\n"

_POST = b"POST /v1/analyze HTTP/1.1\r\n" + _HOST
_GET = b"GET /health HTTP/1.1\r\n" + _HOST
_NONE = b"POST /none HTTP/1.1\r\n" + _HOST
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LAST = b"0\r\n\r\n"
HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\n" + _HOST + b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
"""Head of a stream, without the empty line."""


class Sent(NamedTuple):
    """Bytes to send on a connection, and the statuses of all responses, in order."""

    content: bytes
    statuses: tuple[int, ...]


def _lengths() -> Iterable[Sent]:
    """Bodies of 4 bytes, of which each is told another length."""
    for lines, *statuses in (
        (b"Content-Length: 4\r\nContent-Length: 5", 400),
        (b"Content-Length: 4\r\nContent-Length: 4", 422),
        (b"Content-Length: 4, 5", 400),
        (b"Content-Length: +4", 400),
        (b"Content-Length: -4", 400),
        (b"Content-Length: 0x4", 400),
        (b"Content-Length: 4_0", 400),
        (b"Content-Length: 4.0", 400),
        (b"Content-Length:", 400),
        (b"Content-Length: " + b"9" * 5000, 400),
        (b"Content-Length: 4\r\n" + _CHUNKED.rstrip(), 400),
        (_CHUNKED + b"Content-Length: 4", 400),
        (b"Content-Length : 4", 400),
        (b"Content-Length\r\n: 4", 400),
    ):
        yield Sent(_POST + lines + b"\r\n\r\nabcd" + SECOND, (*statuses,))
    # What is left over begins the next request, whose method is then `cdGET`.
    yield Sent(_NONE + b"Content-Length: 2\r\n\r\nabcd" + SECOND, (404, 405))


def _encodings() -> Iterable[Sent]:
    for line, status in (
        (b"Transfer-Encoding: xchunked", 400),
        (b"Transfer-Encoding: gzip, chunked", 400),
        (b"Transfer-Encoding: chunked, identity", 400),
        (b"Transfer-Encoding: identity", 400),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", 400),
        (b"Transfer-Encoding: \x0bchunked", 400),
        (b"Transfer-Encoding: 'chunked'", 400),
        (b"Transfer-Encoding : chunked", 400),
        (b"Transfer-Encoding\x00: chunked", 400),
        (b"Transfer-Encoding: chunked\x00", 400),
        (b"Transfer-Encoding:\tchunked\t", 422),
        (b"Transfer-Encoding:\r\n chunked", 422),
        (b"TRANSFER-ENCODING: CHUNKED", 422),
    ):
        yield Sent(_POST + line + b"\r\n\r\n" + _LAST + SECOND, (status,))
    old = _POST.replace(b"HTTP/1.1", b"HTTP/1.0")
    yield Sent(old + _CHUNKED + b"\r\n" + _LAST + SECOND, (400,))


def _chunks() -> Iterable[Sent]:
    for chunks, *statuses in (
        (b"zz\r\nabc\r\n0\r\n\r\n", 400),
        (b"-1\r\nabc\r\n0\r\n\r\n", 400),
        (b"0x3\r\nabc\r\n0\r\n\r\n", 400),
        (b"f" * 21 + b"\r\nabc\r\n0\r\n\r\n", 400),
        (b"3\r\nabcXX0\r\n\r\n", 400),
        (b"3\r\nabcd\r\n0\r\n\r\n", 400),
        (b"3\nabc\n0\n\n", 400),
        (b"3 \r\nabc\r\n0\r\n\r\n", 404, 200),
        (b"3;a=b\r\nabc\r\n0\r\n\r\n", 404, 200),
        (b"3\r\nabc\r\n0\r\nA: b\r\n\r\n", 404, 200),
        (b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", 404, 200),
    ):
        yield Sent(_NONE + _CHUNKED + b"\r\n" + chunks + SECOND, (*statuses,))


def _long_heads() -> Iterable[Sent]:
    end = b"Connection: close\r\n\r\n"
    yield Sent(_GET + b"X: " + b"a" * 60_000 + b"\r\n" + end, (200,))
    yield Sent(_GET + b"a:b\r\n" * 10_000 + end, (200,))
    yield Sent(b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\n" + _HOST + end, (404,))
    yield Sent(b"A" * 60_000 + b" /health HTTP/1.1\r\n" + _HOST + end, (405,))
    yield Sent(_GET + b"X: " + b"a" * 2**20, (400,))
    yield Sent(_GET + b"a:b\r\n" * 2**18, (400,))
    yield Sent(b"GET /" + b"a" * 2**20, (400,))
    yield Sent(_POST + _CHUNKED + b"\r\n1;" + b"a" * 2**20, (400,))


def _targets() -> Iterable[Sent]:
    for target, status in (
        (b"http://127.0.0.1/health", 404),
        (b"http://evil.example/health", 404),
        (b"//health", 404),
        (b"/v1/../health", 404),
        (b"/health/", 404),
        (b"/health%00", 404),
        (b"/%ff", 404),
        (b"/%68ealth", 200),
        (b"/health#x", 404),
        (b"*", 404),
        (b"", 400),
        (b"/\xc3\xa9", 400),
        (b"/a b", 400),
    ):
        yield Sent(b"GET " + target + b" HTTP/1.1\r\n" + SECOND[22:], (status,))
    line = b"CONNECT evil.example:443 HTTP/1.1\r\n"
    yield Sent(line + SECOND[22:], (404,))
    yield Sent(
        b"GET http://127.0.0.1/health HTTP/1.1\r\nHost: evil.example\r\n\r\n", (421,)
    )


def _versions() -> Iterable[Sent]:
    yield Sent(b"GET /health HTTP/1.0\r\n\r\n", (421,))
    yield Sent(b"GET /health HTTP/1.0\r\n" + _HOST + b"\r\n" + SECOND, (200,))
    keep = _HOST + b"Connection: keep-alive\r\n\r\n"
    yield Sent(b"GET /health HTTP/1.0\r\n" + keep + SECOND, (200,))
    yield Sent(b"GET /health\r\n\r\n", (400,))
    yield Sent(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (421,))
    yield Sent(b"\x16\x03\x01\x00\xee\x01\x00\x00\xea\x03\x03" + bytes(200), (400,))


def _heads() -> Iterable[Sent]:
    for head, status in (
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n" + _HOST + _HOST + b"\r\n", 400),
        (b"GET /health HTTP/1.1\r" + _HOST + b"\r\n", 400),
        (b"GET /health HTTP/1.1\r\n " + _HOST + b"\r\n", 400),
        (_GET + b"X: a\x00b\r\n\r\n", 400),
        (_GET + b"X\x00: a\r\n\r\n", 400),
        (_GET + b"X: a\rb\r\n\r\n", 400),
        (_GET + b"no colon\r\n\r\n", 400),
        (_GET + b": nothing\r\n\r\n", 400),
        (b"\r\n\r\n" + _GET + b"\r\n", 400),
        (b"get /health HTTP/1.1\r\n" + SECOND[22:], 405),
    ):
        yield Sent(head, (status,))


def _after_errors() -> Iterable[Sent]:
    """A connection goes on after some errors, and then as if nothing had been."""
    body = b"Content-Length: 5000\r\n\r\n" + SECOND * 100
    body = body[: body.index(b"\r\n\r\n") + 4 + 5000]  # a request as a body
    yield Sent(_NONE + body + SECOND, (404, 200))
    put = _NONE.replace(b"POST /none", b"PUT /v1/analyze")
    yield Sent(put + body + SECOND, (405, 200))
    yield Sent(_GET + body + SECOND, (200, 200))
    yield Sent(_POST + body + SECOND, (422,))
    yield Sent(_POST.replace(b"analyze", b"analyze?track=x") + body + SECOND, (400,))
    yield Sent(_NONE + _CHUNKED + b"\r\nzz\r\n" + SECOND, (400,))


def _pipelines() -> Iterable[Sent]:
    yield Sent((_GET + b"\r\n") * 50 + SECOND, (200,) * 51)
    some = _NONE + b"Content-Length: 4\r\n\r\nabcd" + _GET + b"\r\n"
    yield Sent(some * 10 + SECOND, (404, 200) * 10 + (200,))
    yield Sent(_POST + b"Content-Length: 4\r\n\r\nabcd" + SECOND * 20, (422,))


def _handshakes() -> Iterable[Sent]:
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    for head, status in (
        (HANDSHAKE + b"Content-Length: 4\r\n\r\nabcd", 400),
        (HANDSHAKE + _CHUNKED + b"\r\n" + _LAST, 400),
        (HANDSHAKE + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 400),
        (HANDSHAKE + b"a:b\r\n" * 200 + b"\r\n", 400),
        (HANDSHAKE + key + b"\r\n", 400),
        (HANDSHAKE.replace(key, b"") + b"\r\n", 400),
        (HANDSHAKE.replace(b": 13", b": 12") + b"\r\n", 400),
        (HANDSHAKE.replace(b"websocket", b"h2c") + b"\r\n", 426),
        (HANDSHAKE.replace(b"stream", b"stream?hop=x") + b"\r\n", 400),
        (HANDSHAKE.replace(b"/v1/stream", b"/health") + b"\r\n", 403),
        (HANDSHAKE + b"Origin: https://evil.example\r\n\r\n", 403),
        (HANDSHAKE.replace(b"127.0.0.1", b"evil.example") + b"\r\n", 421),
    ):
        yield Sent(head, (status,))


REQUESTS = {
    "lengths": (*_lengths(),),
    "transfer encodings": (*_encodings(),),
    "chunks": (*_chunks(),),
    "long heads": (*_long_heads(),),
    "targets": (*_targets(),),
    "versions": (*_versions(),),
    "broken heads": (*_heads(),),
    "reuse after an error": (*_after_errors(),),
    "pipelines": (*_pipelines(),),
    "handshakes": (*_handshakes(),),
}


def exchange(
    url: str, content: bytes, then: bytes = b"", timeout_s: float = 60.0
) -> bytes:
    """Send bytes on a connection of their own, and return all until it is closed.

    Args:
        url: URL of the server.
        content: Bytes to send.
        then: Bytes to send after the first head of a response.
        timeout_s: Time without anything received or sent, in seconds.

    Raises:
        TimeoutError: The server kept the connection open.
    """
    place = urlsplit(url)
    came = bytearray()
    with socket.create_connection((place.hostname, place.port), timeout_s) as client:
        try:
            client.sendall(content)
            while then and not came.endswith(b"\r\n\r\n"):
                if not (piece := client.recv(1)):
                    return bytes(came)
                came += piece
            client.sendall(then)
            while piece := client.recv(65536):
                came += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed before everything was sent or read
    return bytes(came)


def statuses_of(came: bytes) -> tuple[int, ...]:
    """Return the statuses of HTTP responses, each with a Content-Length."""
    statuses = []
    while came:
        head, _, came = came.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        statuses.append(int(line.split()[1]))
        lengths = [f[15:] for f in fields if f.lower().startswith(b"content-length:")]
        came = came[int(lengths[0]) if lengths else len(came) :]
    return tuple(statuses)
