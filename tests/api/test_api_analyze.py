from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate

from espressivo.errors import AudioError
from espressivo.serve.api.limits import Limits
from espressivo.serve.api.refusals import Reason
from tests.api.clients import (
    TOKEN,
    analyze,
    ask,
    connection_to,
    end,
    form,
    half_an_upload,
    metric,
    pcm_of,
    running,
    send_all,
    silence,
    stream_of,
)
from tests.audio.test_headerless import encode_headerless
from tests.conftest import NOTE, ROOT
from tests.waiting import until

CONTENT = NOTE.read_bytes()


@pytest.fixture(scope="module")
def url(analyzer):
    with running(analyzer, limits=Limits(max_per_minute=0)) as url:
        yield url


@pytest.fixture
def tempdir(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("type_", ["audio/mp4", "text/plain", "nonsense", ""])
def test_the_report_is_the_analyzers(url, analyzer, type_):
    answer = analyze(url, CONTENT, Content_Type=type_)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == analyzer.analyze(NOTE, name="recording").to_dict()


@pytest.mark.parametrize("how", ["query", "name", "file name"])
def test_a_recording_without_a_header(url, analyzer, note, tmp_path, how):
    path = tmp_path / "call.al"
    encode_headerless(path, note[:80_000], "pcm_alaw", "alaw", 8000)
    expected = analyzer.analyze(path).to_dict()
    body, type_, query = path.read_bytes(), "", ""
    if how == "file name":
        body, type_ = form(("call.al", body))
    else:
        query = "?format=alaw" if how == "query" else "?name=call.al"

    answer = analyze(url, body, f"/v1/analyze{query}", Content_Type=type_)

    assert answer.status == 200
    assert answer.json["windows"] == expected["windows"]
    assert answer.json["duration_s"] == 5


def test_a_track_is_chosen(url, analyzer, shared):
    path = shared / "cases" / "second-track-default.mkv"
    for track in (1, 2):
        answer = analyze(url, path.read_bytes(), f"/v1/analyze?track={track}")
        expected = analyzer.analyze(path, name="recording", track=track)
        assert answer.json == expected.to_dict()
    answer = analyze(url, path.read_bytes(), "/v1/analyze?track=3")
    assert (answer.status, answer.reason) == (422, "unreadable")
    assert "has no track 3" in answer.json["message"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("format=mp3", "is none of the headerless formats"),
        ("format=s16le", "needs its rate in Hz"),
        ("track=two", "track is 'two', not a number from 1"),
        ("track=-1", "track is '-1'"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(url, query, message):
    answer = analyze(url, CONTENT, f"/v1/analyze?{query}")

    assert (answer.status, answer.reason) == (400, "bad_request")
    assert message in answer.json["message"]


def test_a_form_is_as_good(url, analyzer):
    body, type_ = form(("note.m4a", CONTENT))

    answer = analyze(url, body, Content_Type=type_)

    assert answer.json == analyzer.analyze(NOTE, name="note.m4a").to_dict()


def test_a_body_of_unknown_length_is_as_good(url, analyzer):
    pieces = (CONTENT[i : i + 1000] for i in range(0, len(CONTENT), 1000))

    answer = analyze(url, pieces)

    assert answer.json == analyzer.analyze(NOTE, name="recording").to_dict()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it a thread")
def test_recordings_give_way_to_streams(url):
    analyze(url, CONTENT)

    ours = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert {*priorities()} == {ours, min(19, ours + 10)}


def priorities():
    """Return how nice each thread of this process is."""
    for stat in Path("/proc/self/task").glob("*/stat"):
        with suppress(OSError):  # it has just ended
            yield int(stat.read_text().rpartition(")")[2].split()[16])


def test_the_name_is_the_clients(url):
    answer = analyze(url, CONTENT, "/v1/analyze?name=n%C3%B6te%0A" + "x" * 300)

    assert answer.json["recording"] == ("nöte?" + "x" * 300)[:200]


@pytest.mark.parametrize("body", [b"", b"no recording", CONTENT[:100], b"\0" * 5000])
def test_what_is_no_recording_is_422_with_the_reason(url, body, tmp_path, analyzer):
    path = tmp_path / "recording"
    path.write_bytes(body)
    with pytest.raises(AudioError) as expected:
        analyzer.analyze(path, name="recording")

    answer = analyze(url, body)

    assert answer.status == 422
    assert answer.json == {"reason": "unreadable", "message": str(expected.value)}


@pytest.mark.parametrize(
    ("body", "type_", "message"),
    [
        (*form(), "holds no file"),
        (*form(("a", b"1"), ("b", b"2")), "Too many files"),
        (b"nonsense", "multipart/form-data", "Missing boundary"),
        (b"nonsense", "multipart/form-data; boundary=x", "cannot be read"),
    ],
)
def test_forms_that_are_wrong_are_refused(url, body, type_, message):
    answer = analyze(url, body, Content_Type=type_)

    assert (answer.status, answer.reason) == (400, "bad_request")
    assert message in answer.json["message"]


@pytest.mark.parametrize("is_form", [False, True])
@pytest.mark.parametrize("is_announced", [False, True])
def test_what_is_too_large_is_refused(analyzer, is_form, is_announced):
    most = 2**20
    body, type_ = form(("note", b"x" * most)) if is_form else (b"x" * (most + 1), "")
    pieces = body if is_announced else iter([body])

    with running(analyzer, limits=Limits(max_upload_bytes=most)) as url:
        answer = analyze(url, pieces, Content_Type=type_)

    assert (answer.status, answer.reason) == (413, "too_large")
    assert "1 MiB" in answer.json["message"]


def test_what_is_too_long_is_refused(analyzer):
    with running(analyzer, limits=Limits(max_duration_s=20)) as url:
        answer = analyze(url, CONTENT)

    assert (answer.status, answer.reason) == (422, "too_long")
    assert "20 s" in answer.json["message"]


@pytest.mark.parametrize("max_s", [20, 2])
def test_what_announces_no_length_is_cut_off(analyzer, note, tmp_path, max_s):
    path = tmp_path / "call.al"
    encode_headerless(path, note[:80_000], "pcm_alaw", "alaw", 8000)
    with running(analyzer, limits=Limits(max_duration_s=max_s)) as url:
        answer = analyze(url, path.read_bytes(), "/v1/analyze?format=alaw")

    assert answer.status == (200 if max_s > 5 else 422)


def test_who_sends_nothing_any_more_is_refused(analyzer):
    limits = Limits(idle_s=0.2)
    with running(analyzer, limits=limits) as url, half_an_upload(url, CONTENT) as _:
        until(lambda: metric(url, "espressivo_running_analyses") == 0)
        assert metric(url, 'espressivo_rejections_total{reason="slow_client"}') == 1


def test_one_client_has_half_of_the_places(analyzer):
    limits = Limits(max_analyses=1, max_waiting=1)
    asks = {"Authorization": f"Bearer {TOKEN}"}
    with running(analyzer, token=TOKEN, proxy="127.0.0.1", limits=limits) as url:

        def post(client):
            return analyze(url, CONTENT, X_Forwarded_For=client, **asks)

        with half_an_upload(url, CONTENT, **asks, X_Forwarded_For="192.0.2.1"):
            refused, others = post("192.0.2.1"), post("192.0.2.2")

    assert (refused.status, refused.reason) == (503, "busy")
    assert "of 192.0.2.1 are under way" in refused.json["message"]
    assert others.status == 200


def test_there_are_so_many_places_and_others_are_unharmed(analyzer):
    limits = Limits(max_analyses=1, max_waiting=0)
    with running(analyzer, limits=limits) as url:
        with half_an_upload(url, CONTENT) as finish:
            refused = analyze(url, CONTENT)
            first = finish()
        until(lambda: metric(url, "espressivo_running_analyses") == 0)
        third = analyze(url, CONTENT)

    assert (refused.status, refused.reason) == (503, "busy")
    assert int(refused.headers["retry-after"]) > 0
    assert (first.status, third.status) == (200, 200)
    assert first.json == third.json


def test_who_hangs_up_gives_the_place_back(analyzer):
    with running(analyzer, limits=Limits(max_analyses=1, max_waiting=0)) as url:
        with half_an_upload(url, CONTENT):
            pass
        until(lambda: metric(url, "espressivo_running_analyses") == 0)
        assert analyze(url, CONTENT).status == 200


def test_nobody_waits_for_it_and_it_ends(analyzer):
    limits = Limits(max_analyses=1, max_waiting=0)
    with running(analyzer, limits=limits) as url:
        with closing(connection_to(url)) as connection:
            connection.request("POST", "/v1/analyze", silence(minutes=60))
        until(lambda: metric(url, "espressivo_running_analyses") == 0)

        assert metric(url, 'espressivo_audio_seconds_total{kind="recording"}') == 0
        assert analyze(url, CONTENT).status == 200


def test_nothing_is_left_on_the_disk(url, tempdir):
    body, type_ = form(("note.m4a", CONTENT + bytes(2**21)))
    with half_an_upload(url, CONTENT) as finish:
        assert list(tempdir.iterdir()) == []
        assert finish().status == 200
    analyze(url, body, Content_Type=type_)
    analyze(url, b"no recording")

    assert list(tempdir.iterdir()) == []


def test_so_many_requests_a_minute(analyzer):
    with running(analyzer, limits=Limits(max_per_minute=2)) as url:
        statuses = [analyze(url, b"x").status for _ in range(3)]
        refused = analyze(url, b"x")
        assert ask(url, "/health").status == 200

    assert statuses == [422, 422, 429]
    assert refused.reason == "rate"
    assert 0 < int(refused.headers["retry-after"]) <= 30


def test_metrics_count(analyzer, note):
    with running(analyzer) as url:
        report = analyze(url, CONTENT).json
        analyze(url, b"no recording")
        with stream_of(url) as stream:
            send_all(stream, pcm_of(note))
            n_estimates = len(end(stream)) - 1
        assert ask(url, "/none").status == 404
        assert ask(url, "/v1/analyze").status == 405
        until(lambda: metric(url, "espressivo_open_streams") == 0)
        text = ask(url, "/metrics").body.decode()

    values = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")
    )
    for line in (
        'espressivo_requests_total{path="/v1/analyze",status="200"} 1',
        'espressivo_requests_total{path="/v1/analyze",status="405"} 1',
        'espressivo_requests_total{path="/v1/analyze",status="422"} 1',
        'espressivo_requests_total{path="/v1/stream",status="101"} 1',
        'espressivo_requests_total{path="other",status="404"} 1',
        'espressivo_rejections_total{reason="unreadable"} 1',
        f'espressivo_audio_seconds_total{{kind="recording"}} {report["duration_s"]:g}',
        f'espressivo_audio_seconds_total{{kind="stream"}} {len(note) / 16_000:.12g}',
        "espressivo_open_streams 0",
        "espressivo_running_analyses 0",
        f'espressivo_estimate_latency_seconds_bucket{{le="+Inf"}} {n_estimates}',
        f"espressivo_estimate_latency_seconds_count {n_estimates}",
    ):
        name, value = line.rsplit(" ", 1)
        assert float(values[name]) == float(value)
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert len(names) == text.count("# TYPE") == text.count("# HELP")


def test_load_balancers_may_ask_with_head(url):
    for target in ("/health", "/metrics", "/v1/openapi.json"):
        answer = ask(url, target, "HEAD")
        assert (answer.status, answer.body) == (200, b"")


def test_health_says_which_model(url, analyzer):
    answer = ask(url, "/health")

    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert answer.json["model"]["sha256"] == analyzer.classifier.card.sha256


def test_openapi_is_valid_and_says_what_comes(url, note):
    document = ask(url, "/v1/openapi.json").json
    validate(document)

    def require(instance, name):
        schema = {"$ref": f"#/components/schemas/{name}"}
        jsonschema.validate(instance, {**schema, "components": document["components"]})

    require(analyze(url, CONTENT).json, "report")
    require(analyze(url, b"no recording").json, "refusal")
    require(ask(url, "/health").json, "health")
    with stream_of(url) as stream:
        send_all(stream, pcm_of(note))
        for message in end(stream):
            require(message, "message")
    assert document["components"]["schemas"]["reason"]["enum"] == [*Reason]
    assert document["info"]["x-limits"]["max_per_minute"] == 0


def test_every_path_that_openapi_tells_of_is_there(url):
    paths = ask(url, "/v1/openapi.json").json["paths"]
    statuses = {
        path: ask(url, path, method.upper()).status
        for path, methods in paths.items()
        for method in methods
    }

    assert statuses.pop("/v1/stream") == 426  # it speaks WebSocket only
    assert statuses == {
        "/v1/analyze": 422,
        "/v1/openapi.json": 200,
        "/health": 200,
        "/metrics": 200,
    }


def test_openapi_has_the_reports_schema(url):
    text = (ROOT / "docs" / "report.schema.json").read_text("utf-8")
    expected = json.loads(text.replace("#/$defs/", "#/components/schemas/"))
    schemas = ask(url, "/v1/openapi.json").json["components"]["schemas"]

    for name, schema in expected.pop("$defs").items():
        assert schemas[name] == schema
    del expected["$schema"]
    assert schemas["report"] == expected
