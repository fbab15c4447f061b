"""What the app's server and the API answer; steps of `capture.py`."""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.outputs.inputs import NOT_COMPARED, WORK, speech

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.outputs.capture import Capture


class Client:
    """Asks a server, and keeps what it answers."""

    def __init__(self, run: Capture, host: str) -> None:
        self.run, self.host = run, host

    def __call__(
        self,
        name: str,
        target: str,
        method: str = "GET",
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        folder: str | None = None,
    ) -> None:
        """Ask; keep status, headers and body, or its hash."""
        with closing(HTTPConnection(self.host, timeout=60)) as connection:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        told = sorted(f"{key}: {value}" for key, value in answer.getheaders())
        told = [line for line in told if not line.lower().startswith("date:")]
        try:
            shown = content.decode() if len(content) < 100_000 else _sha256(content)
        except UnicodeDecodeError:
            shown = _sha256(content)
        lines = [f"{method} {target}", f"{answer.status} {answer.reason}", *told, ""]
        self.run.text(f"{name}.http", "\n".join([*lines, shown]), folder)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def serve(run: Capture) -> None:
    """The app's server, on a copy of the checkout's package beside a made-up app."""
    web = WORK / "served" / "web"
    source = WORK / "served" / "src"
    package = run.checkout / "src" / "espressivo"
    shutil.copytree(package, source / "espressivo")
    for name in ("package.json", "dist/assets/page-ABCD1234.js", "dist/index.html"):
        (web / name).parent.mkdir(parents=True, exist_ok=True)
        (web / name).write_text(f"// made up: {name}\n")
    with run.serving("serve", source=source) as host:
        if host is None:
            return
        ask = Client(run, host)
        model = "/models/espressivo-tiny"
        targets = ["/", "/index.html?a=b", "/assets/page-ABCD1234.js", "/nothing"]
        targets += ["/models/index.json", "/models/nothing/model.json", "/../secret"]
        targets += [f"{model}/{n}" for n in ("model.json", "model.onnx")]
        targets += [f"{model}/LICENSES/TRAINING-DATA.md", "//index.html", "/%2e%2e/x"]
        for i, target in enumerate(targets):
            ask(f"get-{i:02}", target)
        ask("head", "/", "HEAD")
        ask("post", "/", "POST", b"x")
        ask("host", "/", headers={"Host": "example.org"})
        tag = 'W/"' + _sha256((web / "dist/index.html").read_bytes())[:32] + '"'
        ask("known", "/", headers={"If-None-Match": tag})


def api(run: Capture) -> None:
    """The API's answers, and the messages of its streams."""
    words = ["api"] if run.has("api") else ["serve", "--api"]
    (WORK / "token").write_text("a-token-for-the-capture-of-outputs\n")
    limits = ["--max-upload", 1, "--max-duration", 20, "--token-file", WORK / "token"]
    with run.serving(*words, *limits, "--allow-origin", "https://a.example") as host:
        if host is None:
            return
        _ask_api(Client(run, host))
        _stream(run, host)
    with run.serving(*words) as host:
        if host is not None:
            Client(run, host)("no-token", "/v1/nothing")


def _ask_api(ask: Client) -> None:
    who = {"Authorization": "Bearer a-token-for-the-capture-of-outputs"}
    note = (WORK / "cases" / "clean.opus").read_bytes()
    ask("analyze", "/v1/analyze?name=note.opus", "POST", note, headers=who)
    long = b"\x80" * 16_000 * 21
    header = (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\x80\x3e\0\0"
    )
    wav = header + b"\x01\0\x08\0data\xff\xff\xff\xff" + long
    for name in ("cut.flac", "empty.wav", "silence.wav", "text.wav"):
        content = (WORK / "broken" / name).read_bytes()
        ask(name, "/v1/analyze", "POST", content, headers=who)
    ask("too-long", "/v1/analyze", "POST", wav, headers=who)
    ask(
        "too-large",
        "/v1/analyze",
        "POST",
        None,
        headers=who | {"Content-Length": "2000000"},
    )
    parts = b'--x\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n'
    form = parts % b"a.opus" + note + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    ask("form", "/v1/analyze", "POST", form, headers=who | kind)
    ask("form-cut", "/v1/analyze", "POST", form[:-9], headers=who | kind)
    ask("form-text", "/v1/analyze", "POST", note, headers=who | kind)
    ask("bad-token", "/v1/analyze", "POST", note, headers={"Authorization": "Bearer x"})
    ask("none", "/v1/analyze", "POST", note)
    ask("method", "/v1/analyze", headers=who)
    ask("unknown", "/v1/unknown", headers=who)
    ask("host", "/health", headers=who | {"Host": "example.org"})
    for origin in ("https://a.example", "https://b.example"):
        ask(origin[8:], "/v1/analyze", "POST", note, headers=who | {"Origin": origin})
        wish = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        ask(f"options-{origin[8:]}", "/v1/analyze", "OPTIONS", headers=wish)
    ask("health", "/health")
    for name in ("/metrics", "/openapi.json", "/v1/openapi.json"):
        ask(name.replace("/", "-"), name, headers=who, folder=NOT_COMPARED)


def _stream(run: Capture, host: str) -> None:
    """Stream sound in chunks, garbage, and too much; keep messages and close codes."""
    pcm, end = speech(), '{"type": "end"}'
    chunks = [pcm[i : i + 6400] for i in range(0, len(pcm), 6400)]
    streams: dict[str, tuple[str, list[bytes | str]]] = {
        "stream": ("", [*chunks[:80], end]),
        "stream-hop": ("?hop=0.5", [*chunks[:40], end]),
        "stream-no-hop": ("?hop=0", [pcm[:300_000], end]),
        "stream-nothing": ("", [end]),
        "stream-odd": ("", [chunks[0][:-1]]),
        "stream-text": ("", ["what?"]),
        "stream-large": ("", [bytes(330_000)]),
        "stream-too-long": ("?hop=0", [*chunks[:40], *[bytes(64_000)] * 9]),
    }
    for name, (query, messages) in streams.items():
        who = {"Authorization": "Bearer a-token-for-the-capture-of-outputs"}
        heard: list[str] = []
        url = f"ws://{host}/v1/stream{query}"
        with connect(url, compression=None, additional_headers=who) as socket:
            with suppress(ConnectionClosed):
                for message in messages:
                    socket.send(message)
            try:
                while True:
                    heard.append(str(socket.recv(60)))
            except ConnectionClosed as closed:
                end_frame = closed.rcvd
            heard.append(f"{end_frame and (end_frame.code, end_frame.reason)}")
        text = "\n".join(heard) + "\n"
        if len(messages) > 2:  # how many had come when the server took the next ones
            text = re.sub(r'"at_s": [\d.]+', '"at_s": "VARIES"', text)
        run.text(f"{name}.jsonl", text)
        print(f"  {name}: {len(heard)} messages", flush=True)
