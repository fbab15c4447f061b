from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from espressivo.batch import (
    ArchiveOptions,
    Entry,
    analyze_archive,
    find_entries,
)
from espressivo.batch.plan import Plan
from espressivo.batch.workers import WorkerPool
from espressivo.errors import ArchiveError
from espressivo.model.classifier import read_card
from espressivo.model.find import find_model
from tests.archives import command, contents, run
from tests.recordings import encode

OPTIONS = ArchiveOptions(shard_size=4)


def stamps(out):
    return {p: p.stat().st_mtime_ns for p in out.glob("recordings/part-*")}


def test_a_finished_archive_is_left_as_it_is(notes, whole):
    before, seen = stamps(whole), []

    analyze_archive(notes, whole, options=OPTIONS, on_progress=seen.append)

    assert stamps(whole) == before
    assert [p.n_now for p in seen] == [0]


def test_killed_at_random_it_ends_as_if_undisturbed(notes, whole, tmp_path):
    out = tmp_path / "out"
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(5):
        process = subprocess.Popen(
            command(notes, "--out", out, "--shard-size", 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(0.3, 2.0))
        process.kill()
        process.wait()
        before = stamps(out)
    done = run(notes, "--out", out, "--shard-size", 4)

    assert done.returncode == 3, f"seed {seed}: {done.stderr}"
    assert before.items() <= stamps(out).items(), f"seed {seed}: done again"
    assert contents(out) == contents(whole), f"seed {seed}"
    assert [p.name for p in out.rglob("*.partial")] == []


def test_a_part_without_its_recordings_is_not_finished(notes, whole, tmp_path):
    out = tmp_path / "out"
    analyze_archive(notes, out, options=OPTIONS)
    (out / "recordings" / "part-000001.parquet").unlink()
    (out / "windows" / ".part-000001.parquet.1-2.partial").write_bytes(b"half")

    seen = []
    analyze_archive(notes, out, options=OPTIONS, on_progress=seen.append)

    assert seen[-1].n_now == 4
    assert contents(out) == contents(whole)
    assert [p.name for p in out.rglob("*.partial")] == []


def test_a_full_disk_is_one_line_and_no_loss(notes, whole, tmp_path):
    out = tmp_path / "out"
    sizes = [len(content) for content in contents(whole).values()]
    limit_kib = max(sizes) // 1024  # no room for the largest

    failed = run(notes, "--out", out, "--shard-size", 4, limit_kib=limit_kib)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "cannot be used (File too large); make room" in failed.stderr
    assert [p.name for p in out.rglob("*.partial")] == []

    assert run(notes, "--out", out, "--shard-size", 4).returncode == 3
    assert contents(out) == contents(whole)


def test_ctrl_c_exits_130_and_the_same_command_goes_on(notes, whole, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(notes, "--out", out, "--shard-size", 4, "--workers", 1),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not stamps(out):
        time.sleep(0.01)
    # As a terminal does it: to all processes of the command.
    subprocess.run(["kill", "-INT", "--", f"-{process.pid}"], check=True)
    _, err = process.communicate()

    assert process.returncode == 130
    assert err.splitlines() == [
        f"interrupted; the same command, without --restart, goes on in {out}"
    ]
    assert run(notes, "--out", out, "--shard-size", 4).returncode == 3
    assert contents(out) == contents(whole)


def workers_of(pid):
    """Return the processes that a command analyses with."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    lines = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for one in found}
    return [one for one, line in lines.items() if b"spawn_main" in line]


def is_running(pid):
    stat = Path(f"/proc/{pid}/stat")
    # What has ended may wait for a parent that asks how.
    if not stat.exists():
        return False
    return stat.read_text("utf-8").rpartition(")")[2].split()[0] != "Z"


def test_workers_end_with_who_was_killed(notes, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(command(notes, "--out", out, "--shard-size", 4))
    while not stamps(out):
        time.sleep(0.01)
    workers = workers_of(process.pid)
    process.kill()
    process.wait()

    assert workers
    while any(is_running(worker) for worker in workers):
        time.sleep(0.02)


def worker_pool(n_workers):
    folder = find_model("espressivo-tiny")
    return WorkerPool(folder, Plan.of([], read_card(folder), None), n_workers)


def kill_at(one, id_, times):
    """Kill the worker that has that recording in its hand, so many times."""
    killed = 0
    while killed < times:
        for worker in list(one._workers):
            if worker.ready and worker.queue and worker.queue[0].id == id_:
                worker.process.kill()
                killed += 1
                while worker in one._workers:
                    time.sleep(0.001)
                break  # another may have it by now
        time.sleep(0.001)


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_killed_loses_nothing(notes, note, tmp_path, times):
    long = encode(tmp_path / "long.wav", np.tile(note, 15))
    entries = [*find_entries(notes)[-6:], Entry("long", str(long))]
    with worker_pool(2) as one:
        killer = Thread(target=kill_at, args=(one, "long", times))
        killer.start()
        outcomes = {o.entry.id: o for o in one.analyze(entries)}
        killer.join()

    assert outcomes.keys() == {entry.id for entry in entries}
    failures = {id_: o.failure for id_, o in outcomes.items() if o.failure is not None}
    if times == 1:
        assert failures == {}
    else:
        assert failures.keys() == {"long"}
        assert failures["long"].kind == "crash"
        assert "2 times (SIGKILL)" in failures["long"].reason


def test_a_script_without_a_guard_is_told_so(notes, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from espressivo.batch import analyze_archive\n"
        f"analyze_archive({str(notes)!r}, {str(tmp_path / 'out')!r})\n"
    )
    done = subprocess.run(
        [command()[0], str(script)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert 'call this under `if __name__ == "__main__":`' in done.stderr


def test_a_half_deleted_archive_is_still_one(notes, whole, tmp_path):
    out, source = tmp_path / "out", notes / "days"
    analyze_archive(source, out, options=ArchiveOptions(shard_size=2))
    for part in sorted(out.glob("recordings/part-*"))[:2]:
        part.unlink()  # as far as --restart came

    with pytest.raises(ArchiveError, match="is an archive of something else"):
        analyze_archive(notes, out, options=OPTIONS)
    analyze_archive(notes, out, options=ArchiveOptions(shard_size=4, restart=True))
    assert contents(out) == contents(whole)
