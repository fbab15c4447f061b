from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from espressivo.cli.main import main
from espressivo.model.find import find_model
from tests.conftest import ROOT

PATIENCE_S = 60


@pytest.fixture
def checkout(tmp_path):
    """A checkout of this package and of an app that is built."""
    root = tmp_path / "checkout"
    (root / "src").mkdir(parents=True)
    (root / "src" / "espressivo").symlink_to(ROOT / "src" / "espressivo")
    (root / "web" / "dist").mkdir(parents=True)
    (root / "web" / "package.json").write_text("{}")
    (root / "web" / "dist" / "index.html").write_text("the app")
    return root


@pytest.fixture
def programs(tmp_path):
    """A folder that is all of PATH, and a function that puts programs there."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def add(name, script):
        program = folder / name
        program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        program.chmod(0o755)
        return program

    add.folder = folder
    return add


@pytest.fixture(autouse=True)
def ctrl_c_is_not_ignored():
    """A process keeps ignoring it when its parent does, as in `nohup make test &`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGHUP, hangup)


def start(checkout, programs, *options, **environment):
    """Start `espressivo serve` where only Python itself is installed."""
    return subprocess.Popen(
        [sys.executable, "-S", "-m", "espressivo", "serve", "--port", "0", *options],
        env={
            "PYTHONPATH": str(checkout / "src"),
            "PYTHONWARNINGS": "error",
            "PATH": str(programs.folder),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(*args, **environment):
    """Yield the process, once it runs, and its first line."""
    process = start(*args, **environment)
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def fetch(line, target="/"):
    url = urlsplit(line.split()[3])
    connection = HTTPConnection(url.hostname, url.port)
    connection.request("GET", target)
    return connection, connection.getresponse().read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_serves_until_it_is_stopped(checkout, programs, number):
    with serving(checkout, programs) as (process, line):
        assert line.startswith("espressivo runs at http://127.0.0.1:")
        assert line.endswith("/ (Ctrl-C stops it)\n")
        connection, body = fetch(line)
        assert body == b"the app"
        process.send_signal(number)  # while the browser keeps its connection
        out, err = process.communicate(timeout=PATIENCE_S)
        connection.close()

    assert (process.returncode, out, err) == (0, "", "")


def test_the_models_are_the_packages(checkout, programs):
    with serving(checkout, programs) as (_, line):
        connection, body = fetch(line, "/models/espressivo-tiny/model.json")
        connection.close()

    assert body == (find_model("espressivo-tiny") / "model.json").read_bytes()


def test_verbose_prints_requests(checkout, programs):
    with serving(checkout, programs, "--verbose") as (process, line):
        fetch(line, "/none")[0].close()
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)

    assert err == "'GET /none HTTP/1.1' 404\n"


def test_a_network_is_warned_of(checkout, programs):
    with serving(checkout, programs, "--host", "0.0.0.0") as (process, line):
        assert line.startswith("espressivo runs at http://127.0.0.1:")
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)

    assert err.startswith("warning: 0.0.0.0: other devices reach this, but")
    assert "https" in err
    assert err.count("\n") == 1


def test_open_opens_it_in_the_browser(checkout, programs, tmp_path):
    os.mkfifo(tmp_path / "opened")
    browser = programs("browser", f'echo "$1" > {tmp_path}/opened')

    with serving(checkout, programs, "--open", BROWSER=f"{browser} %s") as (_, line):
        assert (tmp_path / "opened").read_text().strip() == line.split()[3]


def test_without_a_browser_it_serves_all_the_same(checkout, programs):
    browser = programs("browser", "exit 1")

    with serving(checkout, programs, "--open", BROWSER=f"{browser} %s") as (
        process,
        line,
    ):
        assert "found no browser to open" in process.stderr.readline()
        connection, body = fetch(line)
        connection.close()

    assert body == b"the app"


def test_a_port_that_is_taken_is_an_error(checkout, programs):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = start(checkout, programs, "--port", str(port))
        out, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"port {port} of 127.0.0.1: is in use")
    assert "--port" in err
    assert err.count("\n") == 1


def fail(checkout, programs):
    """Return what is printed when it cannot be served."""
    process = start(checkout, programs)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, "")
    return err


def test_without_npm_there_is_one_line(checkout, programs):
    (checkout / "web" / "dist" / "index.html").unlink()

    err = fail(checkout, programs)

    assert err.startswith(f"{checkout}/web: the app is not built")
    assert "no npm on PATH" in err
    assert "install Node.js 20.19 or newer" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("version", ["v20.18.3", "v18.20.0", "nonsense"])
def test_an_old_node_is_refused(checkout, programs, version):
    (checkout / "web" / "dist" / "index.html").unlink()
    programs("npm", "echo started >&2; exit 1")
    programs("node", f"echo {version}")

    err = fail(checkout, programs)

    assert version in err or "of no version" in err
    assert "needs Node.js 20.19 or newer" in err
    assert err.count("\n") == 1


def test_a_package_without_the_app_says_so(checkout, programs):
    (checkout / "web" / "package.json").unlink()
    (checkout / "web" / "dist" / "index.html").unlink()

    err = fail(checkout, programs)

    assert "this espressivo was packaged without it" in err
    assert err.count("\n") == 1


def test_a_checkout_builds_it_once(checkout, programs):
    (checkout / "web" / "dist" / "index.html").unlink()
    programs("node", "echo v20.19.0")
    programs(
        "npm",
        'echo "$@" >> ran; echo noise; echo noise >&2; [ $1 = run ] || exit 0\n'
        "echo built > dist/index.html",
    )

    for n in range(2):
        with serving(checkout, programs) as (process, line):
            connection, body = fetch(line)
            connection.close()
            process.terminate()
            _, err = process.communicate(timeout=PATIENCE_S)
        assert body == b"built\n"
        assert "noise" not in err
        assert err.count("building the app") == (1 if n == 0 else 0)

    assert (checkout / "web" / "ran").read_text() == (
        "ci --no-audit --no-fund\nrun build\n"
    )


def test_other_models_need_another_build(checkout, programs):
    copy = checkout / "web" / "dist" / "models" / "espressivo-tiny" / "model.json"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((find_model("espressivo-tiny") / "model.json").read_bytes())
    with serving(checkout, programs) as (_, line):
        fetch(line)[0].close()

    copy.write_bytes(b"of last year")
    assert "or with other models" in fail(checkout, programs)


def test_sources_that_changed_since_are_told_of(checkout, programs):
    source = checkout / "web" / "src" / "app.ts"
    source.parent.mkdir()
    source.touch()
    built = checkout / "web" / "dist" / "index.html"
    os.utime(built, (0, 0))

    with serving(checkout, programs) as (process, _):
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)

    assert "changed after" in err
    assert err.count("\n") == 1


def test_a_build_that_fails_shows_why_and_leaves_no_app(checkout, programs):
    (checkout / "web" / "dist" / "index.html").unlink()
    programs("node", "echo v22.1.0")
    programs("npm", "echo half > dist/index.html; echo the reason; exit 3")

    lines = fail(checkout, programs).splitlines()

    assert lines[1] == "the reason"
    assert "`npm ci --no-audit --no-fund` failed with exit code 3" in lines[2]
    assert not (checkout / "web" / "dist" / "index.html").exists()


def test_a_build_that_builds_nothing_is_an_error(checkout, programs):
    (checkout / "web" / "dist" / "index.html").unlink()
    programs("node", "echo v22.1.0")
    programs("npm", "exit 0")

    assert "wrote no index.html" in fail(checkout, programs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_interrupted_leaves_nothing(
    checkout, programs, tmp_path, number
):
    (checkout / "web" / "dist" / "index.html").unlink()
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    programs("node", "echo v22.1.0")
    programs(
        "npm",
        f"exec 3> {fifo}; echo half > dist/index.html\n"
        "sleep 1000 & echo started >&3; wait",
    )

    process = start(checkout, programs)
    with fifo.open() as alive:
        assert alive.readline() == "started\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert alive.read() == ""  # npm and what it started are gone

    assert process.returncode == 128 + number
    assert err.splitlines()[1:] == ["interrupted"]
    assert not (checkout / "web" / "dist" / "index.html").exists()


@pytest.mark.parametrize("port", ["65536", "-1", "http", "1.5", ""])
def test_what_is_no_port_is_an_error_of_the_command_line(port, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["serve", f"--port={port}"])
    assert "is not a port" in capsys.readouterr().err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    text = capsys.readouterr().out

    for word in ("--open", "--port 0", "ssh -N -L", "adb reverse", "Node.js", "https"):
        assert word in text
    assert all(len(line) <= 88 for line in text.splitlines())
