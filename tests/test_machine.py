from __future__ import annotations

import os
import platform

import pytest

from espressivo import machine

X86 = """\
processor\t: 0
model name\t: Some Processor @ 2 GHz
flags\t\t: fpu sse avx2 avx512f avx512_vnni

processor\t: 1
model name\t: Some Processor @ 2 GHz
flags\t\t: fpu sse
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\n"


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


def test_the_processor_is_told_as_linux_does(cpuinfo):
    cpuinfo.write_text(X86)

    assert machine.processor_name() == "Some Processor @ 2 GHz"
    assert machine.eight_bit_instructions() == ("avx2", "avx512_vnni")


def test_a_processor_without_a_name_is_told_by_its_architecture(cpuinfo, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpuinfo.write_text(ARM)

    assert machine.processor_name() == "aarch64"
    assert machine.eight_bit_instructions() == ("asimddp", "i8mm")


def test_other_systems_tell_what_they_can(cpuinfo, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "getloadavg", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(machine, "_OWN_CGROUPS", cpuinfo.with_name("cgroup"))

    assert machine.processor_name() == "arm"
    assert machine.eight_bit_instructions() == ()
    assert machine.n_cores() == 6
    assert machine.load_average() is None


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """A made-up cgroup tree on a machine of 8 cores; returns what writes a file."""
    monkeypatch.setattr(machine, "_OWN_CGROUPS", tmp_path / "proc")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")

    return write


@pytest.mark.parametrize(
    ("quota", "n"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("10000 100000", 1),
        ("1600000 100000", 8),
        ("50000 10000", 5),
        ("nonsense", 8),
        ("100000 0", 8),
    ],
)
def test_a_quota_of_cgroup_v2_is_rounded_up(cgroups, quota, n):
    cgroups("proc", "0::/user/me")
    cgroups("cgroup/user/me/cpu.max", quota)

    assert machine.n_cores() == n


def test_the_smallest_quota_of_all_parents_holds(cgroups):
    cgroups("proc", "0::/batch/job/step")
    cgroups("cgroup/batch/job/step/cpu.max", "max 100000")
    cgroups("cgroup/batch/job/cpu.max", "300000 100000")
    cgroups("cgroup/batch/cpu.max", "600000 100000")

    assert machine.n_cores() == 3


def test_a_container_has_its_quota_at_the_top(cgroups):
    cgroups("proc", "0::/")
    cgroups("cgroup/cpu.max", "150000 100000")

    assert machine.n_cores() == 2


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("folder", ["docker/abc/", ""])
def test_a_quota_of_cgroup_v1(cgroups, mount, folder):
    cgroups("proc", "9:memory:/m\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/")
    cgroups(f"cgroup/{mount}/{folder}cpu.cfs_quota_us", "350000")
    cgroups(f"cgroup/{mount}/{folder}cpu.cfs_period_us", "100000")

    assert machine.n_cores() == 4


def test_no_quota_of_cgroup_v1(cgroups):
    cgroups("proc", "4:cpu:/docker/abc\n3:cpuset:/docker/abc")
    cgroups("cgroup/cpu/docker/abc/cpu.cfs_quota_us", "-1")
    cgroups("cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000")

    assert machine.n_cores() == 8


def test_the_affinity_holds_where_the_quota_is_larger(cgroups, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5}, raising=False)
    cgroups("proc", "0::/")
    cgroups("cgroup/cpu.max", "400000 100000")

    assert machine.n_cores() == 2


def test_lines_of_another_form_cost_nothing(cgroups):
    cgroups("proc", "nonsense\n0::/a\0b\n:\n0::/box")
    cgroups("cgroup/box/cpu.max", "300000 100000")

    assert machine.n_cores() == 3


@pytest.mark.parametrize(
    ("stated", "n"), [("3", 3), ("64", 64), ("default", 2), ("0", 2), ("", 2), ("x", 2)]
)
def test_the_number_that_python_is_told_comes_first(cgroups, monkeypatch, stated, n):
    cgroups("proc", "0::/")
    cgroups("cgroup/cpu.max", "200000 100000")
    monkeypatch.setenv("PYTHON_CPU_COUNT", stated)

    assert machine.n_cores() == n
