from __future__ import annotations

import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from espressivo.training.calibrate import FittedCertainty
from espressivo.training.figures import (
    Confusion,
    Point,
    measured_front,
    pareto,
    plot_confusion,
    plot_confusions,
    plot_curves,
    plot_folds,
    plot_pareto,
    plot_reliability,
    plot_risk_coverage,
)
from espressivo.training.scores.crossval_results import read_results
from espressivo.training.scores.selective import risk_coverage
from espressivo.training.tables.published import STUDY_CONFUSION
from tests.training.synthetic_results import crossval_rows, write_crossval


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    rows = crossval_rows(seeds=(0, 1))
    return read_results(write_crossval(folder / "r", rows, curves=True))


def words(path):
    """The texts of an SVG that was written with its texts kept."""
    found = re.findall(r"<text[^>]*>(.*?)</text>", path.read_text("utf-8"), re.DOTALL)
    return [re.sub(r"<[^>]+>", "", text) for text in found]


@pytest.fixture
def drawn(tmp_path):
    """Draws with a function, and returns the texts of the figure."""

    def draw(function, *args, **settings):
        with mpl.rc_context({"svg.fonttype": "none"}):
            function(*args, tmp_path / "figure.svg", **settings)
        return words(tmp_path / "figure.svg")

    return draw


def test_a_confusion_matrix_shows_shares_and_counts(drawn):
    counts = np.array([[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    texts = drawn(plot_confusion, counts)
    assert {"75%", "25%", "100%", "3", "4"} <= set(texts)
    assert texts.count("anger") == 2


def test_published_shares_are_shown_without_counts(drawn):
    ours = Confusion(np.full((4, 4), 12.5), "ours")
    theirs = Confusion(STUDY_CONFUSION, "theirs", are_counts=False)
    texts = drawn(plot_confusions, [ours, theirs])
    assert texts.count("12.5") == 16
    assert texts.count("97%") == 1
    assert texts.count("85%") == 1
    assert "theirs" in texts


def test_risk_coverage_curves_name_their_sets_and_the_threshold(drawn):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(4, 0.5), 500)
    labels = np.array([rng.choice(4, p=row) for row in p])
    curves = {"a$b$": risk_coverage(labels[:300], p[:300])}
    curves["one"] = risk_coverage(labels[300:], p[300:])
    texts = drawn(
        plot_risk_coverage,
        curves,
        risk_coverage(labels, p),
        FittedCertainty(0.6, 0.8, 0.5),
    )
    assert {"a$b$", "one", "all, equal weights"} <= set(texts)
    assert "top probability of 0.600 or more:" in texts


def test_a_png_is_one(tmp_path):
    plot_confusion(np.eye(4, dtype=np.int64), tmp_path / "c.png", "title")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_long_titles_stay_inside_their_panel(drawn):
    long = "a system whose name is much longer than its panel is wide " * 2
    texts = drawn(plot_confusions, [Confusion(np.eye(4), long)])
    lines = [text for text in texts if "system" in text or "longer" in text]
    assert len(lines) >= 2
    assert max(map(len, lines)) <= 38


def test_reliability_names_each_system_and_its_calibration_error(drawn, results):
    texts = drawn(plot_reliability, {"mine": results.pool, "other": results.pool})
    ece = f"ECE {results.pooled['ece']:.3f}"
    assert {"mine", "other", ece} <= set(texts)


def test_folds_are_named_and_the_interval_is_written(drawn, results):
    texts = drawn(plot_folds, {f"system {n}": results for n in range(4)})
    assert texts.count("group-03") == 4
    ends = results.intervals["ua"]
    wanted = f"UA {results.pooled['ua']:.3f} ({ends.low:.3f} to {ends.high:.3f})"
    assert texts.count(wanted) == 4
    assert texts.count("speaker") == 1  # in the legend


def test_a_single_speaker_has_no_interval_to_draw(drawn, results):
    a = results.predictions
    alone = a.select(a.speakers == "ravdess/00")
    texts = drawn(plot_folds, {"alone": replace(results, predictions=alone)})
    assert "95 % over speakers" not in texts
    assert "all folds" in texts


def test_curves_are_of_the_runs_that_logged_them(drawn, results, tmp_path):
    silent = read_results(write_crossval(tmp_path / "silent"))
    texts = drawn(plot_curves, {"mine": results, "silent": silent})
    assert "8 runs" in texts
    assert "mine" in texts
    assert "silent" not in texts


POINTS = [
    Point("tiny int8", 0.568, 0.525, 0.609, 5.2, 60),
    Point("tiny fp32", 0.565, 0.523, 0.605, 19, 76),
    Point("light", 0.52, 0.47, 0.56, 0.9, 22),
    Point("logistic", 0.57, 0.53, 0.61, 5, 55),
    Point("large", 0.605, 0.56, 0.645, 94.7, 755),
    Point("study", 0.462, size_mb=23, published=True),
]


def test_published_points_are_marked_and_have_no_place_in_the_measured_front(drawn):
    texts = drawn(plot_pareto, POINTS)
    assert texts.count("study (published)") == 1  # it has no time
    assert texts.count("large") == 2
    best = Point("best", 0.99, size_mb=0.1, published=True)
    assert best not in measured_front([*POINTS, best], "size_mb")


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0.1, 100), st.booleans()), max_size=12
    )
)
def test_the_front_is_what_nothing_beats(rows):
    points = [
        Point(str(i), ua, None, None, mb, None, p) for i, (ua, mb, p) in enumerate(rows)
    ]
    measured = [p for p in points if not p.published]

    found = measured_front(points, "size_mb")

    for point in measured:
        beaten = any(
            other.size_mb <= point.size_mb
            and other.ua >= point.ua
            and (other.size_mb, other.ua) != (point.size_mb, point.ua)
            for other in measured
        )
        same = [(p.size_mb, p.ua) for p in found].count((point.size_mb, point.ua))
        assert same == (0 if beaten else 1)  # of twins, one
    assert found == sorted(found, key=lambda p: p.size_mb)
    assert measured_front(points, "time_ms") == []


def test_labels_do_not_cover_each_other(monkeypatch, tmp_path):
    placed = []
    separate = pareto.separate

    def keep(ax, labels, ends):
        separate(ax, labels, ends)
        boxes = [Text.get_window_extent(label) for label in labels]
        placed.append((ax.get_window_extent().padded(1), boxes))

    monkeypatch.setattr(pareto, "separate", keep)
    plot_pareto(POINTS, tmp_path / "p.png")

    assert [len(boxes) for _, boxes in placed] == [6, 5]
    for panel, boxes in placed:
        for i, box in enumerate(boxes):
            assert panel.contains(*box.min)
            assert panel.contains(*box.max)
            assert not any(box.overlaps(other) for other in boxes[:i])


def test_points_without_any_cost_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no point has a size or a time"):
        plot_pareto([Point("free", 0.5)], tmp_path / "p.png")


def test_one_cost_makes_one_panel(drawn):
    texts = drawn(plot_pareto, [Point("a", 0.5, size_mb=3.0)])
    assert "size (MB)" in texts
    assert "time per recording (ms)" not in texts
