from __future__ import annotations

import pytest

from espressivo.bench.energy import find_meter


@pytest.fixture
def zones(tmp_path):
    """Writes zones of a made-up powercap tree."""

    def write(zone, name, energy_uj, top=262_143_328_850):
        folder = tmp_path / zone
        folder.mkdir(exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{energy_uj}\n")
        (folder / "max_energy_range_uj").write_text(f"{top}\n")
        return folder

    return write


def test_packages_count_once_and_nothing_inside_or_around_them(zones, tmp_path):
    zones("intel-rapl:0", "package-0", 1_000_000)
    zones("intel-rapl:1", "package-1", 5_000_000)
    zones("intel-rapl:0:0", "core", 700_000)
    zones("intel-rapl:2", "psys", 9_000_000)
    zones("intel-rapl-mmio:0", "package-0", 1_000_000)
    meter = find_meter(tmp_path)
    before = meter.read()

    zones("intel-rapl:0", "package-0", 3_500_000)
    zones("intel-rapl:1", "package-1", 5_250_000)
    zones("intel-rapl:0:0", "core", 9_700_000)

    assert meter.why_not is None
    assert meter.joules_since(before) == pytest.approx(2.75)


def test_a_counter_that_started_over_goes_on(zones, tmp_path):
    zones("intel-rapl:0", "package-0", 9_000_000, top=9_999_999)
    meter = find_meter(tmp_path)
    before = meter.read()

    zones("intel-rapl:0", "package-0", 500_000, top=9_999_999)

    assert meter.joules_since(before) == pytest.approx(1.5)


def test_no_meter_is_told_and_measures_nothing(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        meter = find_meter(folder)

        assert meter.why_not == "-"
        assert meter.joules_since(meter.read()) == 0


def test_a_meter_for_root_alone_is_told(zones, tmp_path, monkeypatch):
    counter = zones("intel-rapl:0", "package-0", 1) / "energy_uj"
    read = type(counter).read_text

    def refuse(path, *args, **settings):
        if path == counter:
            raise PermissionError(13, "Permission denied")
        return read(path, *args, **settings)

    monkeypatch.setattr(type(counter), "read_text", refuse)

    assert find_meter(tmp_path).why_not == "not readable (needs root)"


def test_a_meter_that_tells_nonsense_is_told(zones, tmp_path):
    zones("intel-rapl:0", "package-0", 1, top="?")

    assert find_meter(tmp_path).why_not.startswith("not readable (invalid literal")
