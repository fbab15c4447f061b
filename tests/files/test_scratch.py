from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from espressivo.files.scratch import scratch_folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The system's temporary folder, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


HOLDER = """
import time
from espressivo.files.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "copy.wav").write_bytes(b"sound")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_it_is_private_and_gone_at_the_end(place):
    with scratch_folder() as folder:
        assert folder.parent == place
        if os.name == "posix":
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "copy.wav").write_bytes(b"sound")

    assert not list(place.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_what_a_killed_process_leaves_goes_with_the_next(place):
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        copy = Path(holder.stdout.readline().strip(), "copy.wav")
        with scratch_folder():
            assert copy.exists()  # its process lives
        holder.kill()
    assert copy.exists()

    with scratch_folder() as folder:
        assert list(place.iterdir()) == [folder]


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_what_others_put_there_stays(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "lock").touch()
    (other / "thesis.txt").touch()
    (place / "espressivo-scratch-link").symlink_to(other)
    (place / "espressivo-scratch-new").mkdir()  # not locked yet
    (place / "espressivo-scratch-file").touch()

    with scratch_folder():
        pass

    assert len(list(place.iterdir())) == 3
    assert (other / "thesis.txt").exists()
