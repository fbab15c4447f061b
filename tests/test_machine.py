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

    assert machine.processor_name() == "arm"
    assert machine.eight_bit_instructions() == ()
    assert machine.n_cores() == 6
    assert machine.load_average() is None
