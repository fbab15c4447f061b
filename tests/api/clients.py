"""A real API server on a free port, and clients that send real requests."""

from __future__ import annotations

import io
import json
import re
import socket
import wave
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from espressivo.serve.api.server import ApiServer
from tests.waiting import PATIENCE_S, until

TOKEN = "a-token-of-the-tests"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        return self.json["reason"]


@contextmanager
def running(analyzer, host="127.0.0.1", prepare=None, **options):
    """Serve in a thread and yield the URL; stop at exit like on SIGTERM."""
    server = ApiServer(analyzer, host, 0, **options)
    if prepare is not None:
        prepare(server)
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def connection_to(url):
    parts = urlsplit(url)
    return HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)


def ask(url, target, method="GET", body=None, **headers):
    with closing(connection_to(url)) as connection:
        return ask_on(connection, target, method, body, **headers)


def ask_on(connection, target, method="GET", body=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, target, body, names)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def analyze(url, body, target="/v1/analyze", **headers):
    return ask(url, target, "POST", body, **headers)


def form(*files, boundary="a-boundary"):
    """Return the body of a multipart form and its content type."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file{i}"; '
        f'filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for i, (name, content) in enumerate(files)
    ]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def stream_of(url, query="", **options):
    """Open a WebSocket to `/v1/stream`."""
    target = f"{url.replace('http', 'ws', 1)}v1/stream{query}"
    # Without pings, to which a busy machine answers too late, so that the client ends
    # the connection before the server does.
    given = {"compression": None, "open_timeout": PATIENCE_S, "ping_interval": None}
    return connect(target, **given, **options)


def end(stream):
    """Send the end of the stream; return all messages that follow."""
    stream.send('{"type": "end"}')
    return rest_of(stream)


def rest_of(stream):
    """Return all messages until the server closes, with any close code."""
    messages = []
    with suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(stream.recv(PATIENCE_S)))
    return messages


def send_until_closed(stream, pcm):
    """Send audio repeatedly without reading, until the server closes."""
    with suppress(ConnectionClosed):
        while True:
            send_all(stream, pcm)


def send_all(stream, pcm, size=32_000):
    for i in range(0, len(pcm), size):
        stream.send(pcm[i : i + size])


def pcm_of(signal):
    return np.round(signal * 32767).astype("<i2").tobytes()


def metric(url, name, **headers):
    """Return the value of a metric; 0 if it is not listed."""
    text = ask(url, "/metrics", **headers).body.decode()
    found = re.search(rf"^{re.escape(name)} (.+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def silence(minutes):
    """Return a silent WAV of 8 kHz and 8 bit as bytes."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 1, 8000, 0, "NONE", None))
        writer.writeframes(b"\x80" * (8000 * 60 * minutes))
    return file.getvalue()


@contextmanager
def half_an_upload(url, content, n_held=1000, **headers):
    """Send a recording except for its last bytes; yield a function that sends these."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as client:
        head = (
            f"POST /v1/analyze HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n"
        )
        for name, value in headers.items():
            head += f"{name.replace('_', '-')}: {value}\r\n"
        client.sendall(head.encode() + b"\r\n" + content[:-n_held])
        until(lambda: metric(url, "espressivo_running_analyses", **headers) >= 1)

        def finish():
            client.sendall(content[-n_held:])
            return answer_of(client)

        yield finish


def answer_of(client):
    """Read one response to its end."""
    answer = read_to_end(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), {}, body)


def read_to_end(client):
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)
