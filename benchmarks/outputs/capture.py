"""What the commands print and write, kept so that two versions can be compared.

    python benchmarks/outputs/capture.py --checkout DIR --out DIR [--only STEP ...]
    python benchmarks/outputs/capture.py --compare OUT1 OUT2

Every command is run with this Python and the checkout's `src`, on copies of recordings
in one work folder, whose path is always the same, so that it may stand in what is kept.
Texts and Parquet tables are kept as they are, but for what `normalized` replaces; of
other files the SHA-256. `not-compared/` holds what may differ. Linux, about 6 minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import av
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WORK = Path(tempfile.gettempdir()) / "espressivo-capture"
TEXTS = {".csv", ".html", ".json", ".jsonl", ".md", ".svg", ".tex", ".toml", ".txt"}
NOT_COMPARED = "not-compared"
N_LARGEST_BYTES = 200_000  # of a text that is kept whole

# Corpus -> patterns of the clips that are heard; six actors of RAVDESS.
CLIPS = {
    "ravdess": ["Actor_0[1-6]/03-01-0[1-6]-01-0[12]-01-*.flac"],
    "tess": ["?AF_back_*.opus", "?AF_bar_*.opus"],
    "nemo": ["[EKS][BS]0_*_1[27].opus", "data.tsv"],
    "emodb": ["0[389]a0[125]*.opus", "10a0[125]*.opus"],
    "emovo": ["[fm]1/*-b1.opus"],
    "urdu": ["*/SM1_F1_*.opus"],
    "emotiontts": ["plain-to-emotional/ema/wav/ema00[1-4]01.opus"],
}
NOISES = ["001*/*1*.ogg", "002*/*1*.ogg"]
NO_RECORDINGS = {".md", ".mjs", ".py", ".sh"}  # of the cases
WEIGHTS = "whisper_tiny_en_encoder_fp16.safetensors"

VARIES = [
    # What is printed of where things are: the checkout, and a port that was free.
    (r"(?<=127\.0\.0\.1:)\d{4,5}", "PORT"),
    # JSON: time and memory that were measured, when it was, and of which commit.
    (r'("(?:seconds|started|git|peak_bytes)": )("[^"]*"|[-\d.e]+|null)', r'\1"VARIES"'),
    (r'(?ms)^  "costs": \{.*?^  \}', '  "costs": "VARIES"'),
    # `train` and `crossval`: what an epoch took.
    (r"(?m)\b[\d.,]+ (s|min|h)$", r"N \1"),
    # `archive`: how fast it was.
    (r"(?m)^[\d,]+ in [\d:]+, [\d,]+ x real time", "N in T, N x real time"),
    # `export`: measured time and memory, and operators, sorted by time.
    (r"(?m)^(\| )?(time|peak memory), .*$", r"\1\2: VARIES"),
    (r"(?ms)^\| operator \|.*?(?=\n\n|\Z)", "OPERATORS VARY"),
]


def normalized(text: str, checkout: Path) -> str:
    """Replace what is not the same twice, or differs between checkouts."""
    text = text.replace(str(checkout), "CHECKOUT").replace(str(WORK), "WORK")
    for pattern, replacement in VARIES:
        text = re.sub(pattern, replacement, text)
    return text


class Capture:
    """Runs commands of a checkout, and keeps what they print and write.

    Args:
        checkout: Whose `src` is run.
        out: The folder that is written; a folder for each step.
    """

    def __init__(self, checkout: Path, out: Path) -> None:
        self.checkout, self.out, self.step = checkout, out, ""
        kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        self.environment = kept | {
            "COLUMNS": "100",
            "ESPRESSIVO_PROFILES": str(WORK / "profiles"),
            "HF_HUB_OFFLINE": "1",
            "HOME": str(WORK),
            "LC_ALL": "C.UTF-8",
            "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / "espressivo-matplotlib"),
            "NO_COLOR": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(checkout / "src"),
            "PYTHONPYCACHEPREFIX": str(WORK / "pycache"),  # the checkout stays as it is
        }

    def require_checkout(self) -> None:
        """Check that it is the checkout's package that runs, not an installed one."""
        line = "import espressivo, matplotlib.font_manager; print(espressivo.__file__)"
        found = subprocess.check_output(
            [sys.executable, "-c", line], cwd=WORK, env=self.environment, text=True
        )
        if not Path(found).is_relative_to(self.checkout / "src"):
            sys.exit(f"{found.strip()}: runs, not {self.checkout}")

    def command(self, *arguments: object) -> list[str]:
        """Return the command line of an espressivo command."""
        return [sys.executable, "-m", "espressivo", *map(str, arguments)]

    def __call__(self, name: str, *arguments: object, stdin: bytes = b"") -> int:
        """Run a command; keep its exit code and what it prints; return the code."""
        began = time.monotonic()
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.checkout,
            env=self.environment,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=600,
        )
        out, err = (
            text.decode(errors="replace") for text in (done.stdout, done.stderr)
        )
        self.text(f"{name}.out", f"exit {done.returncode}\n{out}--- stderr\n{err}")
        took_s = time.monotonic() - began
        print(f"  {name}: exit {done.returncode}, {took_s:.1f} s", flush=True)
        return done.returncode

    def text(self, name: str, text: str, folder: str | None = None) -> None:
        """Keep a text of this step, or in another folder."""
        path = self.out / (folder or self.step) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(normalized(text, self.checkout), "utf-8")

    def files(self, name: str, folder: Path, leave: Sequence[str] = ()) -> None:
        """Keep the files below a folder: texts, tables, and hashes of all others."""
        hashes = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            inner = path.relative_to(folder)
            if inner.parts[0] in leave:
                continue
            large = path.stat().st_size > N_LARGEST_BYTES
            if path.suffix in TEXTS and not large:
                self.text(f"{name}/{inner}", path.read_text("utf-8"))
            elif path.suffix == ".parquet":
                target = self.out / self.step / name / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            else:
                hashes.append(f"{_sha256(path.read_bytes())}  {inner}\n")
        self.text(f"{name}/sha256.txt", "".join(hashes))

    @contextmanager
    def serving(
        self, *arguments: object, source: Path | None = None
    ) -> Iterator[str | None]:
        """Run a server; give its host and port, or None when it does not start."""
        environment = dict(self.environment)
        if source is not None:
            environment["PYTHONPATH"] = str(source)
        with (WORK / "server.err").open("w+b") as err:
            server = subprocess.Popen(
                self.command(*arguments, "--port", 0),
                cwd=self.checkout,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
            assert server.stdout is not None
            said = server.stdout.readline()
            found = re.search(r"http://([\w.]+:\d+)/", said)
            try:
                yield found[1] if found else None
            finally:
                server.terminate()
                rest = server.communicate(timeout=60)[0]
                err.seek(0)
                whole = f"exit {server.returncode}\n{said}{rest}--- stderr\n"
                self.text("server.out", whole + err.read().decode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def prepare(checkout: Path, shared: Path) -> None:
    """Copy recordings and weights, break some, and write configurations."""
    for folder in ("broken", "weights"):
        (WORK / folder).mkdir()
    for corpus, patterns in CLIPS.items():
        _copy(shared / "corpora" / corpus, patterns, WORK / corpus)
    _copy(shared / "noise", NOISES, WORK / "noise")
    _copy(shared / "cases", ["*.*"], WORK / "cases")
    _copy(checkout / "examples", ["voice-note.m4a"], WORK)
    _copy(shared / "weights", [WEIGHTS], WORK / "weights")
    whole = (WORK / "ravdess/Actor_01/03-01-05-01-01-01-01.flac").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2 :: 997] = b"\xff" * len(flipped[len(whole) // 2 :: 997])
    broken = {
        "cut.flac": whole[: len(whole) * 2 // 3],
        "empty.wav": b"",
        "flipped.flac": bytes(flipped),
        "head.flac": whole[:40],
        "text.wav": b"no sound at all\n" * 100,
    }
    for name, content in broken.items():
        (WORK / "broken" / name).write_bytes(content)
    with wave.open(str(WORK / "broken" / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(64_000))
    for name, text in CONFIGS.items():
        (WORK / f"{name}.toml").write_text(f'name = "{name}"\nthreads = 1\n{text}')
    rows = ["path,emotion,speaker"]
    for path in sorted((WORK / "nemo").glob("*.opus")):
        speaker, emotion, _ = path.stem.split("_")
        rows.append(f"nemo/{path.name},{emotion},{speaker}")
    table = "\n".join([*rows, ""])
    (WORK / "calls.csv").write_text(table)
    (WORK / "with-broken.csv").write_text(f"{table}broken/text.wav,anger,X\n")
    _write_iemocap(WORK / "iemocap")


def _copy(source: Path, patterns: Sequence[str], target: Path) -> None:
    paths = [path for pattern in patterns for path in sorted(source.glob(pattern))]
    if not paths:
        sys.exit(f"{source}: holds none of {', '.join(patterns)}")
    for path in paths:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _write_iemocap(root: Path) -> None:
    """Lay clips of RAVDESS out as IEMOCAP: five sessions, two talkers, both marked."""
    codes = {"ang": "05", "hap": "03", "neu": "01", "sad": "04"}
    for session in range(1, 6):
        for marked in "FM":
            dialogue, lines = f"Ses0{session}{marked}_impro01", []
            place = root / f"Session{session}"
            wavs = place / "sentences" / "wav" / dialogue
            wavs.mkdir(parents=True)
            (place / "dialog/EmoEvaluation").mkdir(parents=True, exist_ok=True)
            for talker in "FM":
                actor = session + (talker == "F")  # even: a woman
                for i, (label, code) in enumerate(codes.items()):
                    name = f"{dialogue}_{talker}{i:03}"
                    statement = 1 + (marked == "M")
                    clip = f"03-01-{code}-01-0{statement}-01-0{actor}.flac"
                    source = WORK / "ravdess" / f"Actor_0{actor}" / clip
                    shutil.copyfile(source, wavs / f"{name}.flac")
                    span = f"[{i:.4f} - {i + 1:.4f}]"
                    lines.append(f"{span}\t{name}\t{label}\t[2.5, 3.0, 3.5]\n")
            sheet = place / "dialog/EmoEvaluation" / f"{dialogue}.txt"
            sheet.write_text(
                "% [START] TURN_NAME EMOTION [V, A, D]\n\n" + "".join(lines)
            )


GROUPS = '[protocol]\nkind = "speaker-group"\nn_groups = 3\n'
RAVDESS = '[corpora]\nravdess = "ravdess"\n'
PLAIN = "[augmentation]\nprobability = 0\n"
WHISPER = f'[network]\nkind = "whisper"\nweights = "weights/{WEIGHTS}"\nn_layers = 2\n'
CONFIGS = {
    "statistics": f"""{RAVDESS}{GROUPS}{PLAIN}
[network]
kind = "statistics"
[classifier]
fit = "logistic"
strength = 0.01
""",
    "frozen": f"""[corpora]
calls = "calls.csv"
[protocol]
kind = "speaker"
{PLAIN}{WHISPER}frozen = "all"
head = "statistics"
dropout = 0.2
[loss]
weights = "balanced"
[training]
epochs = 3
patience = 2
batch_size = 8
""",
    "tiny": f"""{RAVDESS}emodb = "emodb"
{PLAIN}{WHISPER}frozen = "all"
states = [0, 2]
state_weights = [0.375, 0.625]
head = "mean"
[classifier]
fit = "discriminant"
ridge = 0.3
[profile]
fit = true
""",
    "varied": f"""{RAVDESS}tess = "tess"
[signal]
crop_s = 2
{WHISPER}head = "statistics"
[augmentation]
speed_probability = 0.5
[loss]
balance = "corpus-class"
adversary = 0.1
[training]
epochs = 2
head_epochs = 1
draws = 24
batch_size = 8
encoder_rate = 1e-4
layer_decay = 0.7
""",
    "light": f"""{RAVDESS}{PLAIN}
[network]
kind = "light_sernet"
padding = "fixed"
window_s = 3
dropout = 0.3
[training]
epochs = 2
""",
}


def analyze(run: Capture) -> None:
    """Reports of good, odd and broken recordings, with and without a profile."""
    corpora = [p for c in CLIPS for p in sorted((WORK / c).rglob("*.[fo]*"))[::7]]
    clips = [WORK / "voice-note.m4a", *corpora][:26]
    cases = sorted((WORK / "cases").iterdir())
    cases = [path for path in cases if path.suffix not in NO_RECORDINGS]
    broken = sorted((WORK / "broken").iterdir())
    run("table", "analyze", *clips, "--threads", 1)
    run("json", "analyze", "--json", *clips)
    run("csv", "analyze", "--csv", *clips, *cases, *broken)
    for path in [*cases, *broken, WORK / "missing.wav", WORK]:
        run(f"case-{path.name}", "analyze", "--json", path)
    run("stdin", "analyze", "-", "--json", stdin=clips[0].read_bytes())
    run("plot", "analyze", *clips[:3], "--plot", WORK / "plots" / "timeline.svg")
    (WORK / "plots").mkdir()
    run("plot", "analyze", *clips[:3], "--plot", WORK / "plots" / "timeline.svg")
    run.files("plots", WORK / "plots")
    run("model", "analyze", clips[0], "--model", WORK / "no-such-model")
    run("usage", "analyze", clips[0], "--json", "--csv")


def profile(run: Capture) -> None:
    """A profile's life, and reports that it takes part in."""
    anna = sorted((WORK / "emodb").glob("03*"))
    run("create", "profile", "create", "anna", *anna[:4])
    run("update", "profile", "update", "anna", *anna[4:6], WORK / "broken" / "text.wav")
    run("other", "profile", "create", "other", *sorted((WORK / "tess").glob("OAF*")))
    run("again", "profile", "create", "anna")
    run("table", "analyze", "--speaker", "anna", "--no-update", anna[5])
    run(
        "json",
        "analyze",
        "--speaker",
        "anna",
        "--json",
        *anna[5:8],
        WORK / "voice-note.m4a",
    )
    run("csv", "analyze", "--speaker", "anna", "--csv", *anna[5:8])
    run("show", "profile", "show", "anna")
    run("show-json", "profile", "show", "anna", "--json")
    run("merge", "profile", "merge", "anna", "other")
    run("merged", "profile", "show", "anna", "--json")
    run("list", "profile", "list")
    run("delete", "profile", "delete", "other")
    run("deleted", "analyze", "--speaker", "other", anna[0])


def listen(run: Capture) -> None:
    """Estimates and reports of what comes through a pipe."""
    note, pcm = (WORK / "voice-note.m4a").read_bytes(), speech()
    wav = (WORK / "cases" / "sox-to-pipe.wav").read_bytes()
    flac = (WORK / "cases" / "read-4s.flac").read_bytes()
    run("lines", "listen", "-", "--lines", stdin=flac)
    run("json", "listen", "-", "--json", stdin=wav)
    run("text", "listen", "-", stdin=flac)
    run("note", "listen", "-", "--json", stdin=note)
    run("raw-lines", "listen", "-", "--raw", "--lines", "--hop", 0.5, stdin=pcm)
    run("raw-csv", "listen", "-", "--raw", "--csv", "--hop", 0, stdin=pcm)
    run("raw-json", "listen", "-", "--raw", "--json", stdin=pcm[:-1])
    run("text-file", "listen", "-", "--json", stdin=b"no sound" * 1000)


def speech() -> bytes:
    """Decode some clips, one after another: PCM, 16 kHz, 16 bit, little-endian."""
    sound = bytearray()
    for path in sorted((WORK / "ravdess").rglob("*-01-0[12].flac"))[:8]:
        with av.open(str(path)) as file:
            for frame in file.decode(audio=0):
                sound += frame.to_ndarray().tobytes()
    return bytes(sound)


def archive(run: Capture) -> None:
    """Tables of a folder and of a manifest, by one process and by two."""
    folder = WORK / "notes"
    for corpus in ("emodb", "tess", "broken", "cases"):
        shutil.copytree(WORK / corpus, folder / corpus)
    (folder / "empty folder").mkdir()
    for workers in (1, 2):
        out = WORK / f"tables-{workers}"
        options = ["--out", out, "--workers", workers, "--shard-size", 16]
        run(f"folder-{workers}", "archive", folder, *options)
        run.files(f"tables-{workers}", out)
    run("resumed", "archive", folder, *options)
    run("refused", "archive", folder, "--out", out, "--shard-size", 8)
    run("pattern", "archive", f"{folder}/**/*.opus", "--out", WORK / "tables-3")
    rows = [f"{p.stem},{p}\n" for p in sorted((WORK / "nemo").glob("*.opus"))]
    rows += [f"none,{WORK}/none.wav\n", f"folder,{WORK}\n"]
    (WORK / "list.csv").write_text("id,path\n" + "".join(rows))
    out, figure = WORK / "tables-4", WORK / "shares.svg"
    run("manifest", "archive", WORK / "list.csv", "--out", out, "--plot", figure)
    run.files("tables-4", out)
    run.text("shares.svg", figure.read_text("utf-8"))


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
    ) -> int:
        """Ask; keep status, headers and body, or its hash; return the status."""
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
        return answer.status


def serve(run: Capture) -> None:
    """The app's server, on a copy of the checkout's package beside a made-up app."""
    web = WORK / "served" / "web"
    source = WORK / "served" / "src"
    shutil.copytree(run.checkout / "src" / "espressivo", source / "espressivo")
    for name in ("package.json", "dist/assets/page-ABCD1234.js", "dist/index.html"):
        (web / name).parent.mkdir(parents=True, exist_ok=True)
        (web / name).write_text(f"// made up: {name}\n" * 100)
    with run.serving("serve", source=source) as host:
        if host is None:
            return
        ask = Client(run, host)
        model = "/models/espressivo-tiny"
        targets = ["/", "/index.html?a=b", "/assets/page-ABCD1234.js", "/nothing"]
        targets += ["/models/index.json", "/models/nothing/model.json", "/../secret"]
        targets += [
            f"{model}/{n}" for n in ("model.json", "model.onnx", "profile.onnx")
        ]
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
    words = ["api"]
    if run("has-api", *words, "--help"):
        words = ["serve", "--api"]
    (run.out / run.step / "has-api.out").unlink()  # is allowed to change
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
        run.text(f"{name}.jsonl", "\n".join(heard) + "\n")
        print(f"  {name}: {len(heard)} messages", flush=True)


def crossval(run: Capture) -> None:
    """Cross-validation, and the tables and audits of what it wrote."""
    seeds = ["--seeds", 0, 1]
    results = [WORK / "results" / name for name in ("statistics", "frozen")]
    for result, jobs in zip(results, (1, 2), strict=True):
        config = WORK / f"{result.name}.toml"
        options = ["--out", result, *seeds, "--jobs", jobs]
        run(result.name, "crossval", config, *options)
        run(f"{result.name}-resumed", "crossval", config, *options)
        run.files(f"result-{result.name}", result, leave=["cache"])
        run(f"audit-{result.name}", "corpora", "audit", config)
        run(f"audit-{result.name}-json", "corpora", "audit", result, "--json")
        for form in ("--markdown", "--latex", "--csv"):
            run(f"tables-{result.name}{form}", "tables", result, form)
    tables = ["--table", "folds", "--table", "confusion", "--table", "published"]
    run("tables", "tables", *results, *tables)
    run("against", "tables", results[0], "--against", results[0], "--calibrated")
    report = WORK / "report"
    run("report", "tables", *results, "--out", report)
    run.files("report", report)
    run(
        "wrong",
        "crossval",
        WORK / "light.toml",
        "--out",
        WORK / "x",
        "--set",
        "lossy=1",
    )
    options = ["--iemocap", WORK / "iemocap", "--incomplete", "--window", 3]
    options += ["--set", "training.epochs=1", "--set", "threads=1"]
    out = WORK / "reproduced"
    run("reproduce", "reproduce", "light-sernet", *options, "--out", out)
    run.files("reproduced", out, leave=["cache"])


def evaluate(run: Capture) -> None:
    """Scores of the bundled model, checks of corpora, cards of models, studies."""
    for corpus in ("ravdess", "emodb", "tess", "nemo"):
        run(f"check-{corpus}", "corpora", "check", corpus, WORK / corpus)
        run(f"check-{corpus}-json", "corpora", "check", corpus, WORK / corpus, "--json")
    run("corpora", "corpora", "list")
    run("models", "models", "list")
    run("card", "models", "show", "espressivo-tiny")
    run("verify", "models", "verify", "espressivo-tiny")
    scores = WORK / "scores"
    model, emodb = "espressivo-tiny", WORK / "emodb"
    run("emodb", "evaluate", model, "emodb", emodb, "--json", "--out", scores)
    run.files("scores", scores)
    against = ["--against", scores, "--pipeline"]
    run("emodb-pipeline", "evaluate", model, "emodb", emodb, *against)
    run("ravdess", "evaluate", model, "ravdess", WORK / "ravdess")
    run("broken", "evaluate", model, "manifest", WORK / "with-broken.csv", "--json")
    case, study = ["--case", model, "emodb", emodb], WORK / "study"
    run("study", "study", "profile", *case, "--draws", 2, "--out", study)
    run.files("study-profile", study)
    noise = ["--noise", WORK / "noise", "--notes", 1, "--out", WORK / "vad"]
    run("study-vad", "study", "vad", *case, *noise)
    run.files("study-vad", WORK / "vad")


def train(run: Capture) -> None:
    """Runs in closed form and by gradients, their temperatures, and model folders."""
    runs = WORK / "runs"
    for name in ("statistics", "tiny", "varied", "light"):
        run(name, "train", WORK / f"{name}.toml", "--out", runs / name)
    left_out = ["--leave-out", "emodb", "--set", "profile.fit=false"]
    run("no-emodb", "train", WORK / "tiny.toml", "--out", runs / "no-emodb", *left_out)
    few = ["--calibration", 24]
    forms: dict[str, list[object]] = {
        "tiny-fp32": ["--precision", "fp32"],
        "tiny-fp16": ["--precision", "fp16"],
        "tiny-int8": few,
        "tiny-int4": ["--bits", 4, *few],
        "tiny-kept": ["--keep", "blocks.0.*", "--ranges", "minmax", *few],
        "statistics-fp32": ["--precision", "fp32"],
        "light-int8": few,
        "varied-int8": [*few, "--temperature", 1.5],
        "no-emodb-fp32": ["--precision", "fp32"],
    }
    for name, options in forms.items():
        source, _, form = name.rpartition("-")
        out = WORK / "models" / name
        run(f"export-{name}", "export", runs / source, "--out", out, *options)
        if out.exists():
            run.files(f"model-{name}", out)
        if form == "int8":
            run(f"analyze-{name}", "analyze", WORK / "voice-note.m4a", "--model", out)
    scores, model = WORK / "scores-left-out", WORK / "models" / "no-emodb-fp32"
    run("left-out", "evaluate", model, "emodb", WORK / "emodb", "--out", scores)
    run("calibrate", "calibrate", runs / "varied", scores)
    run.files("runs", runs)


STEPS = (analyze, profile, listen, archive, serve, api, crossval, evaluate, train)


def capture(checkout: Path, out: Path, shared: Path, only: Sequence[str]) -> None:
    """Run all steps, or some, and write what they print and write to `out`."""
    if out.exists():
        sys.exit(f"{out}: is there already; name another folder, or remove it")
    try:
        WORK.mkdir()
    except FileExistsError:
        sys.exit(f"{WORK}: another capture runs, or was killed; then remove it")
    began = time.monotonic()
    try:
        prepare(checkout, shared)
        run = Capture(checkout, out)
        run.require_checkout()
        for step in STEPS:
            if not only or step.__name__ in only:
                run.step = step.__name__
                print(f"{run.step} ({time.monotonic() - began:.0f} s)", flush=True)
                step(run)
    finally:
        shutil.rmtree(WORK)
    print(f"{out}: written in {time.monotonic() - began:.0f} s")


def compare(first: Path, second: Path) -> int:
    """Print the files that differ, or are in one folder only; return the exit code."""
    trees = [
        {
            str(path.relative_to(out)): path.read_bytes()
            for path in out.rglob("*")
            if path.is_file() and NOT_COMPARED not in path.parts
        }
        for out in (first, second)
    ]
    names = sorted({*trees[0], *trees[1]})
    different = [name for name in names if trees[0].get(name) != trees[1].get(name)]
    for name in different:
        lacking = [
            str(o) for o, t in zip((first, second), trees, strict=True) if name not in t
        ]
        print(f"{name}: " + (f"not in {lacking[0]}" if lacking else "differs"))
    print(f"{len(names) - len(different)} files alike")
    return 1 if different or not names else 0


def main() -> int:
    """Capture, or compare."""
    shared = Path(__file__).resolve().parents[3] / "shared"
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--shared", type=Path, default=shared, metavar="DIR")
    names = [step.__name__ for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="STEP")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="OUT")
    args = parser.parse_args()
    if args.compare:
        return compare(*args.compare)
    if args.checkout is None or args.out is None:
        parser.error("give --checkout and --out, or --compare")
    capture(args.checkout.resolve(), args.out.resolve(), args.shared, args.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
