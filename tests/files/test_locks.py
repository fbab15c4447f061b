from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from espressivo.files.locks import locked


def test_threads_take_turns(tmp_path):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(20):
            with locked(tmp_path / "lock", 60):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_who_waits_too_long_is_told(tmp_path):
    with (
        locked(tmp_path / "lock", 1),
        pytest.raises(TimeoutError),
        locked(tmp_path / "lock", 0.01),
    ):
        pass


def test_an_error_inside_frees_it(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "lock", 1):
        raise KeyError

    with locked(tmp_path / "lock", 0):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from espressivo.files.locks import locked
with locked(Path(sys.argv[1]), 1):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_frees_it(tmp_path):
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError), locked(lock, 0.01):
            pass
        holder.kill()

    with locked(lock, 10):
        pass


def test_who_deletes_a_lock_does_not_create_it(tmp_path):
    lock = tmp_path / "lock"
    with pytest.raises(FileNotFoundError), locked(lock, 0, create=False):
        pass
    assert not lock.exists()
    lock.touch()
    with locked(lock, 0, create=False):
        pass
