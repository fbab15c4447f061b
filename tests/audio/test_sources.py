from __future__ import annotations

import gzip
import io
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from espressivo.errors import AudioError
from tests.conftest import NOTE


class Named:
    """A path of somebody's own."""

    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return self._path


class Trickle:
    """A response: it cannot seek, and gives what has come."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def read(self, size=-1):
        return self._content.read(min(size, 1000))


@contextmanager
def _temporary(kind, **options):
    with kind(**options) as file:
        file.write(NOTE.read_bytes())
        file.seek(0)
        yield file


@contextmanager
def _inside(folder, name):
    with zipfile.ZipFile(folder / "notes.zip", "w") as archive:
        archive.write(NOTE, name)
    with zipfile.ZipFile(folder / "notes.zip") as archive, archive.open(name) as file:
        yield file


@contextmanager
def _mapped():
    with (
        NOTE.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole,
    ):
        yield whole


@contextmanager
def _piped():
    command = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(open(sys."]
    command[-1] += "argv[1], 'rb').read())"
    with subprocess.Popen([*command, NOTE], stdout=subprocess.PIPE) as child:
        yield child.stdout


@contextmanager
def _zipped(folder):
    with gzip.open(folder / "note.m4a.gz", "wb") as file:
        file.write(NOTE.read_bytes())
    with gzip.open(folder / "note.m4a.gz") as file:
        yield file


@contextmanager
def _value(value):
    yield value


# What users have, and the name that the report gives it. m4a needs seeking.
SOURCES = {
    "path": (lambda _: _value(NOTE), str(NOTE)),
    "text": (lambda _: _value(str(NOTE)), str(NOTE)),
    "os.PathLike": (lambda _: _value(Named(str(NOTE))), str(NOTE)),
    "os.PathLike of bytes": (lambda _: _value(Named(os.fsencode(NOTE))), str(NOTE)),
    "bytes": (lambda _: _value(NOTE.read_bytes()), "bytes"),
    "bytearray": (lambda _: _value(bytearray(NOTE.read_bytes())), "bytes"),
    "memoryview": (lambda _: _value(memoryview(NOTE.read_bytes())), "bytes"),
    "BytesIO": (lambda _: _value(io.BytesIO(NOTE.read_bytes())), "stream"),
    "file": (lambda _: NOTE.open("rb"), str(NOTE)),
    "unbuffered file": (lambda _: NOTE.open("rb", buffering=0), str(NOTE)),
    "TemporaryFile": (
        lambda _: _temporary(tempfile.TemporaryFile),
        "stream",
    ),
    "NamedTemporaryFile": (
        lambda _: _temporary(tempfile.NamedTemporaryFile, suffix=".m4a"),
        None,
    ),
    "SpooledTemporaryFile": (
        lambda _: _temporary(tempfile.SpooledTemporaryFile),
        "stream",
    ),
    "mmap": (lambda _: _mapped(), "stream"),
    "gzip": (_zipped, None),
    "zip": (lambda folder: _inside(folder, "my note.m4a"), "my note.m4a"),
    "pipe": (lambda _: _piped(), "stream"),
    "response": (lambda _: _value(Trickle(NOTE.read_bytes())), "stream"),
}


@pytest.fixture(scope="module")
def expected(analyzer):
    return analyzer.analyze(NOTE)


@pytest.mark.parametrize("source", SOURCES)
def test_whatever_holds_a_recording_is_analysed_alike(
    analyzer, expected, tmp_path, source
):
    opened, name = SOURCES[source]
    with opened(tmp_path) as recording:
        report = analyzer.analyze(recording)

    assert report.estimates == expected.estimates
    assert report.segments == expected.segments
    assert report.duration_s == expected.duration_s
    assert report.warnings == ()
    assert name is None or report.recording == name


@pytest.mark.parametrize("source", ["path", "bytes", "BytesIO", "file", "pipe"])
def test_a_name_of_the_users_own_comes_first(analyzer, tmp_path, source):
    with SOURCES[source][0](tmp_path) as recording:
        assert analyzer.analyze(recording, name="call 7").recording == "call 7"


def test_a_path_is_a_name_as_well(analyzer):
    report = analyzer.analyze(NOTE.read_bytes(), name=Path("calls") / "7.m4a")

    assert report.recording == str(Path("calls") / "7.m4a")


@pytest.mark.parametrize("make", [io.BytesIO, None], ids=["memory", "disk"])
def test_a_file_is_read_from_where_it_is_and_left_there(
    analyzer, expected, tmp_path, make
):
    content = b"a header of somebody's own" + NOTE.read_bytes()
    (tmp_path / "packed").write_bytes(content)
    file = make(content) if make else (tmp_path / "packed").open("rb")
    with file:
        file.seek(26)
        for _ in range(2):
            assert analyzer.analyze(file).estimates == expected.estimates
            assert file.tell() == 26
    with NOTE.open("rb") as file:
        for _ in range(2):
            assert analyzer.analyze(file).estimates == expected.estimates
            assert file.tell() == 0
        assert file.read() == NOTE.read_bytes()


def test_what_was_written_last_is_read_too(analyzer, expected, tmp_path):
    content = NOTE.read_bytes()
    with (tmp_path / "note.m4a").open("w+b", buffering=2**20) as file:
        file.write(content)
        file.seek(0)
        assert analyzer.analyze(file).estimates == expected.estimates


def test_a_file_whose_name_is_another_ones_now(analyzer, expected, tmp_path):
    path = tmp_path / "note.m4a"
    path.write_bytes(NOTE.read_bytes())
    with path.open("rb") as file:
        path.unlink()
        path.write_bytes(b"something else")
        assert analyzer.analyze(file).estimates == expected.estimates


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe_is_analysed(analyzer, expected, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(NOTE.read_bytes(),))
    writer.start()

    report = analyzer.analyze(path)
    writer.join()

    assert report.estimates == expected.estimates
    assert report.recording == str(path)


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="there is no /dev/fd")
def test_the_shells_process_substitution_is_analysed(expected):
    # As bash runs it: espressivo analyze <(cat note.m4a)
    script = 'exec "$0" -m espressivo analyze --json <(cat "$1")'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, NOTE], capture_output=True, check=True
    )

    assert f'"duration_s": {expected.duration_s:g}'.encode() in done.stdout


def _closed():
    file = io.BytesIO(NOTE.read_bytes())
    file.close()
    return file


def _at_its_end():
    file = io.BytesIO()
    file.write(NOTE.read_bytes())
    return file


class Asynchronous:
    async def read(self, _size=-1):
        return b""


class Broken:
    name = "https://example.org/a.mp3"

    def read(self, _size=-1):
        raise ConnectionResetError(104, "Connection reset by peer")


class Late:
    def read(self, _size=-1):
        return None  # a file that does not block has nothing yet


BAD = {
    "no path": ("", "'': is no path"),
    "nothing": (None, r"is NoneType.*pass a path, bytes, an open binary file, or an"),
    "number": (3, "is int.*pass a path"),
    "dictionary": ({"array": [0.0]}, "is dict.*pass a path"),
    "generator": ((x for x in [0.0]), "is generator.*pass a path"),
    "integers": ([1, 2, 3], "type is int64.*pass float32"),
    "words": (["a.wav", "b.wav"], "type is str.*pass float32"),
    "lists": ([[0.0], [0.0, 1.0]], "list cannot be made an array.*pass a path"),
    "no bytes": (b"", "bytes: are empty"),
    "bytes of a path": (b"note.m4a", "bytes: cannot be read as a recording"),
    "empty file": (io.BytesIO(), "stream: is empty"),
    "text": (io.StringIO("note.m4a"), r'is open as text; open it .*"rb"'),
    "closed": (_closed(), r"cannot be read \(I/O operation on closed file"),
    "at its end": (_at_its_end(), r"is at its end \(byte \d+\); call seek\(0\)"),
    "asynchronous": (Asynchronous(), r"its read\(\) returns coroutine, not bytes"),
    "late": (Late(), r"its read\(\) returns NoneType, not bytes"),
    "broken": (Broken(), r"example.org/a.mp3: cannot be read \(connection reset"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_holds_no_recording_is_one_clear_line(analyzer, kind):
    recording, message = BAD[kind]

    with pytest.raises(AudioError, match=message) as caught:
        analyzer.analyze(recording)

    assert "\n" not in str(caught.value)


def test_a_file_that_is_open_as_text(analyzer):
    with (
        NOTE.open(encoding="latin-1") as file,
        pytest.raises(AudioError, match="is open as text"),
    ):
        analyzer.analyze(file)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_a_device_without_an_end_is_not_read(analyzer):
    with (
        Path("/dev/zero").open("rb") as file,
        pytest.raises(AudioError, match="is a device"),
    ):
        analyzer.analyze(file)


@pytest.mark.parametrize("chunk", [b"\0" * 100, None, "a.wav"])
def test_a_stream_says_what_it_takes(analyzer, chunk):
    with pytest.raises(AudioError, match=r"pass an array of samples.*np\.frombuffer"):
        analyzer.stream().push(chunk)


def test_a_track_of_an_array(analyzer, note):
    with pytest.raises(AudioError, match="an array has no tracks"):
        analyzer.analyze(note, track=1)


def test_nothing_is_left_in_the_temporary_folder(analyzer, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = Path("/proc/self/fd")
    before = len(list(files.iterdir())) if files.is_dir() else 0

    analyzer.analyze(NOTE.read_bytes())
    with pytest.raises(AudioError):
        analyzer.analyze(io.BytesIO(b"no recording"))

    assert list(tmp_path.iterdir()) == []
    assert (len(list(files.iterdir())) if files.is_dir() else 0) == before
