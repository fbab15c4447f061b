"""The frontier of sizes: its tables agree with each other, and systems can be added."""

from __future__ import annotations

import csv
import shutil
from statistics import fmean

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from research.compression.__main__ import main, to_markdown
from research.compression.systems import DATA, PEERS, read_systems
from research.peers.clips import CORPORA
from tests.conftest import ROOT


def add(path, **row):
    """Add a row to a table; other columns stay empty."""
    with path.open(newline="") as file:
        names = csv.DictReader(file).fieldnames
    with path.open("a", newline="") as file:
        csv.DictWriter(file, names, lineterminator="\n").writerow(row)


@pytest.fixture
def data(tmp_path):
    return shutil.copytree(DATA, tmp_path / "data")


def test_the_page_holds_the_table_of_the_data():
    page = (ROOT / "research/compression/README.md").read_text("utf-8")
    assert to_markdown(read_systems()) in page


def test_peers_have_the_scores_of_their_study():
    with (PEERS / "scores.csv").open(newline="") as file:
        means = {
            r["system"]: r["ua"]
            for r in csv.DictReader(file)
            if r["scored_on"] == "mean"
        }
    with (DATA / "systems.csv").open(newline="") as file:
        peers = {r["system"]: r["peer"] for r in csv.DictReader(file) if r["peer"]}
    found = {
        system.name: system.ua for system in read_systems() if system.name in peers
    }
    assert len(found) == len(peers) > 0
    for name, ua in found.items():
        assert ua == pytest.approx(float(means[peers[name]]), abs=0.01)


def test_a_system_is_added_by_its_rows(data, tmp_path, capsys):
    add(data / "systems.csv", system="mine")
    for number, corpus in enumerate(CORPORA[1:]):
        add(data / "uas.csv", system="mine", corpus=corpus, ua=50 + number)
    (mine,) = (s for s in read_systems(data) if s.name == "mine")
    assert mine.ua is None  # RAVDESS is missing, so no mean compares
    assert mine.megabytes is None

    add(data / "uas.csv", system="mine", corpus=CORPORA[0], ua=60)
    add(data / "costs.csv", system="mine", megabytes=0.5, milliseconds=2, parameters=9)
    (mine,) = (s for s in read_systems(data) if s.name == "mine")
    assert mine.ua == fmean([60, *range(50, 56)])
    figure = tmp_path / "frontier.png"
    assert main(["report", "--data", str(data), "--out", str(figure)]) == 0
    assert "| mine | 53.6 | 60.0 | 50.0 |" in capsys.readouterr().out
    assert (
        figure.read_bytes() != (ROOT / "research/compression/frontier.png").read_bytes()
    )


def test_a_row_of_nobody_is_refused(data, capsys):
    add(data / "uas.csv", system="nobody", corpus="tess", ua=50)
    assert main(["report", "--data", str(data)]) == 1
    assert capsys.readouterr().err == (
        f"{data}: 'nobody' is in uas.csv or costs.csv, but not in systems.csv; add it "
        "there\n"
    )
