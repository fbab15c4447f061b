from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from espressivo.errors import ServeError
from espressivo.serve.api.limits import (
    Limits,
    RateLimit,
)
from espressivo.serve.api.server import ApiServer
from tests.api.clients import TOKEN, analyze, ask, end, running, stream_of
from tests.conftest import NOTE

BEARER = f"Bearer {TOKEN}"
PAGE = "https://app.example"


@pytest.fixture(scope="module")
def url(analyzer):
    """Of a server on loopback, which takes no token."""
    with running(analyzer, origins=[PAGE], limits=Limits(max_per_minute=0)) as url:
        yield url


@pytest.fixture(scope="module")
def guarded(analyzer):
    """Of a server that others reach."""
    limits = Limits(max_per_minute=0)
    with running(analyzer, "0.0.0.0", token=TOKEN, limits=limits) as url:
        yield url


def status_of_stream(url, **options):
    """Return the status of what opening a stream was answered with."""
    try:
        with stream_of(url, **options) as stream:
            end(stream)
    except InvalidStatus as refused:
        return refused.response.status_code
    return 101


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_where_others_reach_it_there_has_to_be_a_token(analyzer, host):
    with pytest.raises(ServeError, match="takes a token") as error:
        ApiServer(analyzer, host, 0)
    assert "--token-file" in str(error.value)


def test_behind_a_proxy_there_has_to_be_a_token(analyzer):
    with pytest.raises(ServeError, match="by the proxy"):
        ApiServer(analyzer, port=0, proxy="127.0.0.1")


@pytest.mark.parametrize("token", ["", "short", "x" * 513, "with spaces in between"])
def test_a_token_is_long_and_fits_a_header(analyzer, token):
    with pytest.raises(ServeError, match="openssl rand"):
        ApiServer(analyzer, port=0, token=token)


@pytest.mark.parametrize(
    "origin", ["app.example", "https://a/path", "ftp://a", "", "http://["]
)
def test_an_origin_is_one(analyzer, origin):
    with pytest.raises(ServeError, match="is no origin"):
        ApiServer(analyzer, port=0, origins=[origin])


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (BEARER, 200),
        (f"bearer  {TOKEN}", 200),
        ("", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer \xe4", 401),
    ],
)
def test_the_token_is_asked_for(guarded, header, status):
    for target, method, body in (
        ("/v1/analyze", "POST", NOTE.read_bytes()),
        ("/metrics", "GET", None),
    ):
        answer = ask(guarded, target, method, body, Authorization=header)
        assert answer.status == status
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.reason == "bad_token"
            assert TOKEN not in answer.body.decode()


def test_what_is_no_secret_takes_no_token(guarded):
    assert ask(guarded, "/health").status == 200
    assert ask(guarded, "/v1/openapi.json").status == 200
    assert ask(guarded, "/none").status == 401


def test_a_stream_takes_the_token_in_a_header_or_a_subprotocol(guarded):
    assert status_of_stream(guarded) == 401
    headers = {"Authorization": BEARER}
    assert status_of_stream(guarded, additional_headers=headers) == 101
    wrong = ["espressivo", f"bearer.{TOKEN}x"]
    assert status_of_stream(guarded, subprotocols=wrong) == 401

    with stream_of(guarded, subprotocols=["espressivo", f"bearer.{TOKEN}"]) as stream:
        assert stream.subprotocol == "espressivo"
        assert end(stream)[-1]["type"] == "report"


def test_where_there_is_a_token_any_host_is_ours(guarded):
    answer = ask(guarded, "/metrics", Host="api.example", Authorization=BEARER)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("", 421),
    ],
)
def test_on_loopback_it_answers_to_its_names_only(url, host, status):
    for target in ("/health", "/metrics", "/v1/openapi.json"):
        assert ask(url, target, Host=host).status == status
    assert analyze(url, NOTE.read_bytes(), Host=host).status == status


ORIGINS = [
    (PAGE, True),
    (PAGE.upper(), True),
    ("http://localhost:3000", True),
    ("http://127.0.0.1", True),
    ("http://app.example", False),
    ("https://app.example.evil.example", False),
    ("https://evil.example", False),
    ("http://localhost.evil.example", False),
    ("http://localhost@evil.example", False),
    ("null", False),
    ("http://[", False),
    ("file://", False),
    ("", False),
]


@pytest.mark.parametrize(("origin", "is_ours"), ORIGINS)
def test_pages_of_others_open_no_stream(url, origin, is_ours):
    headers = {"Origin": origin}
    expected = 101 if is_ours else 403
    assert status_of_stream(url, additional_headers=headers) == expected


@pytest.mark.parametrize(("origin", "is_ours"), ORIGINS)
def test_pages_of_others_send_no_recording(url, origin, is_ours):
    answer = analyze(url, NOTE.read_bytes(), Origin=origin, Content_Type="text/plain")

    assert answer.status == (200 if is_ours else 403)
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (origin.lower() if is_ours else None)


def test_pages_may_ask_beforehand(url):
    names = {"Access_Control_Request_Method": "POST"}
    ours = ask(url, "/v1/analyze", "OPTIONS", Origin=PAGE, **names)
    others = ask(url, "/v1/analyze", "OPTIONS", Origin="https://evil.example", **names)

    assert (ours.status, others.status) == (204, 403)
    assert ours.headers["access-control-allow-origin"] == PAGE
    assert "Authorization" in ours.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in others.headers


def test_a_page_of_the_same_host_may_ask(guarded):
    headers = {"Authorization": BEARER, "Host": "api.example:8766"}
    assert (
        ask(guarded, "/metrics", Origin="https://api.example", **headers).status == 200
    )
    assert (
        ask(guarded, "/metrics", Origin="https://evil.example", **headers).status == 403
    )


def test_every_answer_is_kept_nowhere(url):
    for target in ("/health", "/none", "/metrics"):
        headers = ask(url, target).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["server"] == "espressivo"


@given(
    per_minute=st.integers(1, 50),
    steps=st.lists(st.floats(0, 90, allow_subnormal=False), max_size=200),
)
def test_no_minute_has_more_than_a_bucket_and_what_it_is_filled_with(per_minute, steps):
    now = [0.0]
    rate = RateLimit(per_minute, lambda: now[0])
    taken = []
    for step in steps:
        now[0] += step
        wait_s = rate.take("192.0.2.1")
        if not wait_s:
            taken.append(now[0])
        else:
            now[0] += wait_s + 1e-6
            assert rate.take("192.0.2.1") == 0  # it says when
            taken.append(now[0])

    for start in taken:
        n = sum(start <= t < start + 60 for t in taken)
        assert n <= 2 * per_minute + 1


def test_only_the_proxy_says_who_asks(analyzer):
    limits = Limits(max_per_minute=1)
    headers = {"Authorization": BEARER}
    for proxy, expected in (("127.0.0.1", [422, 422, 429]), (None, [422, 429, 429])):
        options = {"token": TOKEN, "proxy": proxy, "limits": limits}
        with running(analyzer, **options) as url:
            clients = ("192.0.2.1", "192.0.2.2", "192.0.2.1")
            statuses = [
                analyze(url, b"x", X_Forwarded_For=client, **headers).status
                for client in clients
            ]
        assert statuses == expected


def test_clients_are_told_apart_and_networks_are_one():
    rate = RateLimit(1, lambda: 0.0)

    assert rate.take("192.0.2.1") == 0
    assert rate.take("192.0.2.2") == 0
    assert rate.take("192.0.2.1") > 0
    assert rate.take("2001:db8:0:1::1") == 0
    assert rate.take("2001:db8:0:1:ffff::2") > 0
    assert rate.take("2001:db8:0:2::1") == 0
    for i in range(20_000):
        rate.take(f"198.51.{i // 256}.{i % 256}")
    assert len(rate._buckets) == 10_000
