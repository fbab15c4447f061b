from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.analyzer import Analyzer
from espressivo.model.adaptation import (
    AdaptationCard,
    adapt,
    distance,
    infer,
    spread,
)
from espressivo.model.classifier import load_classifier
from espressivo.model.find import DEFAULT, find_model
from espressivo.model.window_statistics import WindowStatistics
from espressivo.training.corpora import Utterance, read_corpus
from espressivo.training.scores.bootstrap import compare
from espressivo.training.scores.metrics import score
from espressivo.types import Emotion, Segment, to_rows
from research.adaptation.__main__ import main
from research.adaptation.checks import Rate, noise_rates, spread_rates, voice_rates
from research.adaptation.clips import Clips, choose, statistics_of
from research.adaptation.histories import (
    ALMOST_NEUTRAL,
    BALANCED,
    MISSING,
    MOSTLY_NEUTRAL,
    PAIRS,
    SINGLE,
    draw_history,
)
from research.adaptation.notes import truth_of
from research.adaptation.parts import (
    ALL,
    NINE_TENTHS,
    Material,
    condition_name,
    score_archive,
    score_both,
    score_settings,
    score_speakers,
    score_windows_as_notes,
)
from research.adaptation.scores import Tally
from research.adaptation.tables import MEAN, Case, all_tables, changes
from research.adaptation.variants import variants

LABELS = np.repeat([0, 1, 2, 3], [8, 6, 12, 3])
CONTENTS = (BALANCED, MOSTLY_NEUTRAL, ALMOST_NEUTRAL, *SINGLE, *PAIRS, *MISSING)
seeds = st.integers(0, 2**32 - 1)


def make_card(**settings):
    """Return a card of a space in which emotions are 3 deviations apart."""
    means = 3.0 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2
    pair = np.stack([3 * np.eye(3), 0.1 * np.eye(3)])
    return replace(AdaptationCard(means, pair, pair, 2, 5.0, 5.0), **settings)


def make_clips(n_speakers=4, n_each=12, *, moved=2.0, seed=0, card=None):
    """Draw clips of speakers whose voices have offsets; the plain model ignores them.

    Some clips have two windows.
    """
    rng = np.random.default_rng(seed)
    card = card or make_card()
    n = n_speakers * n_each
    speakers = np.repeat([f"s{i}" for i in range(n_speakers)], n_each)
    labels = np.tile(np.arange(4), n // 4)
    counts = 1 + (np.arange(n) % 5 == 0)
    offsets = moved * rng.normal(size=(n_speakers, 3)).repeat(n_each, 0)
    voices_of = 3 * rng.normal(size=(n_speakers, 2)).repeat(n_each, 0)
    clip = np.repeat(np.arange(n), counts)
    places = card.means[labels[clip]] + offsets[clip] + rng.normal(size=(len(clip), 3))
    axes = voices_of[clip] + rng.normal(size=(len(clip), 2))
    noise = np.full((len(clip), 1), 0.01)
    logits = -0.5 * ((places[:, None] - card.means) ** 2).sum(-1)
    plain = np.exp(logits - logits.max(1, keepdims=True))
    return Clips(
        "made up",
        labels,
        speakers,
        np.arange(n) % 8 == 2,
        np.concatenate([[0], np.cumsum(counts)]),
        (plain / plain.sum(1, keepdims=True)).astype(np.float32),
        np.hstack([places, noise, axes]).astype(np.float32),
        np.full(len(clip), 32_000),
    )


def read_rows(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


@pytest.fixture(scope="module")
def material():
    clips = make_clips(6, 24)
    return Material(clips, make_card(), 0.6, np.arange(len(clips)), n_draws=3)


@given(seeds, st.sampled_from(CONTENTS), st.integers(0, 40))
def test_a_history_holds_no_clip_twice_and_only_emotions_with_a_share(seed, kind, n):
    order = draw_history(kind, LABELS, n, np.random.default_rng(seed))

    assert len(set(order.tolist())) == len(order) <= n
    assert all(kind.shares[k] > 0 for k in LABELS[order])


@given(seeds, st.integers(1, 3))
def test_a_balanced_history_is_balanced_at_every_full_turn(seed, turns):
    order = draw_history(BALANCED, LABELS, 4 * turns, np.random.default_rng(seed))

    assert set(Counter(LABELS[order].tolist()).values()) == {turns}


@given(seeds)
def test_equal_shares_use_all_clips_and_unequal_ones_keep_their_shares(seed):
    rng = np.random.default_rng(seed)

    assert len(draw_history(BALANCED, LABELS, 99, rng)) == len(LABELS)
    mostly = LABELS[draw_history(MOSTLY_NEUTRAL, LABELS, 99, rng)]
    # Twelve neutral clips are 70 % of 17; the 18th would be the thirteenth.
    assert 16 <= len(mostly) <= 18
    assert (mostly == 2).sum() == 12


def test_a_content_is_met_where_all_its_emotions_are_there():
    assert BALANCED.is_met(LABELS)
    assert not BALANCED.is_met(LABELS[:-3])  # no sadness
    assert MISSING[3].is_met(LABELS[:-3])
    assert not PAIRS[0].is_met(np.array([0, 0]))


def test_mostly_neutral_histories_are_exact_at_twenty():
    labels = np.repeat(np.arange(4), 50)
    order = draw_history(MOSTLY_NEUTRAL, labels, 20, np.random.default_rng(0))

    assert Counter(labels[order].tolist()) == {0: 2, 1: 2, 2: 14, 3: 2}


@given(seeds, st.integers(1, 30))
def test_statistics_of_many_windows_are_those_of_windows_merged_one_by_one(seed, n):
    rng = np.random.default_rng(seed)
    card = make_card()
    voices = np.hstack(
        [4 * rng.normal(size=(n, 3)), rng.random((n, 1)), rng.normal(size=(n, 2))]
    ).astype(np.float32)

    found = statistics_of(card, voices)

    wanted = WindowStatistics.empty(3, 2)
    for voice in voices:
        wanted = wanted.with_window(voice.astype(np.float64), 0)
    np.testing.assert_array_equal(found.cells, wanted.cells)
    for name in ("weights", "sums", "mean", "scatter"):
        a, b = getattr(found, name), getattr(wanted, name)
        np.testing.assert_allclose(a, b, atol=1e-9)
    assert found.n_windows == n


def test_a_setting_counts_every_recording_once(material):
    clips, card = material.clips, material.card
    rows = np.arange(10)

    found = clips.statistics(card, rows, setting=True)

    wanted = WindowStatistics.empty(3, 2)
    for row in rows:
        wanted = wanted.merged(clips.statistics(card, np.array([row])).as_one())
    np.testing.assert_allclose(found.weights, wanted.weights, atol=1e-12)
    np.testing.assert_allclose(found.sums, wanted.sums, atol=1e-12)
    assert found.weight == pytest.approx(9.9)  # 1 % of each is no speech


def test_without_a_history_clips_are_as_the_plain_model_says(material):
    clips = material.clips
    rows = np.array([5, 6, 7])

    found = clips.predict(material.card, rows, None)

    windows = [clips.plain[clips.starts[i] : clips.starts[i + 1]] for i in rows]
    np.testing.assert_allclose(found, [w.mean(0) for w in windows], atol=1e-7)


def test_without_calm_all_that_is_left_is_the_same(material):
    clips = material.clips
    kept = np.flatnonzero(~clips.calm)

    found = clips.without_calm("rest")

    assert len(found) == len(kept)
    everything = np.arange(len(found))
    np.testing.assert_array_equal(
        found.predict(material.card, everything, None),
        clips.predict(material.card, kept, None),
    )
    assert found.starts[-1] == len(found.plain) == len(found.voices)


def test_a_tally_gives_the_scores_and_the_paired_interval_of_the_bootstrap(material):
    clips, rng = material.clips, np.random.default_rng(0)
    plain = clips.predict(material.card, material.scored, None)
    other = rng.dirichlet([1, 1, 1, 1], len(plain))
    tally = Tally(clips.speakers, 0.6)
    # In two parts, as clips come from several histories.
    for rows in (material.scored[:7], material.scored[7:]):
        labels, names = clips.labels[rows], clips.speakers[rows]
        tally.add(labels, names, plain[rows], other[rows], 3)

    paired = tally.paired()

    wanted = score(clips.labels, other)
    found = paired.scores("x", "adapted")
    assert found["ua"][0] == pytest.approx(wanted.ua)
    assert found["ece"][0] == pytest.approx(wanted.ece)
    certain = other.max(1) >= 0.6
    assert found["certain"][0] == pytest.approx(certain.mean())
    right = (other.argmax(1) == clips.labels)[certain].mean()
    assert found["right"][0] == pytest.approx(right)
    difference = compare(clips.labels, plain, other, clips.speakers.tolist())["ua"]
    change = paired.scores("x")["ua"]
    assert change[0] == pytest.approx(difference.difference)
    ends = np.percentile(change[1:], [2.5, 97.5])
    interval = difference.interval
    np.testing.assert_allclose(ends, [interval.low, interval.high], atol=0.02)


def test_a_history_helps_where_speakers_differ_and_more_of_it_more(material):
    found = score_speakers(material, [(BALANCED, 4), (SINGLE[0], 3)])

    change = {name: paired.scores("x")["ua"][0] for name, paired in found.items()}
    assert change[ALL] > 0.05
    assert change[ALL] >= change[condition_name(BALANCED, 4)]
    assert found[ALL].n_mean == 23


def test_no_clip_is_in_its_own_history(material, monkeypatch):
    clips = material.clips
    heard = []
    real = Clips.statistics

    def spy(self, card, rows, **options):
        heard.append(rows)
        return real(self, card, rows, **options)

    monkeypatch.setattr(Clips, "statistics", spy)
    score_speakers(material, [(BALANCED, 4)])

    scored = np.tile(material.scored, 2)
    assert len(heard) == len(scored)
    for clip, rows in zip(scored, heard, strict=True):
        assert clip not in rows
        assert set(clips.speakers[rows]) == {clips.speakers[clip]}


def test_settings_score_the_other_clips_and_all_are_scored_once_by_nine_tenths(
    material,
):
    found = score_settings(material, [(BALANCED, 8)])

    n = len(material.clips)
    counts = {name: paired.sums[0, :, :16].sum() for name, paired in found.items()}
    assert counts[condition_name(BALANCED, 8)] == material.n_draws * (n - 8)
    assert counts[NINE_TENTHS] == n


def test_a_setting_leaves_clips_of_every_emotion_to_be_scored(material):
    found = score_settings(material, [(ALMOST_NEUTRAL, 100), (SINGLE[0], 100)])

    for paired in found.values():
        actual = paired.sums[0, :, :16].sum(0).reshape(4, 4).sum(1)
        assert (actual > 0).all()


def test_both_and_archives_score_the_same_clips(material):
    n = len(material.clips)
    found = score_both(material, n_setting=12, n_speaker=4) | score_archive(material)

    counts = {name: paired.sums[1, :, :16].sum() for name, paired in found.items()}
    assert counts.pop("setting of others") == 2 * n  # once for either history
    assert set(counts.values()) == {n}
    change = {name: paired.scores("x")["ua"][0] for name, paired in found.items()}
    assert change["archive with speakers' names"] > 0.05


def test_notes_of_one_emotion_are_scored_as_a_whole(material):
    found = score_windows_as_notes(material, sizes=(4,), n_notes=4)

    assert {name.rpartition(": ")[2] for name in found} == {"windows", "whole note"}
    whole = found["4 windows, one emotion: whole note"]
    assert whole.sums[0, :, :16].sum() == 24  # as many of each speaker
    assert "4 windows, four emotions: whole note" not in found


def test_rates_tell_voices_apart():
    clips = make_clips(n_speakers=3, n_each=48, moved=0.0)
    card = make_card(distance_limit=4.0, spread_limit=3.0)
    material = Material(clips, card, 0.6, np.arange(len(clips)), n_draws=4)

    fit, wide = voice_rates(material), spread_rates(material)

    rate = {name: found.draws("x")[0] for name, found in (fit | wide).items()}
    assert rate["the same voice"] < 0.1
    assert rate["other voices"] > 0.6
    assert rate["40 clips of one voice"] < 0.2
    assert rate["40 clips of two voices"] > 0.6


def test_the_voice_rate_is_of_clips_outside_the_profile():
    clips = make_clips(n_speakers=2, n_each=24)
    material = Material(clips, make_card(), 0.6, np.arange(48), n_draws=5)

    found = voice_rates(material)

    assert found["the same voice"].counts[:, 0].tolist() == [20, 20]  # 24 - 20, 5 times
    assert found["other voices"].counts[:, 0].tolist() == [120, 120]


def test_what_is_no_speech_stays_as_uncertain_under_a_profile(material):
    plain = np.full((3, 4), 0.25, np.float32)
    voices = np.zeros((3, 6), np.float32)
    voices[:, 3] = 1

    found = noise_rates(material, plain, voices)

    assert found["plain"].draws("x")[0] == found["under a profile"].draws("x")[0] == 1


def test_a_rate_has_the_share_of_all_cases():
    found = Rate(np.array([[10.0, 1.0], [30.0, 9.0]])).draws("x")

    assert found[0] == 0.25
    assert found[1:].min() == pytest.approx(0.1)
    assert found[1:].max() == pytest.approx(0.3)


def test_other_settings_are_cards_and_change_what_they_say(material):
    history = material.clips.statistics(material.card, np.arange(12))
    found = variants(material.card)

    rows = np.arange(12, 24)
    said = {
        title: material.clips.predict(card, rows, infer(card, history)).tobytes()
        for title, card in found.items()
    }
    # All histories are shorter than "most 20" allows.
    assert len(set(said.values())) == len(said) - 1
    for card in found.values():
        AdaptationCard.from_dict(card.to_dict())  # raises for impossible settings


def test_tables_have_means_over_the_corpora_that_count(material):
    found = score_speakers(material, [(BALANCED, 4)])
    parts = {"speakers": found}
    cases = [
        Case("a", "A", parts=parts),
        Case("b", "B", parts=parts),
        Case("c", "C", averaged=False, parts=parts),
    ]

    tables = {table.name: table for table in all_tables(cases)}

    row = tables["speakers-ua-change"].rows[ALL]
    assert [*row] == [MEAN, "A", "B", "C"]
    assert row[MEAN].value == pytest.approx(row["A"].value)
    # Speakers of the two corpora are resampled apart.
    low, high = row[MEAN].interval.low, row[MEAN].interval.high
    assert high - low < row["A"].interval.high - row["A"].interval.low
    assert changes(cases, "speakers")[ALL, "B"] == pytest.approx(row["B"].value)
    assert "| balanced, 4 | +" in tables["speakers-ua-change"].to_markdown()
    assert tables["speakers-clips"].rows[ALL]["A"].value == 23


def test_a_selection_takes_speakers_and_labels_in_turn():
    utterances = [
        Utterance(f"{n}", f"{n}.wav", f"s{n % 3}", "", [*Emotion][n % 4], "made up")
        for n in range(60)
    ]

    found = choose(utterances, 24)

    counts = Counter((u.speaker, u.emotion) for u in found)
    assert set(counts.values()) == {2}
    assert found == sorted(found, key=lambda u: int(u.id))
    assert choose(utterances, 99) == utterances


def test_distances_and_spreads_are_those_of_the_runtime(material):
    clips, card = material.clips, material.card
    own = clips.statistics(card, np.arange(12))
    far = clips.statistics(card, np.arange(24, 36))

    assert distance(far, own) > 1
    assert spread(own.merged(far)) > spread(own)


def test_notes_are_judged_as_the_analyzer_adapts_to_one_recording(note):
    classifier = load_classifier(find_model(DEFAULT))
    card = classifier.require_adaptation()

    plain = Analyzer(classifier, threads=1, voices=True).analyze(note)
    adapted = Analyzer(classifier, threads=1, adapt=True).analyze(note)

    rows = to_rows(plain.estimates)
    found = adapt(card, infer(card, plain.statistics), rows, plain.voices)
    wanted = to_rows(adapted.estimates)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_emotion_of_a_window_is_that_of_the_clip_it_overlaps_most():
    def span(start, end):
        return Segment(start, end)

    windows = [span(0, 40), span(40, 110), span(200, 230), span(300, 400)]
    clips = (span(0, 50), span(60, 120), span(220, 250))
    labels = np.array([1, 3, 0])

    assert truth_of(windows, clips, labels).tolist() == [1, 3, 0, -1]


def test_a_model_is_not_studied_on_what_it_heard(shared, tmp_path, capsys):
    corpus = str(shared / "corpora" / "emodb")

    code = main(["--case", "espressivo-tiny", "emodb", corpus, "--out", str(tmp_path)])

    assert code == 1
    assert "was trained on emodb" in capsys.readouterr().err
    assert not (tmp_path / "tables.csv").exists()


def test_a_study_of_recordings_resumes_and_writes_tables_and_figures(
    tmp_path, capsys, note, shared
):
    from tests.training.runs_to_export import write_corpus

    manifest = write_corpus(tmp_path, note)
    out = tmp_path / "report"
    case = ["--case", DEFAULT, "manifest", str(manifest), "--out", str(out)]
    options = ["--noise", str(shared / "noise"), "--draws", "2", "--notes", "3"]
    parts = ["--parts", "speakers", "settings", "notes", "noise"]

    assert main([*case, *options, *parts]) == 0

    text = (out / "adaptation.md").read_text()
    assert capsys.readouterr().out == text + "\n"
    rows = read_rows(out / "tables.csv")
    tables = {row["table"] for row in rows}
    assert {"speakers-ua-change", "settings-ece-adapted", "noise"} <= tables
    (about,) = read_rows(out / "cases.csv")
    assert (about["clips"], about["speakers"]) == ("16", "2")
    assert about["sha256"] == load_classifier(find_model(DEFAULT)).card.sha256
    for name in ("speakers.png", "settings.png"):
        assert (out / name).stat().st_size > 10_000
    # A second run reads what the first one computed, and no recording.
    for utterance in read_corpus("manifest", manifest):
        utterance.path.write_bytes(b"")
    for path in out.glob("*.*"):
        path.unlink()
    assert main([*case, *options, *parts]) == 0
    assert read_rows(out / "tables.csv") == rows
