from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import jsonschema
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import espressivo
from espressivo.report import estimate_to_dict
from espressivo.serve.api.backlog import (
    Backlog,
    Chunk,
)
from espressivo.serve.api.limits import (
    MAX_MESSAGE_BYTES,
    Limits,
)
from tests.api.clients import (
    ask,
    end,
    metric,
    pcm_of,
    read_to_end,
    rest_of,
    running,
    send_all,
    send_until_closed,
    stream_of,
)
from tests.recordings import encode
from tests.waiting import PATIENCE_S, until

SECOND = 32_000  # bytes


@pytest.fixture(scope="module")
def pcm(note):
    return pcm_of(note)


@pytest.fixture(scope="module")
def url(analyzer):
    with running(analyzer, limits=Limits(max_per_minute=0, max_streams=50)) as url:
        yield url


def expected_of(analyzer, pcm, hop_s=2.0, size=SECOND):
    """Return what a stream of this in chunks tells."""
    stream = analyzer.stream(hop_s=hop_s)
    samples = np.frombuffer(pcm, "<i2")
    told = []
    for i in range(0, len(samples), size // 2):
        for estimate in stream.push(samples[i : i + size // 2]):
            card = analyzer.classifier.card
            line = estimate_to_dict(estimate, card, stream.duration_s)
            told.append({"type": "estimate", **line})
    return [*told, {"type": "report", "report": stream.finish().to_dict()}]


@pytest.mark.parametrize(
    ("query", "hop_s"),
    [("", 2.0), ("?rate=16000&hop=0.5", 0.5), ("?hop=0", 0.0)],
)
def test_estimates_and_report_are_the_analyzers(url, analyzer, pcm, query, hop_s):
    with stream_of(url, query) as stream:
        send_all(stream, pcm)
        told = end(stream)

    assert told == expected_of(analyzer, pcm, hop_s)
    assert len(told) > 3
    assert (stream.close_code, stream.close_reason) == (1000, "")


def test_uncertain_estimates_are_told(judging_model, pcm):
    judging = espressivo.load_model(judging_model)
    with running(judging, limits=Limits(max_per_minute=0)) as url:
        document = json.loads(ask(url, "/v1/openapi.json").body)
        with stream_of(url) as stream:
            send_all(stream, pcm)
            told = end(stream)

    assert told == expected_of(judging, pcm)
    *estimates, last = told
    assert {estimate["uncertain"] for estimate in estimates} == {True, False}
    flags = [window["uncertain"] for window in last["report"]["windows"]]
    assert set(flags) == {True, False}
    for message in told:
        jsonschema.validate(
            message, {"$ref": "#/components/schemas/message", **document}
        )


def test_messages_of_any_length_give_the_same(url, analyzer, pcm):
    with stream_of(url) as stream:
        stream.send(b"")
        stream.send(iter([pcm[:5], pcm[5:100]]))  # fragments of one message
        send_all(stream, pcm[100:], MAX_MESSAGE_BYTES)
        told = end(stream)

    def without_time(messages):
        return [{k: v for k, v in m.items() if k != "at_s"} for m in messages]

    assert without_time(told) == without_time(expected_of(analyzer, pcm))


def test_estimates_come_while_the_stream_goes_on(url, pcm):
    with stream_of(url) as stream:
        send_all(stream, pcm[: 5 * SECOND])
        assert '"type": "estimate"' in stream.recv(PATIENCE_S)


def test_a_stream_without_sound_has_a_report(url, analyzer):
    with stream_of(url) as stream:
        assert end(stream) == expected_of(analyzer, b"")


def test_many_streams_do_not_disturb_each_other(url, analyzer, pcm):
    pieces = [pcm[: n * SECOND] for n in range(6, 12)]
    with ExitStack() as stack:
        streams = [stack.enter_context(stream_of(url)) for _ in pieces]
        for at in range(0, 12 * SECOND, SECOND):
            for stream, piece in zip(streams, pieces, strict=True):
                if part := piece[at : at + SECOND]:
                    stream.send(part)

        for stream, piece in zip(streams, pieces, strict=True):
            assert end(stream) == expected_of(analyzer, piece)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?rate=44100", "rate is '44100', not 16000"),
        ("?hop=0.1", "hop is '0.1'"),
        ("?hop=-1", "hop is '-1'"),
        ("?hop=nan", "hop is 'nan'"),
        ("?hop=inf", "hop is 'inf'"),
        ("?hop=often", "hop is 'often'"),
    ],
)
def test_what_cannot_be_streamed_is_refused(url, query, message):
    with pytest.raises(InvalidStatus) as refused, stream_of(url, query):
        pass
    assert refused.value.response.status_code == 400
    assert message in refused.value.response.body.decode()


@pytest.mark.parametrize(
    ("garbage", "message"),
    [
        (b"\0" * 3, "3 bytes, an odd number"),
        ("hello", "no JSON"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "something unknown"),
        ('{"type": "begin"}', "something unknown"),
    ],
)
def test_garbage_ends_the_stream_with_the_reason(url, analyzer, pcm, garbage, message):
    with stream_of(url) as other:
        send_all(other, pcm[: 4 * SECOND])
        with stream_of(url) as stream:
            stream.send(garbage)
            (error,) = rest_of(stream)
        send_all(other, pcm[4 * SECOND : 8 * SECOND])

        assert end(other) == expected_of(analyzer, pcm[: 8 * SECOND])
    assert error["type"] == "error"
    assert error["reason"] == "garbage"
    assert message in error["message"]
    assert stream.close_code == 1007
    assert message in stream.close_reason


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("webm", "begins as Matroska or WebM, not raw PCM"),
        ("ogg", "begins as Ogg, not raw PCM"),
        ("wav", "begins as WAV, not raw PCM"),
        ("mp3", "begins as MP3, not raw PCM"),
        ("m4a", "begins as MP4 or QuickTime, not raw PCM"),
        (None, "holds floating-point numbers, not raw PCM"),
    ],
)
def test_what_is_no_pcm_says_what_is_wanted(url, tmp_path, note, suffix, message):
    if suffix is None:
        content = note.astype("<f4").tobytes()
    else:
        content = encode(tmp_path / f"note.{suffix}", note).read_bytes()
    with stream_of(url) as stream:
        with suppress(ConnectionClosed):
            # MediaRecorder's messages are of any length.
            send_all(stream, content, 4096 if suffix is None else 4095)
        (error,) = rest_of(stream)

    assert (error["type"], error["reason"]) == ("error", "garbage")
    assert message in error["message"]
    assert "16 kHz, 16 bit, little-endian, one channel; " in error["message"]
    assert stream.close_code == 1007
    assert message in stream.close_reason


def test_a_message_that_is_too_large_ends_the_stream(url):
    with stream_of(url) as stream:
        stream.send(bytes(MAX_MESSAGE_BYTES + 2))
        assert rest_of(stream) == []
    assert stream.close_code == 1009


def test_a_stream_that_is_too_long_ends_with_its_report(analyzer, pcm):
    limits = Limits(max_duration_s=5)
    with running(analyzer, limits=limits) as url, stream_of(url) as stream:
        send_all(stream, pcm[: 6 * SECOND])
        told = rest_of(stream)

    assert told == expected_of(analyzer, pcm[: 5 * SECOND])
    assert stream.close_code == 1008
    assert "longer than 5 s" in stream.close_reason


def test_a_client_that_sends_nothing_is_told_and_closed(analyzer):
    with running(analyzer, limits=Limits(idle_s=0.2)) as url:
        with stream_of(url) as stream:
            told = rest_of(stream)
        assert metric(url, 'espressivo_rejections_total{reason="idle"}') == 1

    assert [message["type"] for message in told] == ["report"]
    assert stream.close_code == 1008
    assert "nothing came for 0.2 s" in stream.close_reason


def test_a_stream_that_the_server_is_behind_with_is_dropped(analyzer, pcm):
    limits = Limits(max_lag_s=1e-9)
    with running(analyzer, limits=limits) as url, stream_of(url) as stream:
        stream.send(pcm[:SECOND])
        (error,) = rest_of(stream)

    assert error["reason"] == "lagging"
    assert stream.close_code == 1013


def test_so_many_streams_at_once(analyzer, pcm):
    with running(analyzer, limits=Limits(max_streams=1)) as url:
        with stream_of(url) as stream:
            with pytest.raises(InvalidStatus) as refused, stream_of(url):
                pass
            send_all(stream, pcm[: 4 * SECOND])
            assert end(stream) == expected_of(analyzer, pcm[: 4 * SECOND])
        until(lambda: metric(url, "espressivo_open_streams") == 0)
        with stream_of(url) as stream:
            assert len(end(stream)) == 1

    assert refused.value.response.status_code == 503
    assert b'"busy"' in refused.value.response.body


def test_who_closes_gives_the_place_back(url, pcm):
    with stream_of(url) as stream:
        stream.send(pcm[:SECOND])
        assert metric(url, "espressivo_open_streams") >= 1

    until(lambda: metric(url, "espressivo_open_streams") == 0)


@contextmanager
def bare_stream(url, query=""):
    """Open a stream by hand, which answers no ping."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as client:
        key = base64.b64encode(os.urandom(16)).decode()
        client.sendall(
            f"GET /v1/stream{query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        yield client


def test_a_connection_that_is_open_at_one_end_only_ends(analyzer):
    with running(analyzer, limits=Limits(ping_s=0.2)) as url:
        with bare_stream(url) as client:
            rest = read_to_end(client)
        until(lambda: metric(url, "espressivo_open_streams") == 0)

    assert rest.endswith(b"\x03\xf3keepalive ping timeout")  # 1011


def test_a_client_that_reads_nothing_is_dropped_and_others_are_unharmed(analyzer, pcm):
    def small_buffers(server):
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    limits = Limits(send_s=0.5)
    with running(analyzer, prepare=small_buffers, limits=limits) as url:
        parts = urlsplit(url)
        slow.connect((parts.hostname, parts.port))
        with stream_of(url) as other, stream_of(url, "?hop=0.5", sock=slow) as stream:
            send_all(other, pcm[: 4 * SECOND])
            send_until_closed(stream, pcm)  # at some time the server has enough
            # The server ends it, or on a busy machine the kernel, which does not count.
            until(lambda: metric(url, "espressivo_open_streams") == 1)
            send_all(other, pcm[4 * SECOND : 8 * SECOND])

            assert end(other) == expected_of(analyzer, pcm[: 8 * SECOND])
        until(lambda: metric(url, "espressivo_open_streams") == 0)


def test_who_reads_nothing_and_sends_garbage_is_cut_off(analyzer, pcm):
    def small_buffers(server):
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    with socket.socket() as client, running(analyzer, prepare=small_buffers) as url:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(url)
        client.connect((parts.hostname, parts.port))
        client.sendall(
            b"GET /v1/stream?hop=0.5 HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        for i in range(100):  # masked by zeros, which change nothing
            second = pcm[i % 20 * SECOND :][:SECOND]
            client.sendall(b"\x82\xfe\x7d\0\0\0\0\0" + second)
        # More than the kernel takes, and less than the server does not wait for.
        until(lambda: metric(url, "espressivo_estimate_latency_seconds_count") > 80)
        client.sendall(b"\xfb\x80\0\0\0\0")

        until(lambda: is_cut(client))


def is_cut(client):
    client.setblocking(False)
    try:
        client.send(b"x")
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def test_what_waits_is_taken_together_but_not_too_much_of_it():
    async def scenario():
        backlog = Backlog(100, at_once=6)
        for i, pcm in enumerate((b"ab", b"cd", b"efghij", b"kl")):
            backlog.put(Chunk(i, pcm))
        backlog.end()
        taken = []
        while (sound := await backlog.get()) is not None:
            taken.append(sound)
        assert taken == [(0, 2, b"abcdef"), (2, 3, b"ghijkl")]

    asyncio.run(scenario())


def test_a_full_backlog_makes_the_reader_wait():
    async def scenario():
        backlog = Backlog(10, at_once=4)
        for i in range(3):
            await backlog.room()
            backlog.put(Chunk(i, bytes(4)))
        waiting = asyncio.create_task(backlog.room())
        await asyncio.sleep(0)
        assert not waiting.done()

        assert await backlog.get() == (0, 0, bytes(4))
        await waiting
        backlog.end()
        assert [(await backlog.get()).oldest_s for _ in range(2)] == [1, 2]
        assert await backlog.get() is None

        backlog.put(Chunk(3, b""))
        backlog.abandon(ValueError("of the reader"))
        with pytest.raises(ValueError, match="of the reader"):
            await backlog.get()

    asyncio.run(scenario())
