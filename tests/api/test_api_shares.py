"""One client among others: its connections, and its turns."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack, suppress
from threading import Event, Thread
from urllib.parse import urlsplit

import pytest

from espressivo.serve.api.limits import CONNECTIONS_SHARE, Limits, share_of
from espressivo.serve.api.shares import Turns
from tests.api.clients import ask, read_to_end, running
from tests.waiting import PATIENCE_S, until

HALF = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Half: "


def connected(url, source="127.0.0.1"):
    parts = urlsplit(url)
    place = parts.hostname, parts.port
    return socket.create_connection(place, PATIENCE_S, (source, 0))


@pytest.mark.parametrize("begun", [b"", HALF, b"GET /health HTTP/1.1\r\n"])
def test_half_a_head_is_not_waited_for_however_it_drips(analyzer, begun):
    with running(analyzer, limits=Limits(head_s=0.3)) as url, connected(url) as client:
        client.sendall(begun)
        time.sleep(0.1)
        client.sendall(begun[:1])
        assert read_to_end(client) == b""
        assert ask(url, "/health").status == 200


def test_a_second_request_has_as_long_as_the_first(analyzer):
    with running(analyzer, limits=Limits(head_s=0.3)) as url, connected(url) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF)
        assert read_to_end(client).startswith(b"HTTP/1.1 200 ")


def test_half_open_connections_keep_nobody_out(analyzer):
    limits = Limits(max_analyses=1, max_waiting=1, max_streams=0, head_s=PATIENCE_S)
    n_share = share_of(limits.max_connections, CONNECTIONS_SHARE)
    with running(analyzer, limits=limits) as url, ExitStack() as stack:
        clients = []
        for _ in range(limits.max_connections + 10):
            clients.append(stack.enter_context(connected(url)))
            clients[-1].sendall(HALF)
        assert ask(url, "/health").status == 200

        # Of its own, the oldest went first.
        n_gone = len(clients) - n_share + 1
        until(lambda: len(select.select(clients, [], [], 0)[0]) == n_gone)
        assert clients[0] in select.select(clients, [], [], 0)[0]
        clients[-1].sendall(b"\r\nConnection: close\r\n\r\n")
        assert read_to_end(clients[-1]).startswith(b"HTTP/1.1 200 ")


def in_turn(turns, client, n_blocks, log, check=lambda: None):
    """Start an analysis of so many blocks in a thread, each of which it logs."""

    def run():
        with suppress(TimeoutError), turns.turn(client, check) as give_way:
            for block in range(n_blocks):
                log.append((client, block))
                time.sleep(0.01)
                give_way()

    thread = Thread(target=run)
    thread.start()
    return thread


def test_neither_many_recordings_nor_a_long_one_hold_up_another_client():
    turns, log = Turns(1), []
    threads = [in_turn(turns, "many", 10, log) for _ in range(3)]
    until(lambda: log)
    threads.append(in_turn(turns, "single", 3, log))
    for thread in threads:
        thread.join(PATIENCE_S)

    assert len(log) == 33
    assert log[-1] == ("many", 9)
    firsts = [i for i, (client, _) in enumerate(log) if client == "single"]
    assert firsts[-1] < 15  # by turns from its arrival on
    assert [*turns._running, *turns._served, *turns._waiting] == []


def test_a_turn_that_is_given_up_is_not_waited_for():
    turns, log, cancelled = Turns(1), [], Event()

    def check():
        if cancelled.is_set():
            raise TimeoutError

    with turns.turn("first", lambda: None):
        waiting = in_turn(turns, "second", 1, log, check)
        until(lambda: turns._waiting)
        cancelled.set()
        turns.wake()
        waiting.join(PATIENCE_S)
    assert log == []
    in_turn(turns, "third", 1, log).join(PATIENCE_S)
    assert log == [("third", 0)]
