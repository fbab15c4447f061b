"""Archives in places that are full, read-only, shared by two runs, or damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest

pytest.importorskip("pyarrow", reason="needs the extra `archive`")
from espressivo.batch import ArchiveOptions, analyze_archive, read_summary
from espressivo.batch.folder import opened
from espressivo.batch.plan import Plan
from espressivo.batch.store import LocalStore, RemoteStore, store_at
from espressivo.errors import ArchiveError
from tests.archives import TABLES, command, contents, run
from tests.waiting import until

OPTIONS = ArchiveOptions(shard_size=4)


def copy_of(whole, to):
    for name, content in contents(whole).items():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(content)
    return to


def cut(content, how):
    """Return the content of a file after somebody cut it."""
    middle = len(content) // 2
    return {
        "empty": b"",
        "half": content[:middle],
        "a byte": content[:-1],
        "footer": content[:-8],
        "middle": content[:40] + content[80:],
        "other": b"PAR1 of something else PAR1",
    }[how]


@pytest.mark.parametrize(
    "how", ["empty", "half", "a byte", "footer", "middle", "other", "gone"]
)
def test_a_part_that_was_cut_is_found_and_made_again(notes, whole, tmp_path, how):
    out = copy_of(whole, tmp_path / "out")
    for i, table in enumerate(TABLES, 2):  # recordings of part 2, windows of 3, ...
        part = out / table / f"part-{i:06}.parquet"
        if how == "gone":
            part.unlink()
        else:
            part.write_bytes(cut(part.read_bytes(), how))
    seen = []

    analyze_archive(notes, out, options=OPTIONS, on_progress=seen.append)

    assert seen[-1].n_now == 3 * 4
    assert contents(out) == contents(whole)


def test_a_part_that_only_reading_finds_damaged_is_one_line(notes, whole, tmp_path):
    out = copy_of(whole, tmp_path / "out")
    parts = out.glob("recordings/part-*")
    part = max(parts, key=lambda path: path.stat().st_size)
    content = part.read_bytes()
    n_footer = int.from_bytes(content[-8:-4], "little")
    rest = content[-8 - n_footer :]
    part.write_bytes(b"PAR1" + bytes(len(content) - len(rest) - 4) + rest)

    with pytest.raises(
        ArchiveError, match=r"part \d of recordings is damaged"
    ) as caught:
        read_summary(out)
    assert "\n" not in str(caught.value)


def test_dates_of_the_future_change_nothing(notes, whole, tmp_path):
    # What a clock leaves that was put back by ten years.
    out = copy_of(whole, tmp_path / "out")
    (out / "recordings" / "part-000002.parquet").unlink()
    (out / "windows" / ".part-000002.parquet.1-2.partial").write_bytes(b"half")
    later = time.time() + 10 * 365 * 86_400
    for path in [out, *out.rglob("*")]:
        os.utime(path, (later, later))

    analyze_archive(notes, out, options=OPTIONS)

    assert contents(out) == contents(whole)
    assert not list(out.rglob("*.partial"))


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a file system in memory; it needs the right to."""
    place, n = tmp_path / "mounted", 0

    def mount(*options):
        nonlocal n
        place.mkdir(exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        try:
            done = subprocess.run(words, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("needs `mount`")
        if done.returncode:
            pytest.skip(f"may not mount a file system here ({done.stderr.decode()})")
        n += 1
        return place

    yield mount
    for _ in range(n):
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_in_the_middle_of_a_part(notes, whole, mounted):
    place = mounted("size=64k")
    out = place / "out"

    failed = run(notes, "--out", out, "--shard-size", 4, "--workers", 1)

    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "cannot be used (No space left on device); make room" in failed.stderr
    assert not list(out.rglob("*.partial"))
    before = contents(out)
    assert 0 < len(before) < len(contents(whole))
    subprocess.run(["mount", "-o", "remount,size=4m", str(place)], check=True)
    assert run(notes, "--out", out, "--shard-size", 4).returncode == 3
    assert contents(out) == contents(whole)
    assert before.items() <= contents(out).items()


def test_a_place_that_is_read_only_is_one_line(notes, mounted):
    place = mounted("ro")

    for out in (place, place / "out", f"file://{place}/out"):
        failed = run(notes, "--out", out)
        assert failed.returncode == 1
        assert failed.stderr.count("\n") == 1
        assert "cannot be used (Read-only file system)" in failed.stderr


def test_a_local_address_has_locks_and_whole_files(notes, whole):
    pytest.importorskip("fsspec", reason="needs the extra `cluster`")
    plan = Plan.from_json((whole / "archive.json").read_text())

    for scheme in ("file", "local"):
        address = f"{scheme}://{whole}"
        assert isinstance(store_at(address), LocalStore)
        with (
            opened(whole, plan, restart=False),
            pytest.raises(ArchiveError, match="another process is writing there"),
        ):
            analyze_archive(notes, address, options=OPTIONS)


def test_a_store_without_locks_gives_the_same_tables(notes, whole):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra `cluster`")
    memory = fsspec.filesystem("memory")
    memory.store.clear()

    analyze_archive(notes, "memory://out", options=OPTIONS)

    def found():
        return {k.removeprefix("/out/"): v.getvalue() for k, v in memory.store.items()}

    assert found() == contents(whole)
    memory.pipe_file("/out/windows/part-000001.parquet", b"cut")
    memory.rm_file("/out/failures/part-000002.parquet")
    seen = []
    analyze_archive(notes, "memory://out", options=OPTIONS, on_progress=seen.append)
    assert seen[-1].n_now == 2 * 4
    assert found() == contents(whole)


def test_two_runs_in_a_store_without_locks_do_not_mix(whole):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra `cluster`")
    fsspec.filesystem("memory").store.clear()
    plan = Plan.from_json((whole / "archive.json").read_text())
    assert isinstance(store_at("memory://both"), RemoteStore)

    with opened("memory://both", plan, restart=False) as one:
        one.write(0, {"recordings": b"one"})
        with opened("memory://both", plan, restart=False) as same:
            same.write(1, {"recordings": b"the same bytes, in another run"})
        one.write(1, {"recordings": b"one"})
        other = replace(plan, shard_size=5)
        with opened("memory://both", other, restart=True) as two:
            with pytest.raises(ArchiveError, match="another run is writing there"):
                one.write(2, {"recordings": b"one"})
            two.write(2, {"recordings": b"two"})
            assert two.finished() == {2}


def test_copies_that_a_killed_run_leaves_go_with_the_next(notes, tmp_path):
    pytest.importorskip("fsspec", reason="needs the extra `cluster`")
    table, scratch = tmp_path / "far.csv", tmp_path / "scratch"
    scratch.mkdir()
    far = [*sorted((notes / "days").glob("*.wav")), notes / "silence.wav"] * 20
    lines = [f"{i},file://{path}" for i, path in enumerate(far)]
    table.write_text("\n".join(["id,path", *lines]))
    argv = command(table, "--out", tmp_path / "out", "--workers", 1)
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(argv, env=environment, start_new_session=True) as process:
        until(lambda: list(scratch.glob("*/*/*.wav")) or process.poll() is not None)
        os.killpg(process.pid, signal.SIGKILL)
    (left,) = scratch.glob("espressivo-scratch-*")
    assert left.stat().st_mode & 0o077 == 0

    done = subprocess.run(argv, env=environment, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert not list(scratch.iterdir())
