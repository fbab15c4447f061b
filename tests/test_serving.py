from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from html.parser import HTMLParser
from http.client import HTTPConnection
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.errors import ServeError
from espressivo.model.classifier import read_card
from espressivo.model.find import (
    bundled_models,
    find_model,
)
from espressivo.model.index import index_models, to_json
from espressivo.serve.app_files import AppFiles
from espressivo.serve.app_server import (
    HEADERS,
    PAGE_POLICY,
    AppServer,
)
from tests.conftest import ROOT

SECRET = b"what is none of the browser's business"
WASM = b"\0asm\x01\0\0\0" + bytes(range(256)) * 100
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A built app in small, and secrets around it."""
    folder = tmp_path_factory.mktemp("checkout") / "dist"
    for name, body in {
        "index.html": b"<!doctype html><title>app</title>" + b"<p>hello</p>" * 200,
        "sw.js": b"self.skipWaiting();",
        "manifest.webmanifest": b"{}",
        "icons/icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "icons/icon.png": b"\x89PNG",
        "assets/index-B3xQ_z1a.js": b"export {};" * 500,
        "assets/index-aB3dE-9x.css": b"p{}",
        "assets/ort-wasm-simd-threaded.wasm": WASM,
        "assets/ort-wasm-simd-threaded-DmK3_9qL.wasm": WASM,
        "assets/ort-wasm-simd-threaded-DmK3_9qL.wasm.gz": gzip.compress(WASM),
        "assets/silero_vad-Ab12Cd34.onnx": b"onnx",
        "models/models.json": b"stale",
        "models/espressivo-tiny/model.onnx": b"stale",
        "models/espressivo-tiny/only-of-web.txt": b"of web",
        "models/another/model.json": b"{}",
        ".env": SECRET,
        "../secret.txt": SECRET,
        "../dist-old/index.html": SECRET,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    (folder / "out.txt").symlink_to("../secret.txt")
    (folder / "up").symlink_to("..")
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "in.html").symlink_to("index.html")
    return folder


@contextmanager
def running(app, host="127.0.0.1", **options):
    """Serve on a free port, in a thread."""
    with AppServer(app, host, 0, **options) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(app):
    with running(app) as server:
        yield server


def ask(server, target, method="GET", body=None, **headers):
    """Return the response of one request, and its body."""
    port = server.server_address[1]
    with closing(HTTPConnection("127.0.0.1", port)) as connection:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, names)
        response = connection.getresponse()
        return response, response.read()


def ask_raw(server, request):
    """Return all that comes back for these bytes."""
    with socket.create_connection(server.server_address[:2]) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def status_of(server, target, **headers):
    return ask(server, target, **headers)[0].status


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/sw.js", "text/javascript; charset=utf-8"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/icons/icon.svg", "image/svg+xml"),
        ("/icons/icon.png", "image/png"),
        ("/assets/index-aB3dE-9x.css", "text/css; charset=utf-8"),
        ("/assets/ort-wasm-simd-threaded.wasm", "application/wasm"),
        ("/assets/ort-wasm-simd-threaded-DmK3_9qL.wasm.gz", "application/gzip"),
        ("/assets/silero_vad-Ab12Cd34.onnx", "application/octet-stream"),
        ("/models/models.json", "application/json"),
        ("/models/espressivo-tiny/model.json", "application/json"),
        ("/models/espressivo-tiny/LICENSES/TRAINING-DATA.md", "text/plain; char"),
    ],
)
def test_what_there_is_has_its_type(server, target, expected):
    response, body = ask(server, target)

    assert response.status == 200
    assert response.headers["Content-Type"].startswith(expected)
    assert int(response.headers["Content-Length"]) == len(body) > 0


def test_the_bytes_are_those_of_the_file(server, app):
    for path in ("index.html", "assets/ort-wasm-simd-threaded.wasm"):
        assert ask(server, f"/{path}?v=1")[1] == (app / path).read_bytes()
    assert ask(server, "/in.html")[1] == (app / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("status", "method", "target", "headers"),
    [
        (200, "GET", "/", {}),
        (200, "HEAD", "/sw.js", {}),
        (200, "GET", "/models/espressivo-tiny/model.onnx", {}),
        (404, "GET", "/no-such-thing", {}),
        (404, "HEAD", "/no-such-thing", {}),
        (405, "POST", "/", {}),
        (405, "BREW", "/", {}),
        (421, "GET", "/", {"Host": "evil.example"}),
        (431, "GET", "/", {f"X-{n}": "x" for n in range(200)}),
    ],
)
def test_every_response_has_every_header(server, status, method, target, headers):
    response, body = ask(server, target, method, **headers)

    assert response.status == status
    for name, value in HEADERS.items():
        assert response.headers.get_all(name) == [value]
    assert response.headers["Server"] == "espressivo"
    assert response.headers["Cache-Control"]
    assert (body == b"") == (method == "HEAD")


def test_a_garbled_request_is_answered_with_every_header(server):
    for request in (b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\xff\xfe / x\r\n\r\n"):
        answer = ask_raw(server, request).decode()
        assert re.match(r"HTTP/1\.1 (400|505) ", answer)
        for name, value in HEADERS.items():
            assert f"\r\n{name}: {value}\r\n" in answer


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%2F..%2Fsecret.txt",
        "/%252e%252e/secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/../dist-old/index.html",
        "//etc/passwd",
        "/%2Fetc/passwd",
        "/file:///etc/passwd",
        "/C:/secret.txt",
        "/index.html%00.js",
        "/index.html/",
        "/index.html/x",
        "/out.txt",
        "/up/secret.txt",
        "/up/dist/index.html/../../../secret.txt",
        "/loop.txt",
        "/.env",
        "/.",
        "/./index.html",
        "/assets",
        "/assets/",
        "/models",
        "/models/",
        "/models/espressivo-tiny",
        "/models/espressivo-tiny/",
        "/models/espressivo-tiny/LICENSES",
        "/models/espressivo-tiny/../../silero_vad.onnx",
        "/models/%2e%2e/silero_vad.onnx",
        "/models/espressivo-tiny/%2e%2e/%2e%2e/silero_vad.onnx",
        "/%ff%fe",
        f"/{'a' * 5000}",
        "index.html",
        "*",
        "http://127.0.0.1/../secret.txt",
    ],
)
def test_nothing_else_can_be_had(server, target):
    answer = ask_raw(
        server, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    )

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert SECRET not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize("target", [b"/index.html\0", b"/\0../secret.txt", b"/\xff"])
def test_bytes_that_are_no_text_find_nothing(server, target):
    answer = ask_raw(server, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 404 ")


PIECES = ["..", ".", "%2e%2e", "%2f", "/", "\\", "%5c", "%00", "assets", "models", "up"]
PIECES += ["espressivo-tiny", "secret.txt", "out.txt", "dist-old", "index.html", "?"]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=8))
def test_no_path_leads_out(app, pieces):
    found = AppFiles(app, zipped=False)("/" + "".join(pieces))

    assert found is None or found.body != SECRET


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8765", 200),
        ("evil.example", 421),
        ("evil.example:8765", 421),
        ("localhost.evil.example", 421),
        ("localhost:80@evil.example", 421),
        ("127.0.0.1.nip.io", 421),
        ("127.0.0.2", 421),
        ("192.168.1.2:8765", 421),
        ("localhost:", 421),
        ("", 421),
    ],
)
def test_only_this_machines_names_are_answered(server, host, expected):
    response, body = ask(server, "/", Host=host)

    assert response.status == expected
    assert (server.url in body.decode()) == (expected == 421)


def test_a_request_names_one_host(server):
    none = ask_raw(server, b"GET / HTTP/1.0\r\n\r\n")
    two = b"Host: localhost\r\nHost: evil.example\r\n"

    assert none.startswith(b"HTTP/1.1 421 ")
    assert ask_raw(server, b"GET / HTTP/1.1\r\n" + two + b"\r\n").startswith(
        b"HTTP/1.1 421 "
    )


def test_who_serves_a_network_answers_to_any_name(app):
    with running(app, "0.0.0.0") as server:
        assert not server.is_loopback
        assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"
        assert status_of(server, "/", Host="app.example.org") == 200


def test_ipv6_is_an_address_too(app):
    try:
        with running(app, "::1") as server:
            port = server.server_address[1]
            assert server.url == f"http://[::1]:{port}/"
            with closing(HTTPConnection("::1", port)) as connection:
                connection.request("GET", "/")
                assert connection.getresponse().status == 200
    except ServeError as error:
        pytest.skip(f"needs IPv6: {error}")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", "no-cache"),
        ("/sw.js", "no-cache"),
        ("/models/models.json", "no-cache"),
        ("/models/espressivo-tiny/model.onnx", "no-cache"),
        ("/assets/ort-wasm-simd-threaded.wasm", "no-cache"),
        ("/assets/ort-wasm-simd-threaded-DmK3_9qL.wasm", IMMUTABLE),
        ("/assets/ort-wasm-simd-threaded-DmK3_9qL.wasm.gz", IMMUTABLE),
        ("/assets/index-B3xQ_z1a.js", IMMUTABLE),
        ("/assets/index-aB3dE-9x.css", IMMUTABLE),
    ],
)
def test_what_is_named_by_its_hash_is_kept_and_the_rest_asked_for_again(
    server, target, expected
):
    response, body = ask(server, target)
    tag = response.headers["ETag"]
    again, nothing = ask(server, target, If_None_Match=f'"other", {tag}')
    other, all_again = ask(server, target, If_None_Match='"other"')

    assert response.headers["Cache-Control"] == expected
    assert (again.status, nothing) == (304, b"")
    assert (other.status, all_again) == (200, body)
    for name in ("ETag", "Cache-Control", *HEADERS):
        assert again.headers[name] == response.headers[name]


def test_head_is_get_without_the_body(server):
    for target in ("/", "/models/models.json", "/assets/index-B3xQ_z1a.js"):
        get, head = ask(server, target)[0], ask(server, target, "HEAD")[0]
        assert head.status == 200
        for response in (get, head):
            del response.headers["Date"]
        assert head.headers.items() == get.headers.items()


def test_a_file_that_changed_is_read_again(tmp_path):
    page = tmp_path / "index.html"
    page.write_text("one")
    with running(tmp_path) as server:
        first, body = ask(server, "/")
        assert body == b"one"
        page.write_text("other")
        second, body = ask(server, "/", If_None_Match=first.headers["ETag"])
        assert (second.status, body) == (200, b"other")
        page.unlink()
        assert status_of(server, "/") == 404


def test_equal_bytes_have_equal_tags_whatever_their_dates(server, app, tmp_path):
    (tmp_path / "index.html").write_bytes((app / "index.html").read_bytes())
    with running(tmp_path) as other:
        tags = [ask(s, "/")[0].headers["ETag"] for s in (server, other)]

    assert tags[0] == tags[1]


@pytest.mark.parametrize(
    ("accepted", "is_zipped"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("deflate,gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("br", False),
        ("", False),
    ],
)
def test_what_goes_over_a_network_is_compressed(app, accepted, is_zipped):
    with running(app, "0.0.0.0") as server:
        for target in ("/", "/assets/ort-wasm-simd-threaded.wasm"):
            response, sent = ask(server, target, Accept_Encoding=accepted)
            plain, body = ask(server, target, Accept_Encoding="identity")

            assert response.headers["Content-Encoding"] == (
                "gzip" if is_zipped else None
            )
            assert (gzip.decompress(sent) if is_zipped else sent) == body
            assert (len(sent) < len(body)) == is_zipped
            for answer in (response, plain):
                assert answer.headers["Vary"] == "Accept-Encoding"
            assert response.headers["ETag"] == plain.headers["ETag"]
        for target in ("/assets/silero_vad-Ab12Cd34.onnx", "/icons/icon.png"):
            assert ask(server, target, Accept_Encoding=accepted)[0].headers["Vary"] is (
                None
            )


def test_nothing_is_compressed_for_this_machine(server):
    response, _ = ask(server, "/", Accept_Encoding="gzip")

    assert response.headers["Content-Encoding"] is None
    assert response.headers["Vary"] is None


def test_models_are_those_of_the_package(server):
    index = ask(server, "/models/models.json")[1]
    listed = json.loads(index)

    assert index.decode() == to_json(index_models(map(find_model, bundled_models())))
    assert [model["name"] for model in listed["models"]] == bundled_models()
    for model in listed["models"]:
        folder = find_model(model["name"])
        assert model["version"] == read_card(folder).version
        for file in filter(lambda p: p.is_file(), folder.rglob("*")):
            path = file.relative_to(folder).as_posix()
            _, body = ask(server, f"/models/{model['name']}/{path}")
            assert body == file.read_bytes()


def test_what_only_the_app_has_of_a_model_comes_from_the_app(server):
    assert ask(server, "/models/espressivo-tiny/only-of-web.txt")[1] == b"of web"
    assert ask(server, "/models/another/model.json")[1] == b"{}"


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]
)
def test_other_methods_are_refused(server, method):
    response, body = ask(server, "/", method)

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert body.decode().startswith("405 Method Not Allowed")


def test_a_body_is_not_taken_for_a_request(server):
    inner = b"GET /sw.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for method in (b"GET", b"POST"):
        request = (
            method + b" / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
        )
        answer = ask_raw(server, request % (len(inner), inner))
        assert answer.count(b"HTTP/1.1 ") == 1


def test_a_connection_serves_several_requests(server):
    with closing(HTTPConnection(*server.server_address[:2])) as connection:
        for target in ("/", "/sw.js", "/models/models.json"):
            connection.request("GET", target)
            response = connection.getresponse()
            response.read()
            assert (response.status, response.will_close) == (200, False)


def test_many_at_once_get_the_same(app):
    bodies = []

    def load():
        target = "/assets/ort-wasm-simd-threaded.wasm"
        bodies.append(ask(server, target, Accept_Encoding="gzip")[1])

    with running(app, "0.0.0.0") as server:
        threads = [Thread(target=load) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(bodies) == 16
    assert set(map(gzip.decompress, bodies)) == {WASM}


def test_a_log_says_what_was_asked_not_who_asked(app, capfd):
    lines = []
    with running(app, log=lines.append) as server:
        ask(server, "/sw.js")
        ask(server, "/none%0aGET")
        ask_raw(server, b"\x1b[31m\r\n\r\n")
    with running(app) as silent:
        ask(silent, "/")
        ask(silent, "/none")

    assert lines[:2] == ["'GET /sw.js HTTP/1.1' 200", "'GET /none%0aGET HTTP/1.1' 404"]
    assert lines[2] == r"'\x1b[31m' 400"
    assert capfd.readouterr() == ("", "")


def test_a_browser_that_hangs_up_is_no_error(tmp_path, capfd):
    (tmp_path / "index.html").write_bytes(bytes(50_000_000))
    with running(tmp_path) as server:
        for _ in range(3):
            connection = socket.create_connection(server.server_address[:2])
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection.recv(1)
            connection.close()
        assert status_of(server, "/", method="HEAD") == 200

    assert capfd.readouterr() == ("", "")


def test_a_port_is_not_taken_twice(server, app):
    port = server.server_address[1]

    with pytest.raises(ServeError, match=f"port {port} of 127.0.0.1: is in use"):
        AppServer(app, "127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 64, "..."])
def test_an_address_of_another_machine_is_refused(app, host):
    with pytest.raises(ServeError, match="is no address of this machine"):
        AppServer(app, host, 0)


def test_it_needs_nothing_but_python(app):
    code = (
        "from pathlib import Path; from espressivo.serve.app_server import AppServer;"
        f"server = AppServer(Path({str(app)!r}), port=0);"
        "assert server.files('/models/models.json') and server.files('/');"
        "server.server_close()"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


class PolicyReader(HTMLParser):
    """Collects what a page says in `<meta http-equiv=Content-Security-Policy>`."""

    def __init__(self):
        super().__init__()
        self.policies = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        is_policy = (
            attributes.get("http-equiv", "").lower() == "content-security-policy"
        )
        if tag == "meta" and is_policy:
            self.policies.append(attributes["content"])


def test_the_page_states_the_same_policy():
    path = ROOT / "web" / "index.html"
    if not path.is_file():
        pytest.skip("needs web/index.html, which is absent")
    reader = PolicyReader()
    reader.feed(path.read_text("utf-8"))

    assert [" ".join(policy.split()) for policy in reader.policies] == [PAGE_POLICY]


def test_the_built_app_is_served_whole():
    dist = ROOT / "web" / "dist"
    if not (dist / "index.html").is_file():
        pytest.skip("needs web/dist, which npm run build in web/ makes")
    files = AppFiles(dist, zipped=False)

    for file in filter(lambda p: p.is_file(), dist.rglob("*")):
        path = file.relative_to(dist)
        found = files(f"/{path.as_posix()}")
        assert found is not None, path
        if path.suffix not in {".onnx", ""}:
            assert found.type != "application/octet-stream", path
        hashed_in_small_letters = re.search(r"-[a-z_-]{8}\.", path.name)
        if path.parts[0] == "assets" and not hashed_in_small_letters:
            assert found.is_immutable, path
    built = json.loads((dist / "models" / "models.json").read_text("utf-8"))
    assert built == json.loads(files("/models/models.json").body)
