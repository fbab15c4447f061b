"""The same tables from a Ray cluster, which here is this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs the extra `cluster`")

from tests.archives import command, contents, run


def ray_workers_of(pid):
    """Return the Ray workers below a process that do our tasks now."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name = (stat.parent / "cmdline").read_bytes()
            if name.startswith(b"ray::_do_shard") and pid in ancestors(
                stat.parent.name
            ):
                found.append(int(stat.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def ancestors(pid):
    above = []
    while int(pid) > 1:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8")
        pid = text.rpartition(")")[2].split()[1]
        above.append(int(pid))
    return above


def test_a_cluster_gives_the_same_tables_though_a_worker_is_killed(
    notes, whole, tmp_path
):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(notes, "--out", out, "--shard-size", 4, "--engine", "ray"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killed = []
    while process.poll() is None and not killed:
        for worker in ray_workers_of(process.pid)[:1]:
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)
        time.sleep(0.02)
    text, errors = process.communicate()

    assert process.returncode == 3, errors
    assert killed
    assert "24 recordings" in text
    assert contents(out) == contents(whole)


def test_a_cluster_that_is_not_there_is_one_line(notes, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")

    done = run(notes, "--out", tmp_path / "out", "--engine", "ray")

    assert done.returncode == 1
    assert done.stderr.startswith("Ray at nowhere is not there (")
    assert done.stderr.count("\n") == 1
