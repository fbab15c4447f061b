"""What no client of good will sends; in large: benchmarks/server/hostile.py."""

from __future__ import annotations

import random
import socket
import struct
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from benchmarks.server import frames
from benchmarks.server.hostile import broken_off, upload
from benchmarks.server.wire import HANDSHAKE, REQUESTS, exchange, statuses_of
from espressivo.serve.api.limits import Limits
from tests.api.clients import (
    TOKEN,
    analyze,
    ask,
    form,
    metric,
    read_to_end,
    running,
    stream_of,
)
from tests.conftest import NOTE
from tests.waiting import PATIENCE_S, until


@pytest.fixture(scope="module")
def url(analyzer):
    with running(analyzer, limits=Limits(max_per_minute=0)) as url:
        yield url


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog):
    """Clients write nothing to the log, or they could fill it."""
    yield
    assert caplog.get_records("call") == []


def n_descriptors():
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_request_is_read_in_one_way_or_refused(url, kind):
    for sent in REQUESTS[kind]:
        came = statuses_of(exchange(url, sent.content))
        # What is closed before all of it was sent may lose the response.
        assert came == sent.statuses or (not came and len(sent.content) > 2**18)
    assert ask(url, "/health").status == 200


def test_streams_of_random_frames_end_as_they_may(url):
    assert [s for i in range(60) if (s := frames.run(url, random.Random(i)))] == []
    until(lambda: metric(url, "espressivo_open_streams") == 0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="takes Linux")
def test_an_upload_may_break_off_after_any_byte(url):
    assert analyze(url, NOTE.read_bytes()).status == 200
    n_before = n_descriptors()
    for n in range(0, len(upload()), 5):
        broken_off(url, n)
    until(lambda: metric(url, "espressivo_running_analyses") == 0)
    until(lambda: n_descriptors() <= n_before)

    whole = exchange(url, upload())
    assert statuses_of(whole) == (200,)


def test_pings_whose_answers_are_not_read_are_not_read_either(url):
    pings = frames.frame(9, bytes(125)) * 1000
    place = urlsplit(url)

    def send(client):
        n = 0
        while n < 64 * 2**20:  # far more than the kernel's buffers hold
            n += client.send(pings)

    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE_S)
        client.connect((place.hostname, place.port))
        client.sendall(HANDSHAKE + b"\r\n")
        assert client.recv(12) == b"HTTP/1.1 101"
        client.settimeout(2)
        with pytest.raises((TimeoutError, ConnectionError)):
            send(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask(url, "/health").status == 200


@pytest.mark.parametrize("charset", ["undefined", "zlib", "idna", "none-such"])
def test_a_form_says_its_charset(url, charset):
    body, type_ = form(("a.wav", b"x"))
    answer = analyze(url, body, Content_Type=f"{type_}; charset={charset}")
    expected = (400, "bad_request") if charset == "undefined" else (422, "unreadable")
    assert (answer.status, answer.reason) == expected


@pytest.mark.parametrize("form_", [b"", b"--x\r\n", b"--a-boundary\r\nX: \xff\x00"])
def test_a_broken_form_is_refused(url, form_):
    type_ = "multipart/form-data; boundary=a-boundary"
    assert analyze(url, form_, Content_Type=type_).reason == "bad_request"


@pytest.mark.parametrize("format_", ["s16le:" + "9" * 5000, "x" * 60_000])
def test_a_long_format_is_not_repeated(url, format_):
    answer = analyze(url, b"x", f"/v1/analyze?format={format_}")
    assert answer.reason == "bad_request"
    assert len(answer.body) < 500


def test_a_refused_body_is_read_first(url):
    answer = analyze(url, bytes(5 * 2**20), "/v1/analyze?track=x")
    assert (answer.status, answer.reason) == (400, "bad_request")


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_refused_stream_is_an_answer(analyzer, token):
    with running(analyzer, token=token) as url:
        with pytest.raises(InvalidStatus) as refused, stream_of(url, "?hop=x"):
            pass
        expected = 400 if token is None else 401
        assert refused.value.response.status_code == expected


@pytest.mark.parametrize("token", [None, TOKEN])
def test_openapi_says_whether_there_is_a_token(analyzer, token):
    with running(analyzer, token=token) as url:
        document = ask(url, "/v1/openapi.json").json
    assert document["security"] == ([] if token is None else [{"bearer": []}])


def test_frames_before_the_handshake_was_answered_are_lost_and_nothing_hangs(analyzer):
    limits = Limits(ping_s=0.2, idle_s=PATIENCE_S)
    sent = HANDSHAKE + b"\r\n" + frames.frame(1, b'{"type": "end"}')
    with running(analyzer, limits=limits) as url:
        place = urlsplit(url)
        address = place.hostname, place.port
        with socket.create_connection(address, PATIENCE_S) as client:
            client.sendall(sent)
            assert read_to_end(client).startswith(b"HTTP/1.1 101 ")
