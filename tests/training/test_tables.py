from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from espressivo.errors import CorpusError, TrainingError
from espressivo.training.figures import Point
from espressivo.training.scores.crossval_results import read_results
from espressivo.training.tables import (
    FORMATS,
    Bounded,
    Column,
    Row,
    Table,
    all_tables,
    comparison_table,
    dimension_table,
    fold_table,
    main_table,
    notes_of,
    published,
    published_table,
    read_points,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
    turned,
    write_report,
)
from espressivo.training.tables.headline import headline
from espressivo.types import Emotion
from espressivo.version import __version__
from tests.training.synthetic_results import crossval_rows, write_crossval

EVERY = [*(write for _, write in FORMATS.values()), to_html]
RANDOM = "random split: speakers are in several parts"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes results once, named by what they are."""
    folder = tmp_path_factory.mktemp("results")
    kinds = {
        "good": ({}, {}),
        "poor": ({"skill": 0.3, "prediction_seed": 1, "seeds": (0,)}, {}),
        "other": ({"skill": 1.0, "prediction_seed": 2, "seeds": (0,)}, {}),
        "leaky": ({"random": True}, {"protocol": "random"}),
        "iemocap": ({"corpus": "iemocap", "calm": False}, {"protocol": "session"}),
        "few": ({"n_folds": 3, "calm": False}, {"folds": ["group-01", "group-02"]}),
        "many": ({}, {}),
        "rated": ({"dimensions": ("arousal",), "seeds": (0,)}, {}),
        "rated poorly": ({"dimensions": ("arousal",), "skill": 0.5}, {}),
        "unread": (
            {"prediction_seed": 3},
            {"unreadable": [{"id": "a", "path": "a.wav", "reason": "empty"}] * 2},
        ),
    }

    def make(name):
        if not (folder / name).exists():
            how, card = kinds[name]
            rows = crossval_rows(**how)
            if name == "few":
                rows = [r for r in rows if r["fold"] != "group-03"]
            if name == "many":
                rows = [r | {"speaker": f"one of {r['id']}"} for r in rows]
            write_crossval(folder / name, rows, **card)
        return read_results(folder / name)

    return make


def cells(table):
    """Texts of a table, row by row, by heading."""
    headings = [column.name for column in table.columns]
    return [dict(zip(headings, texts, strict=True)) for texts in table.texts]


class Page(HTMLParser):
    """Collects what a page holds."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_main_table_holds_what_the_results_say(made):
    good = made("good")
    whole, without = cells(main_table([good]))

    ua = good.over_folds("ua")
    assert whole["UA"] == f"{ua.mean:.3f} ± {ua.sd:.3f}"
    ends = good.intervals["ua"]
    pooled = f"{good.pooled['ua']:.3f} ({ends.low:.3f} to {ends.high:.3f})"
    assert whole["UA pooled"] == pooled
    assert whole["protocol"] == "4 folds, leave one speaker group out"
    assert (whole["utterances"], whole["speakers"]) == ("192", "12")
    assert (whole["parameters"], whole["trained"]) == ("462,468", "461,000")
    assert (whole["calm"], without["calm"]) == ("as neutral", "left out")
    assert without["utterances"] == "168"
    for emotion in Emotion:
        f1 = good.over_folds(f"f1_{emotion}")
        assert whole[f"F1 {emotion}"] == f"{f1.mean:.3f} ± {f1.sd:.3f}"


def test_a_corpus_without_calm_has_one_row_and_no_column_for_it(made):
    (row,) = cells(main_table([made("iemocap")]))
    assert "calm" not in row


def test_the_order_of_systems_does_not_change_their_rows(made):
    one, other = made("good"), made("poor")
    forth, back = main_table([one, other]), main_table([other, one])
    assert sorted(map(str, forth.rows)) == sorted(map(str, back.rows))


def test_dimensions_have_a_table_where_they_are_rated(made):
    assert dimension_table([made("good")]) is None
    rated = made("rated")
    (row,) = cells(dimension_table([made("good"), rated]))
    assert (row["system"], row["dimension"]) == ("rated", "arousal")
    assert (row["utterances"], row["speakers"]) == ("144", "12")
    ccc, ends = rated.pooled["ccc_arousal"], rated.intervals["ccc_arousal"]
    assert row["CCC pooled"] == f"{ccc:.3f} ({ends.low:.3f} to {ends.high:.3f})"
    assert row["CCC"].count("±") == 1
    assert "dimensions" in [table.name for table in all_tables([rated])]
    compared = cells(comparison_table([rated], made("rated poorly")))
    assert "CCC arousal" in [row["measure"] for row in compared]


def test_the_sentence_of_a_system_of_dimensions_is_of_its_ccc(made):
    rated = made("rated")
    card = {**rated.card, "task": "dimensions"}
    alone = all_tables([replace(rated, card=card)])
    assert [table.name for table in alone[:2]] == ["dimensions", "main"]
    sentence = headline([replace(rated, card=card)])
    ccc = rated.pooled["ccc_arousal"]
    assert sentence.startswith(
        f"rated has a CCC of arousal of {ccc:.3f} (95 % interval"
    )


@pytest.mark.parametrize("write", EVERY)
def test_a_random_split_is_said_in_every_table_and_format(made, write):
    for table in all_tables([made("leaky")]):
        assert RANDOM in " ".join(write(table).split()), table.name


@pytest.mark.parametrize("write", [to_markdown, to_latex, to_html])
def test_unreadable_clips_are_counted_in_every_table(made, write):
    for table in all_tables([made("unread"), made("poor")], made("good")):
        text = write(table)
        if table.name.endswith("-poor"):
            assert "poor: no clip was unreadable" in text
        else:
            assert "unread: 2 unreadable clips are left out" in text, table.name


def test_few_speakers_are_said_in_every_table(made):
    for table in all_tables([made("few")]):
        assert "8 speakers, so intervals are too narrow" in " ".join(notes_of([table]))
    for table in all_tables([made("many")]):
        assert "speakers, so" not in " ".join(notes_of([table])), table.name


def test_an_unfinished_result_says_so_in_every_table(tmp_path):
    rows = [r for r in crossval_rows() if r["fold"] != "group-02"]
    folds = ["group-01", "group-02", "group-03", "group-04"]
    part = read_results(write_crossval(tmp_path / "part", rows, folds=folds))
    for table in all_tables([part]):
        assert "unfinished, 3 of 4 folds (6 of 8 runs)" in " ".join(notes_of([table]))
    by_fold = {row["fold"]: row for row in cells(fold_table(part))}
    assert by_fold["group-02 (not finished)"]["UA"] == "-"
    assert by_fold["mean over folds"]["utterances"] == "144"
    assert cells(main_table([part]))[0]["protocol"].startswith("3 of 4 folds, ")


def test_the_fold_table_has_each_fold_and_each_seed(made):
    good = made("good")
    rows = {row["fold"]: row for row in cells(fold_table(good))}

    assert list(rows)[:5] == [*good.folds, "mean over folds"]
    by_seed = good.by_seed("wa")
    assert rows["seed 1, mean over folds"]["WA"] == f"{by_seed[1]:.3f}"
    sd = np.std(list(by_seed.values()), ddof=1)
    assert rows["over seeds"]["WA"].endswith(f"± {sd:.3f}")
    single = [row["fold"] for row in cells(fold_table(made("poor")))]
    assert single == [*good.folds, "mean over folds"]


def test_csv_has_the_numbers_in_full(made):
    good = made("good")
    first, _ = csv.DictReader(io.StringIO(to_csv(main_table([good]))))

    assert float(first["UA"]) == pytest.approx(good.over_folds("ua").mean, abs=1e-8)
    assert float(first["UA sd"]) == pytest.approx(good.over_folds("ua").sd, abs=1e-8)
    low, high = float(first["UA pooled low"]), float(first["UA pooled high"])
    found = good.intervals["ua"]
    assert (low, high) == pytest.approx((found.low, found.high), abs=1e-8)
    assert first["parameters"] == "462468"


def test_comparison_with_a_twin_finds_nothing(made, tmp_path):
    twin = read_results(write_crossval(tmp_path / "twin", crossval_rows()))
    for row in cells(comparison_table([twin], made("good"))):
        assert row["difference"] == "+0.000 (+0.000 to +0.000)"
        assert row["p"] == row["p (Holm)"] == "1.0000"


def test_several_comparisons_are_corrected_one_is_not(made):
    good, poor, other = made("good"), made("poor"), made("other")
    for row in comparison_table([poor], good).rows:
        *_, p, corrected = row.cells
        assert corrected == p
    rows = [row.cells for row in comparison_table([poor, other], good).rows]
    uas = [row for row in rows if row[1] == "as neutral" and row[3] == "UA"]
    assert [row[0] for row in uas] == ["poor", "other"]
    p, corrected = zip(*(row[-2:] for row in uas), strict=True)
    assert min(corrected) == pytest.approx(2 * min(p))
    assert max(corrected) >= max(p)
    assert uas[0][-3].value == pytest.approx(poor.pooled["ua"] - good.pooled["ua"])


def test_a_system_is_not_compared_with_itself(made):
    table = comparison_table([made("good"), made("poor")], made("good"))
    assert {row.cells[0] for row in table.rows} == {"poor"}
    with pytest.raises(CorpusError, match="no utterance in common"):
        comparison_table([made("iemocap")], made("good"))


def test_what_was_published_is_quoted_and_only_ours_is_bold(made):
    table = published_table([made("iemocap")])
    rows = list(zip(cells(table), table.rows, strict=True))

    study = next(c for c, _ in rows if c["system"] == "DistilHuBERT, IEMOCAP only")
    assert study["WA"] == "0.595 ± 0.031"
    assert study["UA"] == "0.616 ± 0.039"
    assert study["F1 sadness"] == "0.647"
    superb = next(c for c, _ in rows if c["system"] == "SUPERB, frozen DistilHuBERT")
    assert superb["WA"].startswith("0.630 ±")  # its five folds, published as 63.02
    for texts, row in rows:
        assert row.strong == (texts["system"] == "iemocap")
        assert row.strong == (texts["status"] == "measured")
        assert texts["status"] in ("measured", "published, not measured here")
        assert texts["protocol"]
        assert texts["tested on"] == "iemocap"
    assert "**iemocap**" in to_markdown(table)
    assert "**DistilHuBERT" not in to_markdown(table)


def test_nothing_published_no_table(tmp_path):
    rows = crossval_rows(corpus="mine", calm=False)
    assert published_table([read_results(write_crossval(tmp_path / "r", rows))]) is None


def test_the_studys_figure_agrees_with_what_it_says_of_it():
    shares = published.STUDY_CONFUSION
    assert shares.sum(1) == pytest.approx(1, abs=0.021)  # rounded to two digits
    right = np.diagonal(shares)
    counts = np.array([192, 192, 288, 192])  # calm as neutral
    ravdess = next(p for p in published.STUDY if p.corpus == "ravdess")
    assert (right * counts).sum() / 864 == pytest.approx(
        ravdess.measures["wa"].mean, abs=0.005
    )
    assert right.mean() == pytest.approx(ravdess.measures["ua"].mean, abs=0.005)


AWKWARD = r"a_b & 50 % <b>#1</b> {x} \y ~ ^ $z$ | `c` *d* [e](f)"


@pytest.fixture
def awkward():
    columns = (Column(AWKWARD), Column("UA"))
    return Table("t", AWKWARD, columns, (Row((AWKWARD, 0.5)),), (AWKWARD,))


def test_html_escapes(awkward):
    page = Page(to_html(awkward))
    assert page.texts.count(AWKWARD) == 4  # caption, heading, cell, note
    assert not page.all("b")
    assert page.all("div")[0]["aria-label"] == AWKWARD


def test_latex_escapes(awkward):
    text = to_latex(awkward)
    escaped = (
        r"a\_b \& 50 \% \textless{}b\textgreater{}\#1\textless{}/b\textgreater{} \{x\} "
        r"\textbackslash{}y \textasciitilde{} \textasciicircum{} \$z\$ \textbar{}"
    )
    assert text.count(escaped) == 4
    body = text.split("\n", 1)[1]
    assert body.count("{") - body.count(r"\{") == body.count("}") - body.count(r"\}")
    rows = [line for line in body.splitlines() if line.endswith(r" \\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [1, 1]


def test_latex_writes_minus_and_plus_minus():
    columns = (Column("a-b"), Column("difference", signed=True))
    row = Row(("x-1", Bounded(-0.1, -0.2, 0.05)))
    text = to_latex(Table("t", "1 ± 2", columns, (row,)))
    assert r"$-$0.100 ($-$0.200 to +0.050)" in text
    assert "x-1" in text
    assert r"1 $\pm$ 2" in text


def test_markdown_escapes(awkward):
    lines = to_markdown(awkward).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert r"\<b>" in rows[0]
    assert r"\*d\*" in rows[0]
    assert r"\[e\](f)" in rows[0]


def test_csv_reads_back(awkward):
    assert list(csv.reader(io.StringIO(to_csv(awkward)))) == [
        [AWKWARD, "UA"],
        [AWKWARD, "0.5"],
    ]


def test_html_tables_say_what_their_headings_are_of(made):
    page = Page(to_html(main_table([made("good")])))
    scopes = [attributes["scope"] for attributes in page.all("th")]
    assert scopes.count("row") == 2
    assert scopes.count("col") == len(main_table([made("good")]).columns)
    assert len(page.all("caption")) == 1


def test_turning_a_table_keeps_its_texts(made):
    table = main_table([made("good"), made("poor")])
    columns = [list(column) for column in zip(*table.texts, strict=True)]
    assert [texts[1:] for texts in turned(table).texts] == columns[1:]


def test_a_row_as_long_as_the_headings():
    with pytest.raises(ValueError, match="a row of 1 cells below 2 columns"):
        Table("t", "t", (Column("a"), Column("b")), (Row(("x",)),))


def test_names_are_told_apart_by_their_folders(made, tmp_path):
    twin = read_results(write_crossval(tmp_path / "good", crossval_rows()))
    names = {row["system"] for row in cells(main_table([made("good"), twin]))}
    assert names == {f"good ({made('good').folder})", f"good ({twin.folder})"}
    tables = all_tables([made("good"), twin])
    assert len({table.name for table in tables}) == len(tables)


@pytest.fixture(scope="module")
def report(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new" / "report"
    points = [Point("good", 0.6, size_mb=5), Point("published", 0.5, size_mb=20)]
    write_report([made("poor"), made("leaky")], folder, made("good"), points)
    return folder


def test_the_report_asks_for_nothing_and_runs_nothing(report):
    text = (report / "report.html").read_text("utf-8")
    page = Page(text)
    names = r"http://www\.w3\.org/\S+"  # of SVG's namespaces, which are not loaded
    assert not re.search(r"(?:https?:)?//\w", re.sub(names, "", text))
    assert not page.all("script")
    assert not page.all("link")
    assert "default-src 'none'" in text
    drawings = [svg for svg in page.all("svg") if svg["role"] == "img"]
    assert all(len(svg["aria-label"]) > 20 for svg in drawings)
    assert len(drawings) == len(page.all("figcaption")) == 6
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.all("html") == [{"lang": "en"}]
    assert text.count(RANDOM) > 5


def test_the_page_has_each_note_once_and_each_file_has_its_own(report):
    text = (report / "report.html").read_text("utf-8")
    notes = re.findall("<li>(.*?)</li>", text)
    assert len(notes) == len(set(notes)) > 8
    speakers = [
        note for note in notes if "speakers, so intervals are too narrow" in note
    ]
    assert speakers == ["poor; leaky; good: " + speakers[0].partition(": ")[2]]
    for path in (report / "tables").glob("*.md"):
        assert "speakers, so intervals are too narrow" in path.read_text("utf-8"), path


def test_the_report_holds_every_table_and_each_is_a_file(report):
    text = (report / "report.html").read_text("utf-8")
    stems = {path.stem for path in (report / "tables").iterdir()}
    assert len(Page(text).all("table")) == len(stems)
    assert {path.suffix for path in (report / "tables").iterdir()} == {
        ".md",
        ".tex",
        ".csv",
    }
    figures = sorted(path.name for path in (report / "figures").iterdir())
    assert figures == sorted(
        f"{stem}.{ending}"
        for stem in (
            *("confusion-leaky", "confusion-poor", "folds", "pareto"),
            *("reliability", "systems"),
        )
        for ending in ("png", "svg")
    )
    assert {path.name for path in report.iterdir()} == {
        "figures",
        "report.html",
        "tables",
    }


def test_figures_have_the_colours_of_the_page(report):
    text = (report / "report.html").read_text("utf-8")
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    used = {colour for svg in drawings for colour in re.findall(r"#[0-9a-f]{6}\b", svg)}
    assert used == set()
    for variable in set(re.findall(r"var\((--[a-z]+)\)", "".join(drawings))):
        assert text.count(f"{variable}: ") == 2, f"{variable} in light and dark"


def test_the_report_begins_with_the_result_and_ends_with_what_made_it(made, tmp_path):
    command = "espressivo tables 'a <b>' --out x"
    path = write_report([made("good")], tmp_path / "new", command=command)
    page = Page(path.read_text("utf-8"))
    texts = [text.strip() for text in page.texts if text.strip()]
    assert texts[texts.index("Cross-validation", 1) + 1] == headline([made("good")])
    tags = [tag for tag, _ in page.tags]
    assert tags.index("h1") < tags.index("svg") < tags.index("table")
    end = " ".join(texts[-4:])
    assert f"by espressivo {__version__}, with {command} ." in end
    assert end.endswith("good: cross-validated on 2026-01-01.")


def test_the_sentence_says_system_score_protocol_and_comparison(made):
    good, poor, other = made("good"), made("poor"), made("other")
    ends = good.intervals["ua"]
    score = f"{good.pooled['ua']:.3f} (95 % interval {ends.low:.3f} to {ends.high:.3f}"
    test = "ravdess, calm as neutral (4 folds, leave one speaker group out)"
    alone = f"good has a UA of {score} over 12 speakers) on {test}; guessing has 0.25."
    assert headline([good]) == headline([good], good) == alone

    ranked = headline([poor, other, good])
    assert ranked.startswith(
        f"Of 3 systems on {test}, good has the highest UA, {score}"
    )
    assert "; the next, other, has 0." in ranked

    d = poor.compare(good).differences["ua"]
    against = headline([poor], good)
    assert f"; that is {-d.difference:.3f} less than good (95 % interval" in against
    assert against.endswith(f", p = {d.p:.3f}).")
    assert "p (Holm) = " in headline([poor, other], good)

    mixed = headline([good, made("leaky"), made("iemocap")])
    assert mixed.startswith("3 systems were tested in 3 ways, between which scores do")
    assert RANDOM in mixed


def test_a_difference_that_may_be_chance_is_said_to_be(made, tmp_path):
    twin = read_results(write_crossval(tmp_path / "twin", crossval_rows()))
    assert headline([twin], made("good")).endswith("p = 1.000), which may be chance.")


def test_a_report_that_fails_leaves_the_last_one(report, made):
    before = {path: path.read_bytes() for path in report.rglob("*.*")}
    impossible = [Point("has neither size nor time", 0.5)]
    with pytest.raises(ValueError, match="size or a time"):
        write_report([made("good")], report, points=impossible)
    assert {path: path.read_bytes() for path in report.rglob("*.*")} == before


def test_a_report_cannot_be_written_into_a_file(made, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match=r"file: cannot be written"):
        write_report([made("good")], tmp_path / "file")


def test_points_take_their_ua_from_results(made, tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text(
        "name,size_mb,time_ms,ua,published\ngood,5.2,60,,\nIsmail,23,,0.462,yes\n"
    )
    good, ismail = read_points(path, [made("good")])
    assert good.ua == made("good").pooled["ua"]
    assert (good.low, good.high) == (
        made("good").intervals["ua"].low,
        made("good").intervals["ua"].high,
    )
    assert ismail == Point("Ismail", 0.462, size_mb=23.0, published=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,size\ngood,5\n", "line 2: size is no column"),
        ("name,size_mb\nbad,5\n", "bad is none of good and says no ua"),
        ("name,size_mb,time_ms\ngood,,\n", "good has neither size_mb nor time_ms"),
        ("name,size_mb\ngood,big\n", "size_mb is 'big', not a number"),
    ],
)
def test_points_that_say_too_little_are_refused(made, tmp_path, text, message):
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_points(path, [made("good")])
    with pytest.raises(CorpusError, match=r"nowhere.csv: cannot be read \("):
        read_points(tmp_path / "nowhere.csv")


def test_the_same_results_make_the_same_report(made, tmp_path):
    one, other = (
        write_report([made("poor")], tmp_path / name).read_text("utf-8")
        for name in ("one", "other")
    )
    before = "<footer>"  # which has the date
    assert one.split(before)[0] == other.split(before)[0]


def test_kinds_of_protocol_are_named(made, tmp_path):
    card = {"protocol": "random", "protocol_kind": "prefix"}
    folder = write_crossval(tmp_path / "r", crossval_rows(random=True), **card)
    (row, _) = cells(main_table([read_results(folder)]))
    assert row["protocol"] == f"4 folds, {RANDOM} (by IEMOCAP name prefix)"
