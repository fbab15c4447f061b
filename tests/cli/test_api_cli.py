from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager, suppress

import pytest

from espressivo.cli.main import main
from espressivo.serve.api.limits import MAX_MESSAGE_BYTES
from tests.api.clients import (
    TOKEN,
    analyze,
    ask,
    ask_on,
    connection_to,
    half_an_upload,
    metric,
    pcm_of,
    rest_of,
    send_all,
    silence,
    stream_of,
)
from tests.conftest import NOTE, ROOT
from tests.waiting import PATIENCE_S, until

CONTENT = NOTE.read_bytes()


@contextmanager
def serving(*options, **environment):
    """Yield the process, and its URL once it runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "espressivo", "api", "--port=0", *options],
        env={**os.environ, "PYTHONWARNINGS": "error", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline().split()[3]
    finally:
        process.kill()
        process.communicate()


def ended(process):
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def refuses_connections(url):
    with suppress(ConnectionResetError), closing(connection_to(url)) as connection:
        try:
            connection.connect()
        except ConnectionRefusedError:
            return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_what_runs_finish(number, note, analyzer):
    with serving() as (process, url), closing(connection_to(url)) as kept:
        assert ask_on(kept, "/health").json["status"] == "ok"
        with half_an_upload(url, CONTENT) as finish, stream_of(url) as stream:
            send_all(stream, pcm_of(note)[: 8 * 32_000])
            assert '"estimate"' in stream.recv(PATIENCE_S)
            process.send_signal(number)
            messages = rest_of(stream)
            until(lambda: refuses_connections(url))
            health = ask_on(kept, "/health")
            refused = ask_on(kept, "/v1/analyze", "POST", b"x")
            answer = finish()
        result = ended(process)

    assert messages[-1]["type"] == "report"
    assert messages[-1]["report"]["duration_s"] <= 8
    assert stream.close_code == 1012
    assert "stops" in stream.close_reason
    assert (health.status, health.json["status"]) == (503, "stopping")
    assert (refused.status, refused.reason) == (503, "stopping")
    assert answer.json == analyzer.analyze(NOTE, name="recording").to_dict()
    assert result == (0, "", "")


def test_what_takes_too_long_is_not_waited_for():
    with serving("--grace=0.2") as (process, url), half_an_upload(url, CONTENT):
        process.terminate()

        assert ended(process) == (0, "", "")


def test_an_analysis_that_takes_too_long_is_told_so():
    with (
        serving("--grace=0.1") as (process, url),
        closing(connection_to(url)) as client,
    ):
        client.request("POST", "/v1/analyze", silence(minutes=60))
        until(lambda: metric(url, "espressivo_running_analyses") == 1)
        process.terminate()
        answer = client.getresponse()

        assert (answer.status, b'"stopping"' in answer.read()) == (503, True)
        assert ended(process) == (0, "", "")


def test_a_second_signal_hurries():
    with serving("--grace=1000") as (process, url), half_an_upload(url, CONTENT):
        process.send_signal(signal.SIGINT)
        until(lambda: refuses_connections(url))
        process.send_signal(signal.SIGINT)

        assert ended(process) == (0, "", "")


def test_nothing_is_printed_whatever_comes(note):
    with serving("--max-upload=1", "--max-rate=5") as (process, url):
        analyze(url, CONTENT)
        analyze(url, b"no recording")
        analyze(url, bytes(2**21))
        analyze(url, b"x")
        ask(url, "/none", Host="evil.example")
        host, port = url.split("/")[2].split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"garbage\r\n\r\n")
            client.recv(1000)
        with stream_of(url, "?hop=0.5") as stream:
            send_all(stream, pcm_of(note), MAX_MESSAGE_BYTES)
            stream.send(bytes(2 * MAX_MESSAGE_BYTES))  # while estimates are due
            rest_of(stream)
        assert stream.close_code == 1009
        process.terminate()

        assert ended(process) == (0, "", "")


def test_the_token_is_in_a_file_or_a_variable(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for given in ([["--token-file", str(path)], {}], [[], {"ESPRESSIVO_TOKEN": TOKEN}]):
        options, environment = given
        with serving("--host=0.0.0.0", *options, **environment) as (process, url):
            assert ask(url, "/metrics").status == 401
            assert ask(url, "/metrics", **headers).status == 200
            process.terminate()
            assert ended(process)[0] == 0


def test_without_a_token_it_serves_no_network(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("ESPRESSIVO_TOKEN", raising=False)
    assert main(["api", "--host=0.0.0.0", "--port=0"]) == 1
    err = capsys.readouterr().err
    assert "--token-file FILE" in err
    assert err.count("\n") == 1

    for text in ("", "short"):
        monkeypatch.setenv("ESPRESSIVO_TOKEN", text)
        assert main(["api", "--port=0"]) == 1
        assert capsys.readouterr().err.startswith("ESPRESSIVO_TOKEN: holds no token")
    assert main(["api", f"--token-file={tmp_path / 'none'}"]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_port_that_is_taken_is_an_error(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["api", f"--port={port}"]) == 1
    assert capsys.readouterr().err.startswith(f"port {port} of 127.0.0.1: is in use")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["serve", "--token-file=x", "--max-upload=3"], "unrecognized arguments"),
        (["api", "--open"], "unrecognized arguments"),
        (["api", "--verbose"], "unrecognized arguments"),
        (["api", "--max-upload=0"], "no whole number, 1 or more"),
        (["api", "--max-streams=-1"], "no whole number, 0 or more"),
        (["api", "--grace=nan"], "no number of seconds"),
        (["api", "--idle=0"], "no number of seconds"),
    ],
)
def test_options_that_make_no_sense_are_errors(options, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(options)
    assert message in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(tmp_path):
    (tmp_path / "starlette.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'starlette'\", name='starlette')"
    )
    process = subprocess.run(
        [sys.executable, "-m", "espressivo", "api", "--port=0"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 1
    assert process.stderr == (
        "starlette is not installed, which this command needs; "
        'run: pip install "espressivo[serve]"\n'
    )
