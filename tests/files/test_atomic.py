from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest

from espressivo.files.atomic import replacing, write_text


def test_what_stops_halfway_leaves_the_file_as_it_was(tmp_path):
    write_text("before", tmp_path / "a.txt")

    def stop_halfway():
        with replacing(tmp_path / "a.txt", errors=(RuntimeError,)) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_halfway()

    assert (tmp_path / "a.txt").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_library_raises_becomes_an_oserror(tmp_path):
    with (
        pytest.raises(OSError, match=r"want of room \(no space\)") as caught,
        replacing(tmp_path / "weights", errors=(RuntimeError,)),
    ):
        raise RuntimeError("no space")

    assert caught.value.errno == errno.EIO
    assert caught.value.filename == str(tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


HALFWAY = """
import sys, time
from pathlib import Path
from espressivo.files.atomic import replacing
with replacing(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    print("half", flush=True)
    time.sleep(600)
"""
WRITER = """
import sys
from pathlib import Path
from espressivo.files.atomic import write_text
write_text("whole", Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_what_a_killed_process_leaves_goes_with_the_next(tmp_path):
    path = tmp_path / "a.txt"
    (tmp_path / ".film.partial").touch()  # of another program
    writer = [sys.executable, "-c", WRITER]
    halfway = [sys.executable, "-c", HALFWAY, str(path)]
    with subprocess.Popen(halfway, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half\n"
        subprocess.run([*writer, str(tmp_path / "b.txt")], check=True)
        assert len(list(tmp_path.glob(".a.txt.*.partial"))) == 1  # its process lives
        process.kill()
    assert not path.exists()

    subprocess.run([*writer, str(tmp_path / "c.txt")], check=True)

    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == [".film.partial", "b.txt", "c.txt"]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_a_file_has_its_mode_from_the_beginning(tmp_path):
    before = os.umask(0o027)
    try:
        for mode, expected in ((0o666, 0o640), (0o600, 0o600)):
            with replacing(tmp_path / "a.txt", mode=mode) as partial:
                assert stat.S_IMODE(partial.stat().st_mode) == expected
                partial.write_text("whole")
            assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == expected
    finally:
        os.umask(before)


_WRITER = """
import sys
from pathlib import Path
from espressivo.files import atomic
for number in range(150):
    atomic._swept.clear()  # every write sweeps, as a process's first one does
    path = Path(sys.argv[1]) / f"{sys.argv[2]}-{number}"
    with atomic.replacing(path) as partial:
        partial.write_text("whole")
"""


def test_nobody_sweeps_what_another_process_is_writing(tmp_path):
    args = [sys.executable, "-c", _WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*args, str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert {path.read_text() for path in tmp_path.iterdir()} == {"whole"}
    assert len([*tmp_path.iterdir()]) == 600
