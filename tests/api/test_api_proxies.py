"""nginx and Caddy as docs/api.md configures them, run as they come from Debian."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPSConnection

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from espressivo.serve.api.limits import Limits
from tests.api.clients import TOKEN, ask_on, end, pcm_of, running, send_all
from tests.conftest import NOTE, ROOT
from tests.waiting import PATIENCE_S, until

TEXT = (ROOT / "docs" / "api.md").read_text("utf-8")
NAME = "api.example.org"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PER_MINUTE = 40

proxies = pytest.mark.parametrize("program", ["nginx", "caddy"])


def configuration(program):
    (block,) = re.findall(rf"```{program}\n(.*?)```", TEXT, re.DOTALL)
    return block


class Proxy:
    """A running proxy.

    Attributes:
        port: Port of TLS on 127.0.0.1.
        context: TLS context of clients, which trusts the proxy's certificate alone.
    """

    def __init__(self, port, context):
        self.port, self.context = port, context

    def connect(self, source="127.0.0.2"):
        plain = socket.create_connection(
            ("127.0.0.1", self.port), PATIENCE_S, (source, 0)
        )
        return self.context.wrap_socket(plain, server_hostname=NAME)

    def ask(self, target, method="GET", body=None, source="127.0.0.2", **headers):
        connection = HTTPSConnection(NAME)
        with self.connect(source) as connection.sock:
            return ask_on(connection, target, method, body, **headers)

    @contextmanager
    def stream(self, **headers):
        # Of another client than requests, whose rate they would use up.
        options = {"compression": None, "ping_interval": None}
        options |= {"additional_headers": headers, "server_hostname": NAME}
        with connect(
            f"wss://{NAME}/v1/stream",
            ssl=self.context,
            sock=socket.create_connection(
                ("127.0.0.1", self.port), PATIENCE_S, ("127.0.0.4", 0)
            ),
            open_timeout=PATIENCE_S,
            **options,
        ) as stream:
            yield stream


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a self-signed certificate and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("takes openssl, which is not installed")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command += ["-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.fixture
def proxy(program, analyzer, certificate, tmp_path):
    """Run the server and, as docs/api.md has it, a proxy in front."""
    if (path := shutil.which(program)) is None:
        pytest.skip(f"takes {program}, which is not installed (Debian has it)")
    limits = Limits(max_upload_bytes=2**20, max_per_minute=PER_MINUTE)
    server = running(analyzer, token=TOKEN, proxy="127.0.0.1", limits=limits)
    with server as url, free_ports(2) as (tls, plain):
        text = configuration(program)
        for old, new in (
            ("/etc/ssl/api.example.org.pem", str(certificate[0])),
            ("/etc/ssl/api.example.org.key", str(certificate[1])),
            ("127.0.0.1:8766", url.removeprefix("http://").rstrip("/")),
            ("10s", "1s"),
            ("clients 50", "clients 3"),
            ("client_max_body_size 100", "client_max_body_size 1"),
        ):
            text = text.replace(old, new)
        options = {"nginx": nginx, "caddy": caddy}[program](text, tls, plain, tmp_path)
        with (tmp_path / "log").open("w") as log:
            running_ = subprocess.Popen(
                [path, *options],
                cwd=tmp_path,
                stderr=log,
                stdout=log,
                env={"HOME": str(tmp_path)},
            )
        try:
            until(lambda: is_open(tls) or running_.poll() is not None)
            assert running_.poll() is None, (tmp_path / "log").read_text()
            yield Proxy(tls, ssl.create_default_context(cafile=certificate[0]))
        finally:
            running_.terminate()
            running_.wait(PATIENCE_S)


def nginx(text, tls, plain, folder):
    """Write the configuration as a file of conf.d, and return the options."""
    text = re.sub(r"listen \[::\].*\n", "", text)
    text = text.replace("listen 443", f"listen 127.0.0.1:{tls}")
    text = text.replace("listen 80", f"listen 127.0.0.1:{plain}")
    (folder / "espressivo.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\n{paths}include espressivo.conf;\n}}\n"
    )
    settings = "daemon off; master_process off;"
    return ["-p", folder, "-c", folder / "nginx.conf", "-g", settings]


def caddy(text, tls, plain, folder):
    """Write the Caddyfile, and return the options."""
    ports = f"admin off\n\thttp_port {plain}\n\thttps_port {tls}\n\tauto_https "
    text = text.replace("{\n", f"{{\n\t{ports}disable_redirects\n", 1)
    (folder / "Caddyfile").write_text(text)
    return ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]


@contextmanager
def free_ports(n):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
    yield ports


def is_open(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@proxies
def test_it_serves_over_tls(proxy, analyzer, note):
    report = analyzer.analyze(NOTE, name="recording").to_dict()
    content = NOTE.read_bytes()

    assert proxy.ask("/health").json["status"] == "ok"
    assert proxy.ask("/metrics").status == 401
    answer = proxy.ask("/v1/analyze", "POST", content, **BEARER)
    assert (answer.status, answer.json) == (200, json.loads(json.dumps(report)))
    assert answer.headers["cache-control"] == "no-store"
    with proxy.stream(**BEARER) as stream:
        send_all(stream, pcm_of(note))
        assert end(stream)[-1]["report"]["emotion"] == analyzer.analyze(note).emotion
    with pytest.raises(InvalidStatus) as refused, proxy.stream():
        pass
    assert refused.value.response.status_code == 401


@proxies
def test_clients_are_told_apart_whatever_they_claim(proxy):
    def analyze(source, claimed=None):
        claims = {} if claimed is None else {"X_Forwarded_For": claimed}
        return proxy.ask("/v1/analyze", "POST", b"x", source, **BEARER, **claims).status

    statuses = [analyze("127.0.0.2") for _ in range(2 * PER_MINUTE)]
    assert set(statuses) == {422, 429}
    assert 429 in [analyze("127.0.0.2", f"192.0.2.{i}") for i in range(3)]
    assert analyze("127.0.0.3") == 422


@proxies
def test_it_limits_what_a_client_sends(proxy):
    large = proxy.ask("/v1/analyze", "POST", bytes(2 * 2**20), **BEARER)
    assert large.status == 413
    with proxy.connect() as client:  # half a head
        client.sendall(f"GET /health HTTP/1.1\r\nHost: {NAME}\r\nX-Half: ".encode())
        with suppress(ConnectionError):
            assert client.recv(100)[:12] in (b"", b"HTTP/1.1 408")
    long = proxy.ask("/health", X_Long="a" * 200_000)
    assert long.status in (400, 431)


@pytest.mark.parametrize("program", ["nginx"])
def test_it_limits_a_clients_connections(proxy):
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(proxy.stream(**BEARER))
        # On a busy machine nginx closes before its response is read.
        refusals = (InvalidStatus, InvalidMessage)
        with pytest.raises(refusals) as refused, proxy.stream(**BEARER):
            pass
        if isinstance(refused.value, InvalidStatus):
            assert refused.value.response.status_code == 503
        assert proxy.ask("/health").status == 200  # of another client


def test_limits_are_the_servers():
    """The comments of nginx name options, whose defaults stand in the table."""
    for option, unit in (
        ("idle", "s"),
        ("head", "s"),
        ("slow", "s"),
        ("max-upload", "m"),
    ):
        (value,) = re.findall(rf"(\d+){unit};\s+# --{option}\n", TEXT)
        assert re.search(rf"\| `--{option} \w+` \| {value} \|", TEXT)
