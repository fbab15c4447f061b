"""The commands as shells, services and other programs start them."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import xml.dom.minidom
from contextlib import suppress
from importlib.util import find_spec

import numpy as np
import pytest

from espressivo.cli.main import main
from tests.conftest import NOTE, names_emotion
from tests.recordings import encode
from tests.waiting import PATIENCE_S, until

if sys.platform == "win32":
    pytest.skip("Windows has neither these signals nor /dev", allow_module_level=True)

PROGRAM = [sys.executable, "-m", "espressivo"]
# Names as files have them: of other encodings, scripts and systems, and hostile ones.
NAMES = {
    "no UTF-8": os.fsdecode(b"caf\xe9.wav"),
    "two lines": "a\nwarning: b.wav",
    "escape": "\x1b[31mred\x1b]0;title\x07.wav",
    "C1": "\x9b2Jcleared\x85.wav",
    "return": "good.wav\rbad.wav",
    "direction": "\u202egpj.wav",
    "separator": "a\u2028b.wav",
    "markup": "[red]x[bold] [link=http:]y[].wav",
    "formula": "$a_{b$^%\\frac{.wav",
    "emoji": "語🙂👨\u200d👩 :smile:.wav",
}
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")


@pytest.fixture(scope="module")
def short(note):
    return note[: 4 * 16_000]


@pytest.fixture(scope="module")
def good(tmp_path_factory, short):
    return encode(tmp_path_factory.mktemp("good") / "good.wav", short)


@pytest.fixture(scope="module")
def pcm(note):
    """The note as raw PCM."""
    return np.round(note * 32_767).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def named(good, tmp_path_factory):
    """A folder with the same recording under each of the names."""
    folder = tmp_path_factory.mktemp("named")
    for name in NAMES.values():
        shutil.copy(good, folder / name)
    return folder


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder of temporary files, empty at first."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def run(*argv, **options):
    return subprocess.run(
        [*PROGRAM, *argv],
        check=False,
        timeout=PATIENCE_S,
        **{"capture_output": True} | options,
    )


def in_shell(redirection, *argv, **options):
    """Run a command with a redirection of the shell, such as `>&-`."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *PROGRAM, *argv],
        check=False,
        timeout=PATIENCE_S,
        **{"capture_output": True} | options,
    )


def start(*argv, ignored=(), **options):
    def heed():  # a process goes on ignoring what its parent ignored
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            ignore = number in ignored
            signal.signal(number, signal.SIG_IGN if ignore else signal.SIG_DFL)

    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    argv = [*PROGRAM, *argv]
    return subprocess.Popen(argv, preexec_fn=heed, **pipes | options)  # noqa: PLW1509


def one_line(text):
    """Return text after checking that it is one line, and none of a traceback."""
    lines = text.decode() if isinstance(text, bytes) else text
    assert len(lines.splitlines()) == 1, lines
    assert lines.endswith("\n")
    assert "Traceback" not in lines
    return lines.removesuffix("\n")


# Encodings


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_output_that_lacks_our_characters_is_ascii(encoding, named):
    done = run(
        "analyze",
        *map(str, named.iterdir()),
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )

    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert not ACTING.search(text)
    assert text.count("whole recording") == len(NAMES)
    bars = {"ascii": "#", "latin-1": "#", "cp1252": "#"}.get(encoding, "█")
    assert f"  {bars * 10}" in text
    names = {"utf-8": "語🙂"}.get(encoding, "\\u8a9e\\U0001f642")
    assert names in text.replace("\n", "")


@pytest.mark.parametrize(
    "argv", [["models", "show", "espressivo-tiny"], ["corpora", "list"], ["--help"]]
)
def test_other_commands_in_the_c_locale(argv):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(*argv, env=os.environ | plain)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


@pytest.mark.parametrize(("encoding", "mark"), [("cp1252", "?"), ("utf-8", "░")])
def test_uncertain_windows_are_seen_in_any_encoding(judging_model, encoding, mark):
    done = run(
        *("analyze", str(NOTE), "--model", str(judging_model)),
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )

    strip = done.stdout.decode(encoding).splitlines()[4]
    assert mark * 8 in strip
    assert "\\u" not in strip


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_json_is_utf_8_whatever_the_encoding(encoding, named):
    done = run(
        "analyze",
        "--json",
        *map(str, named.iterdir()),
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )

    reports = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    found = {report["recording"].removeprefix(f"{named}/") for report in reports}
    wanted = {*NAMES.values()} - {NAMES["no UTF-8"]}
    assert found == wanted | {"caf\\udce9.wav"}
    assert not ACTING.search(done.stdout.decode("utf-8"))


# Names and messages


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize(
    "argv",
    [
        ["analyze", "{}"],
        ["analyze", "--plot={}", "{}"],
        ["analyze", "--model={}", "x.wav"],
        ["analyze", "--speaker={}.json", "x.wav"],
        ["archive", "{}", "--out=out"],
        ["profile", "show", "{}"],
        ["models", "verify", "{}"],
        ["corpora", "check", "{}", "x"],
        ["corpora", "check", "ravdess", "{}"],
        ["corpora", "audit", "{}"],
        ["bench", "{}"],
        ["evaluate", "espressivo-tiny", "manifest", "{}"],
        ["tables", "{}"],
        ["train", "{}", "--out=run"],
        ["crossval", "{}", "--out=run"],
        ["calibrate", "{}", "x"],
        ["export", "{}", "--out=model"],
        ["reproduce", "paper", "--iemocap={}", "--out=results"],
        ["api", "--token-file={}"],
    ],
    ids=" ".join,
)
def test_an_error_is_one_line_that_does_nothing(
    argv, name, tmp_path, monkeypatch, capsys
):
    needed = {"train": "torch", "crossval": "torch", "export": "torch"}
    for package in ("pyarrow", "fastapi", "sklearn", needed.get(argv[0], "rich")):
        pytest.importorskip(package, reason="needs an extra")
    monkeypatch.chdir(tmp_path)

    code = main([part.format(name) for part in argv])

    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert not ACTING.search(one_line(err.splitlines(keepends=True)[-1]))
    assert not ACTING.search(err)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize(
    "argv",
    [
        ["models", "list", "{}"],
        ["{}"],
        ["analyze", "--threads={}", "x"],
        ["archive", "x", "--out=y", "--engine={}"],
    ],
    ids=" ".join,
)
def test_errors_of_the_command_line_are_harmless(argv, name, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([part.format(name) for part in argv])

    err = capsys.readouterr().err
    assert err.startswith("usage: ")
    assert not ACTING.search(err)


@pytest.mark.parametrize("form", ["", "--csv"])
def test_names_are_printed_literally(form, named, capsys):
    os_names = [str(named / name) for name in NAMES.values()]

    assert main(["analyze", *filter(None, [form]), *os_names]) == 0

    out, err = capsys.readouterr()
    assert (err, ACTING.search(out)) == ("", None)
    text = out if form else re.sub(r"\n(?=\S)", "", out)  # names are wrapped
    for shown in (
        "caf\\udce9.wav",
        "\\x1b[31mred\\x1b]0;title\\x07.wav",
        "\\x9b2Jcleared\\x85.wav",
        "\\u202egpj.wav",
        "[red]x[bold] [link=http:]y[].wav",
        "👨\u200d👩 :smile:.wav",
    ):
        assert shown in text
    if form:
        assert len([*csv.reader(io.StringIO(out))]) == 1 + 2 * len(NAMES)


def test_archives_take_every_name(named, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs `archive`")
    out = tmp_path / "tables"

    done = run("archive", str(named), "--out", str(out), "--workers", "1")

    assert (done.returncode, done.stderr) == (0, b"")
    table = parquet.read_table(out / "recordings")
    assert table.num_rows == len(NAMES)
    assert "caf\\udce9.wav" in table["id"].to_pylist()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figures_take_every_name(suffix, named, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    path = tmp_path / f"figure.{suffix}"

    code = main(["analyze", *map(str, named.iterdir()), "--plot", str(path)])

    assert (code, capsys.readouterr().err) == (0, "")
    assert path.stat().st_size > 10_000
    if suffix == "svg":
        xml.dom.minidom.parse(str(path))
        assert "$a_{b$^%\\frac{.wav" in path.read_text("utf-8")


def test_a_progress_bar_takes_every_name(named, monkeypatch):
    from rich.console import Console

    from espressivo.cli.display import progress

    ours, theirs = pty.openpty()
    monkeypatch.setattr(progress.RecordingBar, "PATIENCE_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for name in NAMES.values():
            with progress.recording_bar(str(named / name)) as bar:
                assert Console(stderr=True).is_terminal
                bar(1.0, 2.0)
    shown = b""
    while select.select([ours], [], [], 0)[0]:
        with suppress(OSError):
            shown += os.read(ours, 65_536)
            continue
        break
    os.close(ours)

    # rich's own sequences move the cursor and colour the bar.
    text = re.sub(r"\x1b\[[0-9;?]*[A-Zhlm]|\r", "", shown.decode())
    assert not ACTING.search(text)
    assert "[red]x[bold]" in text
    assert ":smile:" in text


# Streams that are closed, full, or not what is usual


@pytest.mark.parametrize(
    ("argv", "redirection"),
    [
        (["analyze", "{}"], ">/dev/full"),
        (["analyze", "{}", "--json"], ">&-"),
        (["models", "list"], ">/dev/full"),
        (["corpora", "list"], ">&-"),
        (["--help"], ">/dev/full"),
        (["--version"], ">&-"),
    ],
)
def test_output_that_cannot_be_written_is_one_line(argv, redirection, good):
    done = in_shell(redirection, *(part.format(good) for part in argv))

    assert done.returncode == 1
    assert one_line(done.stderr).startswith("standard output: cannot be written (")


@pytest.mark.parametrize(
    "argv",
    [["analyze", "{}", "{}", "--json"], ["analyze", "{}", "--excel"], ["--help"]],
)
def test_a_reader_that_stops_early_is_no_error(argv, good):
    reader, writer = os.pipe()
    os.close(reader)

    done = run(
        *(part.format(good) for part in argv),
        capture_output=False,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_results_do_not_need_standard_error(redirection, good):
    done = in_shell(redirection, "analyze", str(good), "missing.wav", "--json")

    assert done.returncode == 3
    assert json.loads(done.stdout)["recording"] == str(good)
    assert done.stderr == b""


@pytest.mark.parametrize("argv", [["analyze"], ["listen"], ["listen", "--raw"]])
@pytest.mark.parametrize(
    ("redirection", "found"),
    [
        ("<&-", "is closed"),
        ("</dev/zero", "is a device"),
    ],
)
def test_standard_input_that_is_no_recording_is_one_line(
    argv, redirection, found, scratch
):
    done = in_shell(redirection, *argv, "-")

    assert (done.returncode, done.stdout) == (1, b"")
    assert one_line(done.stderr).startswith(f"stdin: {found}")
    assert not [*scratch.iterdir()]


@pytest.mark.parametrize("argv", [["analyze"], ["listen"], ["listen", "--raw"]])
def test_standard_input_can_be_a_socket(argv, good, pcm, analyzer):
    # Node.js, systemd and inetd hand one over.
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)  # as whoever shares it may have set it
    with start(*argv, "-", "--json", stdin=theirs) as process:
        theirs.close()
        ours.sendall(pcm[: 2 * 64_000] if "--raw" in argv else good.read_bytes())
        ours.close()
        out = process.stdout.read()

    assert process.returncode == 0
    report = json.loads(out)
    assert report["segments"] == analyzer.analyze(good).to_dict()["segments"]


def test_a_full_disk_of_temporary_files_is_one_line(good, scratch):
    done = run(
        "analyze",
        "-",
        input=good.read_bytes(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )

    assert (done.returncode, done.stdout) == (1, b"")
    line = one_line(done.stderr)
    assert line.startswith("stdin: cannot be copied to a temporary file in ")
    assert "TMPDIR" in line
    assert not [*scratch.iterdir()]


# Signals

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_leaves_no_temporary_file(number, good, scratch):
    with start("analyze", "-") as process:
        process.stdin.write(good.read_bytes()[:4000])
        process.stdin.flush()
        until(lambda: has_read(process))
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, out) == (128 + number, b"")
    assert one_line(err) == "interrupted"
    assert not [*scratch.iterdir()]


def has_read(process):
    """Return whether a process has read its pipe empty."""
    return not select.select([], [process.stdin], [], 0)[1] or unread(process) == 0


def unread(process):
    import fcntl
    import termios

    held = fcntl.ioctl(process.stdin, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(held, sys.byteorder)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_waits_for_an_import(number, tmp_path):
    # Libraries in C crash else, or blame the installation.
    (tmp_path / "slow.py").write_text(
        f"import os\nos.kill(os.getpid(), {int(number)})\nprint(sum(range(100)))\n"
    )
    code = (
        "import time\n"
        "from espressivo.cli.interrupts import *\n"
        "try:\n"
        "    with stopping_as_interrupts():\n"
        "        import slow\n"
        "        time.sleep(60)\n"
        "except KeyboardInterrupt as interrupt:\n"
        "    print(exit_code(interrupt))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=True,
        preexec_fn=lambda: signal.signal(number, signal.default_int_handler),
    )

    assert done.stdout.split() == [b"4950", str(128 + number).encode()]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("options", [["--raw"], []], ids=["raw", "recording"])
def test_listen_reports_what_it_has_heard(number, options, note, pcm, tmp_path):
    content = pcm if options else encode(tmp_path / "a.wav", note).read_bytes()
    with start("listen", "-", "--json", *options) as process:
        process.stdin.write(content[: 32_000 * 14])
        process.stdin.flush()  # and nothing more comes
        assert names_emotion(process.stderr.readline())
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    report = json.loads(out)
    assert report["windows"]
    assert 6 < report["duration_s"] <= 14
    assert b"Traceback" not in err


def test_a_terminal_that_is_closed_costs_no_report(pcm, tmp_path):
    ours, theirs = pty.openpty()
    path = tmp_path / "report.json"
    with (
        path.open("w") as report,
        start(
            "listen", "-", "--raw", "--json", stdout=report, stderr=theirs
        ) as process,
    ):
        os.close(theirs)
        process.stdin.write(pcm[: 32_000 * 12])
        process.stdin.flush()
        shown = b""
        while not names_emotion(shown):
            shown += os.read(ours, 4096)
        os.close(ours)
        process.send_signal(signal.SIGHUP)  # from the kernel, and from the shell
        time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE_S) == 0

    assert json.loads(path.read_text())["windows"]


def test_nohup_is_heeded(pcm):
    argv = ["listen", "-", "--raw", "--json"]
    with start(*argv, ignored=[signal.SIGHUP]) as process:
        process.stdin.write(pcm[: 32_000 * 12])
        process.stdin.flush()
        assert names_emotion(process.stderr.readline())
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(pcm[32_000 * 12 :], timeout=PATIENCE_S)

    assert process.returncode == 0
    assert json.loads(out)["duration_s"] == pytest.approx(len(pcm) / 32_000, abs=0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_archive_that_is_stopped_goes_on(number, note, tmp_path, scratch):
    pytest.importorskip("pyarrow", reason="needs the extra `archive`")
    folder, out = tmp_path / "notes", tmp_path / "tables"
    folder.mkdir()
    long = encode(folder / "0.wav", np.tile(note, 2))
    for i in range(1, 8):
        shutil.copy(long, folder / f"{i}.wav")
    argv = ["archive", str(folder), "--out", str(out), "--workers=1", "--shard-size=1"]

    with start(*argv, start_new_session=True) as process:
        until(lambda: (out / "recordings").is_dir() and any(parts(out)))
        os.killpg(process.pid, number)  # as of a service or a terminal
        printed, err = process.communicate(timeout=PATIENCE_S)
    n_done = len(parts(out))

    assert (process.returncode, printed) == (128 + number, b"")
    assert "goes on in" in one_line(err)
    assert 0 < n_done < 8
    assert not [*scratch.iterdir()]
    assert run(*argv).returncode == 0
    assert len(parts(out)) == 8


def parts(out):
    return [*(out / "recordings").glob("[!.]*.parquet")]


# Users without a home


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["models", "list"], 0, ""),
        (["analyze", "{}"], 0, ""),
        (["analyze", "{}", "--plot=figure.png"], 0, ""),
        (["analyze", "{}", "--speaker=me"], 1, "ESPRESSIVO_PROFILES"),
        (["profile", "list"], 1, "ESPRESSIVO_PROFILES"),
        (["profile", "create", "me"], 1, "ESPRESSIVO_PROFILES"),
        (["archive", "~/notes", "--out=out"], 1, "set HOME"),
        (["crossval", "~/x.toml", "--out=out"], 1, "x.toml"),
        (["corpora", "audit", "x", "--corpus", "ravdess=~/x"], 1, "set HOME"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_neither_home_nor_an_entry_among_the_users(argv, code, said, good, tmp_path):
    # As in `docker run -u 12345`.
    if "--plot=figure.png" in argv and not find_spec("matplotlib"):
        pytest.skip("needs the extra `plot`")
    env = {name: value for name, value in os.environ.items() if name != "HOME"}
    nobody = (
        "import pwd, sys\n"
        "def absent(_): raise KeyError\n"
        "pwd.getpwuid = pwd.getpwnam = absent\n"
        "from espressivo.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", nobody, *(part.format(good) for part in argv)],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert said in (done.stderr.splitlines() or [""])[-1]
    assert code or not done.stderr


# What is no recording


def test_one_that_is_no_recording_never_ends_a_batch(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("bound")
        found = {
            "folder": "holds no recording",
            "missing": "no such file",
            "broken": "no such file",
            "circle": "cannot be opened (too many levels of symbolic links)",
            "pipe": "is a named pipe that nobody writes to",
            "bound": "is a socket",
            "/dev/zero": "is a device",
            "/dev/urandom": "is a device",
            "empty": "the file is empty",
            "text": "cannot be read as a recording",
        }
        (tmp_path / "folder").mkdir()
        (tmp_path / "empty").touch()
        (tmp_path / "text").write_text("words " * 1000)
        began = time.monotonic()
        done = run("analyze", *found, str(good), "--json")

    assert done.returncode == 3
    assert json.loads(done.stdout)["recording"] == str(good)
    *lines, last = done.stderr.decode().splitlines()
    assert last == f"{len(found)} of {len(found) + 1} recordings failed"
    for (name, fault), line in zip(found.items(), lines, strict=True):
        assert line.startswith(f"{name}: {fault}")
    assert time.monotonic() - began < PATIENCE_S


def test_a_named_pipe_is_read_once_somebody_writes(good, tmp_path, analyzer):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with start("analyze", str(pipe), "--json") as process:
        with pipe.open("wb") as writer:
            writer.write(good.read_bytes())
        out = process.stdout.read()

    assert process.returncode == 0
    found, expected = json.loads(out), analyzer.analyze(good).to_dict()
    assert found["windows"] == expected["windows"]
