"""`espressivo.model.pull`, from hosts on this machine, of which some mean harm."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import espressivo
from espressivo.errors import ModelError
from espressivo.files.locks import locked
from espressivo.model.download import Patience
from espressivo.model.find import (
    DEFAULT,
    FOLDER_VARIABLE,
    bundled_models,
    find_model,
    models_folder,
    place_of,
    pulled_models,
)
from espressivo.model.index import index_models, to_json
from espressivo.model.pull import pull_model, remove_model
from espressivo.model.stage import staged
from tests.conftest import NOTE
from tests.hosts import (
    BLOCK,
    dripping,
    endless,
    endless_chunks,
    hosting,
    redirect,
    send,
)
from tests.waiting import until

IMPATIENT = Patience(wait_s=0.3, least_bytes=10_000)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The folder of pulled models, which does not exist yet."""
    folder = tmp_path / "data" / "models"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def mine(tmp_path):
    """A model folder named `mine`."""
    return _model(tmp_path / "made" / "mine")


@pytest.fixture
def host(mine):
    with hosting() as host:
        host.add(mine)
        yield host


def _model(folder, **entries):
    folder.mkdir(parents=True)
    source = find_model(DEFAULT)
    shutil.copy(source / "model.onnx", folder)
    card = json.loads((source / "model.json").read_text("utf-8"))
    changed = card | {"name": folder.name} | entries
    (folder / "model.json").write_text(json.dumps(changed), "utf-8")
    return folder


def _sha256(folder):
    return hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()


def _index(host, *folders, path="/models.json"):
    for folder in folders:
        host.add(folder)
    host.routes[path] = to_json(index_models(folders)).encode()
    return host.url.rstrip("/") + path


def _contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _names(folder):
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def _refused(home, url, match, **options):
    """Pull, which fails and leaves nothing; return the message."""
    before = _names(home)
    with pytest.raises(ModelError, match=match) as caught:
        pull_model(url, **options)
    assert _names(home) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pulled_model_is_found_by_its_name_and_analyses(host, home, mine, analyzer):
    pulled = pull_model(host.url + "mine/", sha256=_sha256(mine).upper())

    assert pulled.is_new
    assert pulled.folder == home / "mine" == find_model("mine")
    assert pulled.sha256 == _sha256(mine)
    assert pulled.n_bytes == sum(map(len, _contents(mine).values()))
    assert _contents(home / "mine") == _contents(mine)
    assert _names(home) == pulled_models() == ["mine"]
    assert place_of(find_model("mine")) == (home / "mine").absolute()
    report = espressivo.load_model("mine").analyze(NOTE)
    assert report.probabilities == analyzer.analyze(NOTE).probabilities


@pytest.mark.parametrize("path", ["mine", "mine/", "mine/model.json"])
def test_a_folder_is_named_with_and_without_a_slash(host, home, mine, path):
    assert pull_model(host.url + path).folder == home / "mine"
    assert host.asked == [f"/mine/{name}" for name in _FILES]


_FILES = ("model.json", "model.onnx")


def test_of_an_index_one_model_is_chosen_by_name(host, home, mine, tmp_path):
    url = _index(host, mine, other := _model(tmp_path / "other"), path="/a/models.json")
    for folder in (mine, other):
        host.add(folder, f"a/{folder.name}")
    _refused(home, url, "offers mine, other; choose one with --name")
    _refused(home, url, "offers mine, other; choose", name="third")
    assert pull_model(url, name="other").folder == home / "other"
    assert _contents(home / "other") == _contents(other)
    url = _index(host, mine)
    assert pull_model(url).folder == home / "mine"  # the only one


def test_another_name_can_be_given_and_another_folder(host, home, mine, tmp_path):
    assert pull_model(host.url + "mine", name="b.2").folder == home / "b.2"
    to = tmp_path / "new" / "place"
    assert pull_model(host.url + "mine", folder=to).folder == to / "mine"
    assert _names(home) == pulled_models() == ["b.2"]


def test_progress_ends_at_all_bytes(host, mine):
    seen = []
    size = sum((mine / name).stat().st_size for name in _FILES[1:])
    pull_model(host.url + "mine", name="a", progress=lambda *at: seen.append(at))
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)
    seen.clear()
    url = _index(host, mine)
    pull_model(url, progress=lambda *at: seen.append(at))
    assert {total for _, total in seen} == {size}


def test_the_same_model_is_not_downloaded_twice(host, home, mine):
    first = pull_model(host.url + "mine")
    stamp = (home / "mine").stat().st_mtime_ns
    host.asked.clear()
    for replace in (False, True):
        again = pull_model(host.url + "mine", replace=replace)
        assert not again.is_new
        assert again.folder == first.folder
        assert again.n_bytes == first.n_bytes
    assert set(host.asked) == {"/mine/model.json"}
    assert (home / "mine").stat().st_mtime_ns == stamp


def test_another_version_is_replaced_only_on_request(host, home, mine, tmp_path):
    pull_model(host.url + "mine")
    newer = _model(tmp_path / "newer" / "mine", version="9.0")
    host.add(newer)
    _refused(home, host.url + "mine", r"holds version [\d.]+ of .* give --replace")
    assert _contents(home / "mine") == _contents(mine)
    pulled = pull_model(host.url + "mine", replace=True)
    assert (pulled.is_new, pulled.version) == (True, "9.0")
    assert _contents(home / "mine") == _contents(newer)
    assert _names(home) == ["mine"]


def test_a_failed_replacement_leaves_the_old_version(host, home, mine, tmp_path):
    pull_model(host.url + "mine")
    host.add(_model(tmp_path / "newer" / "mine", version="9.0"))
    host.routes["/mine/model.onnx"] += b"\0"
    _refused(home, host.url + "mine", "was altered", replace=True)
    assert _contents(home / "mine") == _contents(mine)


def test_a_damaged_model_is_repaired_on_request(host, home, mine):
    pull_model(host.url + "mine")
    (home / "mine" / "model.onnx").write_bytes(b"half")
    _refused(home, host.url + "mine", "holds this model, damaged; give --replace")
    assert pull_model(host.url + "mine", replace=True).is_new
    assert _contents(home / "mine") == _contents(mine)


def test_what_is_no_model_is_never_replaced(host, home):
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "diary.txt").write_text("mine")
    _refused(home, host.url + "mine", "is there and is no model", replace=True)
    assert _names(home / "mine") == ["diary.txt"]


def test_bundled_names_stay_those_of_bundled_models(host, home, tmp_path):
    host.add(find_model(DEFAULT))
    same = pull_model(host.url + DEFAULT)
    assert (same.is_new, same.folder) == (False, find_model(DEFAULT))
    changed = _model(tmp_path / DEFAULT, version="9.0")
    host.add(changed)
    _refused(home, host.url + DEFAULT, "comes with espressivo", replace=True)
    assert pull_model(host.url + DEFAULT, name="newer").folder == home / "newer"
    to = tmp_path / "elsewhere"
    assert pull_model(host.url + DEFAULT, folder=to).folder == to / DEFAULT
    assert find_model(DEFAULT) != to / DEFAULT
    assert DEFAULT in bundled_models()


def test_removal_is_of_pulled_models_alone(host, home, tmp_path, monkeypatch):
    pull_model(host.url + "mine")
    assert remove_model("mine") == home / "mine"
    assert _names(home) == pulled_models() == []
    with pytest.raises(ModelError, match="neither a folder nor a bundled model"):
        find_model("mine")
    (tmp_path / "work" / "local").mkdir(parents=True)
    shutil.copy(find_model(DEFAULT) / "model.json", tmp_path / "work" / "local")
    monkeypatch.chdir(tmp_path / "work")
    for name in (
        DEFAULT,
        "mine",
        "local",
        "",
        ".",
        "..",
        "../../work/local",
        str(home),
    ):
        with pytest.raises(ModelError, match=r"\(pulled: none\)"):
            remove_model(name)
    assert find_model(DEFAULT).is_dir()
    assert _names(tmp_path / "work" / "local") == ["model.json"]


def test_a_link_is_removed_and_not_what_it_leads_to(home, mine):
    home.mkdir(parents=True)
    (home / "linked").symlink_to(mine)
    assert pulled_models() == ["linked"]
    before = _contents(mine)
    remove_model("linked")
    assert _names(home) == []
    assert _contents(mine) == before


# Hosts that fail or mean harm


def test_another_hash_than_the_expected_one_is_refused_at_once(host, home):
    _refused(home, host.url + "mine", f"not {'0' * 64}", sha256="0" * 64)
    assert host.asked == ["/mine/model.json"]
    assert not home.exists()


def test_the_graph_is_compared_with_its_hash(host, home, mine):
    path = "/mine/model.onnx"
    content = host.routes[path]
    host.routes[path] = bytes([content[0] ^ 1]) + content[1:]
    for options in ({}, {"sha256": _sha256(mine)}):
        message = _refused(home, host.url + "mine", "was altered", **options)
        assert message.startswith(f"{host.url}mine/model.onnx: sha256 is ")


def test_an_index_vouches_for_its_files(host, home, mine, tmp_path):
    url = _index(host, mine)
    host.add(_model(tmp_path / "newer" / "mine", version="9.0"))
    _refused(home, url, "is not the one that models.json beside it describes")
    index = json.loads(host.routes["/models.json"])
    files = index["models"][0]["files"]
    files["model.json"]["sha256"] = _sha256(tmp_path / "newer" / "mine")
    files["model.onnx"]["sha256"] = "0" * 64
    host.routes["/models.json"] = json.dumps(index).encode()
    _refused(home, url, "disagree about its files")


@pytest.mark.parametrize("keep", [0, 1000])
def test_a_download_that_is_cut_off_is_no_model(host, home, keep):
    whole = host.routes["/mine/model.onnx"]
    host.routes["/mine/model.onnx"] = lambda handler: send(
        handler, whole[:keep], length=len(whole)
    )
    _refused(home, host.url + "mine", f"it ended after {keep} bytes")
    host.routes["/mine/model.onnx"] = whole
    assert pull_model(host.url + "mine").is_new


def test_chunks_that_are_cut_off_are_no_model(host, home):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK))

    host.routes["/mine/model.onnx"] = cut
    _refused(home, host.url + "mine", "cannot be downloaded")


@pytest.mark.parametrize("route", [endless, endless_chunks])
def test_a_host_that_never_ends_is_stopped(host, home, mine, route):
    url = _index(host, mine)
    for path, source in (
        ("/mine/model.json", host.url + "mine"),
        ("/mine/model.onnx", url),
        ("/models.json", url),
    ):
        whole = host.routes[path]
        host.routes[path] = route
        _refused(home, source, "sends more than the [0-9]+ bytes that were expected")
        host.routes[path] = whole


def test_more_bytes_than_announced_are_not_read(host, home, mine):
    url = _index(host, mine)
    whole = host.routes["/mine/model.onnx"]
    host.routes["/mine/model.onnx"] = whole + b"\0"
    n = len(whole)
    _refused(home, url, f"has {n + 1} bytes, and {n} at most were expected")
    host.routes["/mine/model.onnx"] = lambda handler: send(
        handler, whole + BLOCK, length=len(whole)
    )
    assert pull_model(url).is_new
    assert _contents(home / "mine") == _contents(mine)


def test_a_size_that_cannot_be_is_refused_before_it_is_read(host, home):
    host.routes["/mine/model.json"] = lambda handler: send(
        handler, b"{}", length=10**15
    )
    _refused(home, host.url + "mine", f"has {10**15} bytes, and 4000000 at most")


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        (b"", b""),
        (OK, b""),
        (b"", b"H"),
        (OK, b"X: y\r\n"),
        (OK, b"X"),
        (OK + b"Content-Length: 3000000\r\n\r\n", b""),
        (OK + b"Content-Length: 3000000\r\n\r\n", b"\0"),
        (OK + b"\r\n", b"\0"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n\0\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_host_that_drips_or_says_nothing_is_left(host, home, before, piece):
    host.routes["/mine/model.onnx"] = dripping(host, before, piece)
    url = host.url + "mine"
    message = _refused(home, url, "cannot be downloaded", patience=IMPATIENT)
    assert "timed out" in message or "fewer than 10000 bytes came in 0.3 s" in message


def test_slow_hosts_are_not_left(host, home, mine):
    whole = host.routes["/mine/model.onnx"]

    def slow(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(whole)))
        handler.end_headers()
        for at in range(0, len(whole), len(whole) // 10):
            handler.wfile.write(whole[at : at + len(whole) // 10])
            time.sleep(0.1)

    host.routes["/mine/model.onnx"] = slow
    assert pull_model(host.url + "mine", patience=Patience(0.5, 10_000)).is_new


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(host, home, mine, status):
    for name in _FILES:
        host.routes[f"/moved/{name}"] = redirect(f"/mine/{name}?signed=1", status)
        host.routes[f"/mine/{name}?signed=1"] = host.routes[f"/mine/{name}"]
    assert pull_model(host.url + "moved").folder == home / "mine"


@pytest.mark.parametrize(
    ("to", "match"),
    [
        ("http://example.org/model.json", "is http, so that anybody"),
        ("file:///etc/passwd", "is no https URL"),
        ("ftp://localhost/model.json", "is no https URL"),
        ("//user:secret@localhost/model.json", "has a password"),
        ("https://[::1", "which is no URL"),
        ("http://localhost:99999/", "is no URL"),
        ("/mine/model.json", "sends us on and on"),
    ],
)
def test_redirects_lead_nowhere_else(host, home, to, match):
    host.routes["/mine/model.json"] = redirect(to)
    assert "secret" not in _refused(home, host.url + "mine", match)


def test_the_body_of_a_redirect_is_not_read(host, home, mine):
    host.routes["/a/model.json"] = lambda handler: endless(
        handler, 302, Location="/mine/model.json"
    )
    for name in _FILES[1:]:
        host.routes[f"/a/{name}"] = redirect(f"/mine/{name}")
    assert pull_model(host.url + "a").folder == home / "mine"


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda handler: handler.send_error(404), r"answers 404 \(Not Found\)"),
        (lambda handler: handler.send_error(500), "answers 500"),
        (lambda handler: endless(handler, 403), "answers 403"),
        (lambda handler: send(handler, b"", status=302), "answers 302"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n"), "cannot be downloaded"),
        (lambda handler: handler.wfile.write(OK + b"X" * 99999), "cannot be download"),
        (lambda _: None, "cannot be downloaded"),
        (b"<html>", "is not readable JSON"),
        (b"", "is not readable JSON"),
        (b"[" * 3_000_000, "is not readable JSON"),
        (b"\xff\xfe", "is not readable JSON"),
        (b"[]", "is a list"),
        (b"{}", "format_version is None"),
        (b'{"format_version": 2}', "update espressivo"),
    ],
)
def test_what_is_no_card_is_told(host, home, answer, match):
    host.routes["/mine/model.json"] = answer
    message = _refused(home, host.url + "mine", match)
    assert message.startswith(host.url + "mine/")


def test_a_host_that_is_not_there_is_told(home):
    with hosting() as host:
        pass
    _refused(home, host.url + "mine", "cannot be downloaded")
    _refused(home, "https://no-such-host.invalid/m", "cannot be downloaded")
    _refused(home, f"https://{'a' * 70}.invalid/m", "cannot be downloaded")
    assert not home.exists()


@pytest.mark.parametrize(
    "name",
    ["../../mine", "/tmp/mine", ".hidden", "..", "", "a/b", "a\\b", "con", "x" * 65],
)
def test_names_lead_out_of_no_folder(host, home, mine, tmp_path, name):
    card = json.loads((mine / "model.json").read_text("utf-8"))
    host.routes["/mine/model.json"] = json.dumps(card | {"name": name}).encode()
    _refused(home, host.url + "mine", "cannot be a folder's name")
    _refused(home, host.url + "mine", "is no name for a model", name=name)
    index = json.loads(to_json(index_models([mine])))
    index["models"][0]["name"] = name
    host.routes["/models.json"] = json.dumps(index).encode()
    _refused(home, host.url + "models.json", "is no name for a model")
    assert _names(tmp_path) == ["data", "made"]
    assert set(host.asked) == {"/mine/model.json", "/models.json"}


def test_only_the_files_of_a_model_are_fetched(host, home, mine):
    url = _index(host, mine)
    index = json.loads(host.routes["/models.json"])
    files = index["models"][0]["files"]
    for path in ("../evil", "/etc/evil", "evil.py", "LICENSES/README.md"):
        files[path] = {"sha256": "0" * 64, "bytes": 1}
    host.routes["/models.json"] = json.dumps(index | {"later": 1}).encode()
    pull_model(url)
    assert host.asked == ["/models.json", *(f"/mine/{name}" for name in _FILES)]
    assert _names(home / "mine") == sorted(_FILES)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://example.org/mine", "is http, so that anybody"),
        ("http://localhost.example.org/mine", "is http, so that anybody"),
        ("ftp://localhost/mine", "is no https URL"),
        ("file:///tmp/mine", "is no https URL"),
        ("mine", "is no https URL"),
        ("https:///mine", "is no https URL"),
        ("https://user:secret@localhost/mine", "has a password"),
        ("https://localhost/mine?token=1", r"has a \? or #"),
        ("https://localhost/mine#x", r"has a \? or #"),
        ("https://localhost:port/mine", "is no URL"),
        ("http://localhost/a b", "cannot be downloaded"),
        ("http://localhost/ä", "cannot be downloaded"),
    ],
)
def test_other_urls_are_refused(home, url, match):
    assert "secret" not in _refused(home, url, match)
    assert not home.exists()


def test_a_hash_is_64_digits(host, home):
    for sha256 in ("", "abc", "g" * 64, "0" * 63):
        _refused(home, host.url + "mine", "is no SHA-256", sha256=sha256)
    assert host.asked == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Certificate and key of localhost, signed by itself."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs openssl, to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", path, "-out", path.with_suffix(".crt")),
        ],
        check=True,
        capture_output=True,
    )
    return path


def test_certificates_are_verified_and_https_is_not_left(
    host, home, mine, certificate, monkeypatch
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.with_suffix(".crt"), certificate)
    with hosting(context) as secure:
        secure.add(mine)
        _refused(home, secure.url + "mine", "CERTIFICATE_VERIFY_FAILED")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
        assert pull_model(secure.url + "mine").is_new
        remove_model("mine")
        # From https not even to this machine, which plain http may name.
        secure.routes["/mine/model.onnx"] = redirect(host.url + "mine/model.onnx")
        _refused(home, secure.url + "mine", "away from https")
        secure.routes["/mine/model.onnx"] = dripping(secure, OK, b"X")
        url = secure.url + "mine"
        _refused(home, url, "fewer than 10000 bytes came", patience=IMPATIENT)
        host.routes["/mine/model.onnx"] = redirect(secure.url + "a/model.onnx")
        secure.add(mine, "a")
        assert pull_model(host.url + "mine").is_new


# This machine


def _pulling(url, home, prefix=""):
    code = (
        f"{prefix}\nimport sys; from espressivo.cli.main import main; sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "models", "pull", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {FOLDER_VARIABLE: str(home)},
    )


def _half(host):
    """Have the host send half of the graph, and then wait; return an event of that."""
    whole = host.routes["/mine/model.onnx"]
    sent = threading.Event()

    def half(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(whole)))
        handler.end_headers()
        handler.wfile.write(whole[: len(whole) // 2])
        sent.set()
        host.ended.wait()

    host.routes["/mine/model.onnx"] = half
    return sent


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupted_pull_leaves_nothing(host, home, number, code):
    sent = _half(host)
    with _pulling(host.url + "mine", home) as process:
        assert sent.wait(60)
        until(lambda: any(home.glob(".pull-*/model/model.onnx")))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", "interrupted\n")
    assert _names(home) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_what_a_killed_pull_leaves_goes_with_the_next(host, home, mine):
    whole = host.routes["/mine/model.onnx"]
    sent = _half(host)
    with _pulling(host.url + "mine", home) as process:
        assert sent.wait(60)
        until(lambda: any(home.glob(".pull-*/model/model.onnx")))
        with pytest.raises(ModelError, match="neither a folder"):
            find_model("mine")
        host.routes["/mine/model.onnx"] = whole
        assert pull_model(host.url + "mine", name="other").is_new
        assert len(list(home.glob(".pull-*"))) == 1  # of the one under way
        process.kill()
        process.communicate(timeout=60)
    assert pull_model(host.url + "mine").is_new
    assert _names(home) == ["mine", "other"]
    assert _contents(home / "mine") == _contents(mine)


def test_a_model_that_a_killed_replacement_put_aside_comes_back(host, home, mine):
    pull_model(host.url + "mine")
    aside = home / ".pull-killed" / "old"
    aside.mkdir(parents=True)
    (home / "mine").rename(aside / "mine")
    with locked(home / ".pull-killed" / "lock", 0):
        pull_model(host.url + "mine", name="b")
        assert _names(home) == [".pull-killed", "b"]
    pull_model(host.url + "mine", name="b")
    assert _names(home) == ["b", "mine"]
    assert _contents(home / "mine") == _contents(mine)


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file sizes")
def test_a_full_disk_leaves_nothing(host, home):
    limit = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    )
    with _pulling(host.url + "mine", home, limit) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == (
        f"{home}: cannot be written (file too large); make room, or name another "
        f"folder (--to, or {FOLDER_VARIABLE})\n"
    )
    assert _names(home) == []


def test_a_folder_that_cannot_be_is_told(host, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        ModelError, match=r"cannot be written \(.*\); make room, or name"
    ):
        pull_model(host.url + "mine", folder=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


def test_pulls_at_the_same_time_agree(host, home, mine):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: pull_model(host.url + "mine"), range(4)))
    assert sum(pulled.is_new for pulled in found) == 1
    assert {pulled.folder for pulled in found} == {home / "mine"}
    assert _names(home) == ["mine"]
    assert _contents(home / "mine") == _contents(mine)


def test_a_sweep_takes_no_folder_of_a_pull_that_begins(tmp_path):
    def stage(_):
        with staged(tmp_path) as folder:
            (folder / "model").mkdir()
            return (folder / "model").is_dir()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the older code lost one folder in twenty
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(stage, range(400)))
    finally:
        sys.setswitchinterval(interval)
    assert _names(tmp_path) == []


def test_pulled_models_are_beside_the_profiles(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    if sys.platform != "darwin":
        assert models_folder() == tmp_path / "espressivo" / "models"
    assert pulled_models() == []


def test_names_mean_the_same_in_every_working_directory(
    host, home, mine, tmp_path, monkeypatch
):
    pull_model(host.url + "mine")
    monkeypatch.chdir(mine.parent)
    assert find_model("mine") == home / "mine"
    assert find_model("./mine").resolve() == find_model(mine) == mine
    shutil.copytree(mine, home / DEFAULT)  # put there by hand
    assert find_model(DEFAULT) != home / DEFAULT
    assert pulled_models() == ["mine"]
