from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.bench import figure
from espressivo.bench.figure import Mark, plot_costs
from espressivo.figures.pareto import pareto_front
from tests.bench.test_bench import LARGE, MODEL, report_of

mpl = pytest.importorskip("matplotlib", reason="needs the extra 'plot'")

marks = st.builds(Mark, st.just(""), st.integers(0, 5), st.integers(0, 5))


@given(st.lists(marks), st.booleans())
def test_the_front_is_what_no_model_is_better_than(marks, high_is_good):
    found = pareto_front(marks, lambda m: (m.x, m.y), high_is_good=high_is_good)
    sign = -1 if high_is_good else 1

    places = {(m.x, m.y) for m in marks}
    best = {
        (x, y)
        for x, y in places
        if not any(
            a <= x and sign * b <= sign * y and (a, b) != (x, y) for a, b in places
        )
    }
    assert [(m.x, m.y) for m in found] == sorted(best)


@pytest.fixture
def drawn(tmp_path):
    """Draws a report; returns the texts of the figure."""

    def draw(report):
        path = tmp_path / "figure.svg"
        with mpl.rc_context({"svg.fonttype": "none"}):
            plot_costs(report, path)
        found = re.findall(
            r"<text[^>]*>(.*?)</text>", path.read_text("utf-8"), re.DOTALL
        )
        return [re.sub(r"<[^>]+>", "", text) for text in found]

    return draw


def test_a_figure_names_models_and_axes(drawn):
    texts = drawn(report_of(MODEL, LARGE))

    assert {"small", "large", "size (MB)", "time for 8 s, 1 thread (ms)"} <= set(texts)
    assert not any(text.startswith("UA") for text in texts)


def test_accuracy_is_drawn_on_the_corpus_that_most_cards_have(drawn):
    others = [
        replace(MODEL, name="b", ua={"tess": 0.5, "emodb": 0.8}),
        replace(MODEL, name="c", ua={"emodb": 0.7}),
    ]

    texts = drawn(report_of(MODEL, *others))

    assert "UA, emodb" in texts
    assert [texts.count(name) for name in ("small", "b", "c")] == [1, 2, 2]


def test_sizes_and_times_far_apart_are_drawn_in_decades(monkeypatch, tmp_path):
    scales = []
    separate = figure.separate

    def keep(ax, labels):
        separate(ax, labels)
        scales.append((ax.get_xscale(), ax.get_yscale()))

    monkeypatch.setattr(figure, "separate", keep)
    near = replace(MODEL, name="near", bytes=6_000_000)
    slow = replace(LARGE, times_s=(1.0,) * 5, ua=MODEL.ua)
    plot_costs(report_of(MODEL, near), tmp_path / "a.png")
    plot_costs(report_of(MODEL, slow), tmp_path / "b.png")

    sizes_and_scores = [
        [("linear", "linear"), ("linear", "linear")],
        [("log", "log"), ("log", "linear")],
    ]
    assert [scales[:2], scales[2:]] == sizes_and_scores


def test_labels_of_models_alike_do_not_cover_each_other(monkeypatch, tmp_path):
    from matplotlib.text import Text

    placed = []
    separate = figure.separate

    def keep(ax, labels):
        separate(ax, labels)
        placed.append([Text.get_window_extent(label) for label in labels])

    monkeypatch.setattr(figure, "separate", keep)
    models = [
        replace(MODEL, name=f"model number {i}", bytes=5_000_000 + 20_000 * i)
        for i in range(5)
    ]
    plot_costs(report_of(*models), tmp_path / "figure.png")

    for boxes in placed:
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
    assert [len(boxes) for boxes in placed] == [5, 5]
