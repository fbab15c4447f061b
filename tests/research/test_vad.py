from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from espressivo.errors import CorpusError
from espressivo.model.find import find_model
from espressivo.training.corpora import read_corpus
from espressivo.training.scores.bootstrap import compare
from espressivo.training.scores.metrics import score
from espressivo.types import SAMPLE_RATE, Emotion, Segment
from research.held_out import require_held_out
from research.vad.__main__ import main
from research.vad.aggregation import (
    AGGREGATIONS,
    by_both,
    by_confidence,
    by_duration,
    confidence,
    mean,
    vote,
)
from research.vad.long_notes import (
    GAP_KINDS,
    Gaps,
    NoteClips,
    build_note,
    draw_clips,
    shares_found,
)
from research.vad.noises import Noise, pink_noise, read_noises
from research.vad.report import text_of
from research.vad.study import (
    ALL,
    Condition,
    IntervalScore,
    PredictedNotes,
    bootstrap_scores,
    pool,
    predict_notes,
    to_results,
)
from research.vad.windowing import (
    STRATEGIES,
    NotePredictions,
    PredictionCache,
    StrategyRunner,
    WindowPredictions,
)
from tests.recordings import encode

MODEL = "espressivo-tiny"
SECOND = SAMPLE_RATE


@pytest.fixture(scope="module")
def spoken(note):
    """Three clips of somebody angry."""
    clips = tuple(note[n * 40_000 : n * 40_000 + 20_000 + 500 * n] for n in range(3))
    return NoteClips(
        "mine/1/anger/0", "1", Emotion.ANGER, False, ("a", "b", "c"), clips
    )


@pytest.fixture(scope="module")
def noises():
    rng = np.random.default_rng(0)
    # One is silent but for an instant: it may not do for all gaps.
    click = np.zeros(5 * SECOND, np.float32)
    click[:800] = 0.5
    hiss = rng.normal(0, 0.1, 2 * SECOND).astype(np.float32)
    return [Noise("hiss", hiss), Noise("click", click)]


def parts(built):
    """Return the samples of a note's speech and of its gaps."""
    speech = np.zeros(len(built.signal), bool)
    for span in built.speech:
        speech[span.start : span.end] = True
    return built.signal[speech], built.signal[~speech]


@pytest.mark.parametrize("gaps", GAP_KINDS, ids=lambda gaps: gaps.name)
def test_a_note_is_what_it_says(spoken, noises, gaps):
    built = build_note(spoken, gaps, noises, seed=3)
    speech, between = parts(built)

    assert [s.n_samples for s in built.speech] == [len(s) for s in spoken.signals]
    assert np.abs(built.signal).max() == pytest.approx(0.95)
    if gaps.sound == "none":
        assert len(built.signal) == spoken.n_samples
        return
    assert len(between) == len(speech)  # half of it is gaps
    assert built.speech[0].start > 0
    assert built.speech[-1].end < len(built.signal)
    if gaps.snr_db is None:
        assert not between.any()
        return
    # Against the speech alone, at the level at which it is in this note.
    clean = np.concatenate(spoken.signals)
    scale = np.abs(build_note(spoken, GAP_KINDS[0], noises).signal).max()
    assert scale == pytest.approx(0.95)
    if not gaps.under:
        gain = np.abs(speech).max() / np.abs(clean).max()
        assert_allclose(speech, clean * gain, atol=1e-6)
        ratio = np.square(speech).mean() / np.square(between).mean()
        assert 10 * np.log10(ratio) == pytest.approx(gaps.snr_db, abs=0.01)


def test_noise_throughout_lies_under_the_speech_at_the_same_level(spoken, noises):
    hiss = noises[:1]
    built = build_note(spoken, Gaps("x", "noise", 10.0, under=True), hiss)
    speech, between = parts(built)
    clean = np.concatenate(spoken.signals)

    # What is left of it without the speech is as loud there as in the gaps.
    gain = float(np.dot(speech, clean) / np.dot(clean, clean))
    left = speech - gain * clean
    assert np.square(left).mean() == pytest.approx(np.square(between).mean(), rel=0.1)
    ratio = np.square(gain * clean).mean() / np.square(between).mean()
    assert 10 * np.log10(ratio) == pytest.approx(10, abs=0.3)


def test_gaps_of_all_kinds_lie_at_the_same_places(spoken, noises):
    notes = [build_note(spoken, gaps, noises, seed=1) for gaps in GAP_KINDS[1:]]

    assert len({built.speech for built in notes}) == 1
    assert len({built.noise for built in notes if built.noise}) == 1


def test_a_seed_makes_the_same_note_and_another_another(spoken, noises):
    one, same, other = (
        build_note(spoken, GAP_KINDS[3], noises, seed=s) for s in (1, 1, 2)
    )

    assert_array_equal(one.signal, same.signal)
    assert one.speech != other.speech


def test_pink_noise_falls_by_three_decibels_an_octave():
    power = np.square(
        np.abs(np.fft.rfft(pink_noise(1 << 18, np.random.default_rng(0))))
    )
    hz = np.fft.rfftfreq(1 << 18, 1 / SAMPLE_RATE)
    low, high = (power[(hz > f) & (hz < 2 * f)].mean() for f in (200, 400))

    assert 10 * np.log10(low / high) == pytest.approx(3, abs=0.2)


def test_how_much_of_speech_and_gaps_is_found(spoken, noises):
    built = build_note(spoken, GAP_KINDS[1], noises)
    whole = [Segment(0, len(built.signal))]

    assert shares_found(built, whole) == (1.0, 1.0)
    assert shares_found(built, built.speech) == (1.0, 0.0)
    assert shares_found(built, built.speech[:1])[0] == pytest.approx(
        len(spoken.signals[0]) / spoken.n_samples
    )
    assert np.isnan(shares_found(build_note(spoken, GAP_KINDS[0], []), whole)[1])


@pytest.fixture
def manifest(tmp_path, note):
    """Two speakers, four emotions, three clips of 3 s each; two of noise."""
    lines = ["path,emotion,speaker"]
    for n in range(24):
        start = 14_000 * n
        encode(tmp_path / f"{n}.wav", note[start : start + 3 * SECOND])
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},{n // 4 % 2}")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    hiss = np.random.default_rng(0).normal(0, 0.05, 2 * SECOND).astype(np.float32)
    (tmp_path / "noise" / "rain").mkdir(parents=True)
    encode(tmp_path / "noise" / "rain" / "1.wav", hiss)
    encode(tmp_path / "noise" / "2.wav", np.zeros(SECOND, np.float32))
    return tmp_path / "mine.csv"


def test_clips_are_of_one_speaker_and_emotion_and_in_one_note_only(manifest):
    utterances = read_corpus("manifest", manifest)
    notes = list(draw_clips(utterances, n_notes=9, speech_s=4.0, seed=0))
    by_id = {u.id: u for u in utterances}

    used = [clip for one in notes for clip in one.clips]
    assert len(used) == len(set(used))
    for one in notes:
        assert {by_id[clip].speaker for clip in one.clips} == {one.speaker}
        assert {by_id[clip].emotion for clip in one.clips} == {one.emotion}
        assert one.n_samples >= 4 * SECOND
    again = list(draw_clips(utterances, n_notes=9, speech_s=4.0, seed=0))
    other = list(draw_clips(utterances, n_notes=9, speech_s=4.0, seed=1))
    assert [one.clips for one in notes] == [one.clips for one in again]
    assert [one.clips for one in notes] != [one.clips for one in other]


def test_noise_is_read_from_subfolders_and_silence_is_not(manifest, tmp_path):
    (noise,) = read_noises(tmp_path / "noise")
    assert noise.name == "rain/1.wav"

    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="of noise"):
        read_noises(tmp_path / "empty")


ROWS = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.5, 0.3], [0.25, 0.25, 0.25, 0.25]])
LENGTHS = np.array([3, 1, 4])


def test_aggregations_by_hand():
    assert_allclose(mean(ROWS, LENGTHS), [0.35, 0.15, 0.85 / 3, 0.65 / 3])
    assert_allclose(
        by_duration(ROWS, LENGTHS), (3 * ROWS[0] + ROWS[1] + 4 * ROWS[2]) / 8
    )
    entropy = [
        -sum(p * np.log(p) for p in row) / np.log(4) for row in ROWS.tolist()
    ]  # the last is 1
    assert_allclose(confidence(ROWS), 1 - np.array(entropy), atol=1e-12)
    a, b = 1 - entropy[0], 1 - entropy[1]
    assert_allclose(by_confidence(ROWS, LENGTHS), (a * ROWS[0] + b * ROWS[1]) / (a + b))
    assert_allclose(
        by_both(ROWS, LENGTHS), (3 * a * ROWS[0] + b * ROWS[1]) / (3 * a + b)
    )
    # One vote each for the first (twice: a tie goes to the first) and the third.
    assert_allclose(vote(ROWS, LENGTHS), [2 / 3, 0, 1 / 3, 0], atol=1e-5)


def test_a_tied_vote_goes_to_the_more_probable():
    rows = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.0, 0.9, 0.0]])

    assert vote(rows, np.array([1, 1])).argmax() == 2


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_aggregations_give_probabilities(name):
    aggregate = AGGREGATIONS[name]
    assert aggregate(ROWS, LENGTHS).sum() == pytest.approx(1)
    assert_allclose(aggregate(ROWS[:1], LENGTHS[:1]).argmax(), 0)
    # Nobody is sure of anything.
    assert_allclose(aggregate(ROWS[2:], LENGTHS[2:])[1:], 0.25, atol=0.25)


def made_up(seed, n_speakers=4, names=("a", "b")):
    """Notes of made-up cache, with two kinds of gaps."""
    rng = np.random.default_rng(seed)
    found = []
    for name in names:
        spoken, predicted = [], []
        for n in range(4 * n_speakers * 2):
            emotion = [*Emotion][n % 4]
            speaker = f"s{n // 8}"
            spoken.append(NoteClips(f"{n}", speaker, emotion, n % 8 == 2, (), ()))
            strategies = {}
            for strategy, n_windows in (("whole", 1), ("fixed", 3), ("vad", 5)):
                rows = rng.dirichlet(np.ones(4) + 2 * np.eye(4)[n % 4], n_windows)
                strategies[strategy] = WindowPredictions(
                    rng.integers(1, 9, n_windows), rows
                )
            predicted.append(NotePredictions(strategies, 0.9, 0.1))
        gaps = Gaps(name, "silence")
        seconds = (40.0,) * len(spoken)
        found.append(PredictedNotes(gaps, tuple(spoken), tuple(predicted), seconds, ()))
    return found


def test_scores_and_intervals_are_those_of_the_other_reports():
    notes = made_up(0)
    cells = {cell.key: cell for cell in to_results(bootstrap_scores(notes, "x"))}
    labels = np.array([[*Emotion].index(s.emotion) for s in notes[0].spoken])
    answers = {
        strategy: np.array(
            [
                by_duration(
                    h.strategies[strategy].probabilities, h.strategies[strategy].lengths
                )
                for h in notes[0].predictions
            ]
        )
        for strategy in ("fixed", "vad")
    }
    wanted = score(labels, answers["vad"])
    speakers = [s.speaker for s in notes[0].spoken]
    change = compare(labels, answers["fixed"], answers["vad"], speakers)

    cell = cells[Condition("a", "vad", "duration")]
    assert cell.scores["ua"].value == pytest.approx(wanted.ua)
    assert cell.scores["ece"].value == pytest.approx(wanted.ece)
    assert cell.scores["brier"].value == pytest.approx(wanted.brier)
    assert cell.scores["recall sadness"].value == pytest.approx(wanted.recall[3])
    others = answers["vad"][labels != 2]
    assert cell.scores["neutral"].value == pytest.approx((others.argmax(1) == 2).mean())
    difference = cell.differences["fixed"]["ua"]
    assert difference.value == pytest.approx(change["ua"].difference)
    # The resamples are others than `compare` draws.
    assert difference.interval.low == pytest.approx(change["ua"].interval.low, abs=0.02)
    assert cell.scores["ua"].interval.low < wanted.ua < cell.scores["ua"].interval.high


def test_one_window_needs_no_aggregation_and_kinds_are_added_up():
    draws = bootstrap_scores(made_up(0), "x")

    whole = [key for key in draws if key.strategy == "whole"]
    assert {key.aggregation for key in whole} == {"duration"}
    values = [draws[Condition(g, "vad", "vote")]["brier"][0] for g in ("a", "b", ALL)]
    assert values[2] == pytest.approx((values[0] + values[1]) / 2)


def test_pooled_corpora_count_alike():
    draws = [
        bootstrap_scores(made_up(seed, n), f"{seed}")
        for seed, n in ((0, 3), (1, 7), (2, 1))
    ]
    key = Condition("a", "vad", "mean")

    two = pool(draws[:2])[key]["ua"]
    assert_allclose(two, (draws[0][key]["ua"] + draws[1][key]["ua"]) / 2)
    (cell, *_) = to_results(pool(draws))
    assert cell.scores["ua"].interval is None  # one of them has a single speaker


def test_calm_can_be_left_out():
    (notes, _) = made_up(0)
    kept = notes.without_calm()

    assert len(kept.spoken) == len(kept.predictions) == len(kept.seconds) == 28
    assert not any(s.calm for s in kept.spoken)


def test_a_way_differs_from_itself_by_nothing():
    notes = made_up(0)
    for one in notes:
        for predicted in one.predictions:
            predicted.strategies["fixed"] = predicted.strategies["vad"]

    for cell in to_results(bootstrap_scores(notes, "x")):
        if cell.key.strategy == "vad":
            assert set(cell.differences["fixed"].values()) <= {cell_zero(cell)}


def cell_zero(cell):
    interval = type(cell.scores["ua"].interval)(0.0, 0.0)
    return IntervalScore(0.0, interval)


def test_the_whole_is_heard_beyond_the_window_and_as_before_within(note):
    from research.vad.windowing import extend_positions

    runner = StrategyRunner(find_model(MODEL))
    unlimited = extend_positions(runner.classifier, find_model(MODEL))

    short = note[None, : 5 * SECOND]
    assert_allclose(unlimited(short), runner.classifier(short), atol=1e-6)
    assert unlimited(note[None]).sum() == pytest.approx(1, abs=1e-5)


def test_answers_are_kept_and_a_torn_line_is_heard_again(tmp_path, spoken, noises):
    runner = StrategyRunner(find_model(MODEL))
    path = tmp_path / "predictions.jsonl"
    (first, *_) = predict_notes(runner, PredictionCache(path), [spoken], noises)
    text = path.read_text()
    assert text.count("\n") == len(GAP_KINDS)

    path.write_text(text[: len(text) // 2])
    (again, *_) = predict_notes(runner, PredictionCache(path), [spoken], noises)
    lines = path.read_text().splitlines()
    whole = [line for line in lines if line.endswith("}") and line.startswith("{")]
    assert len(whole) >= len(GAP_KINDS)

    nobody = None  # all is known: no model is asked
    (known, *_) = predict_notes(
        type("Deaf", (), {"classifier": runner.classifier, "predict": nobody})(),
        PredictionCache(path),
        [spoken],
        noises,
    )
    for found in (again, known):
        for strategy, windows in first.predictions[0].strategies.items():
            other = found.predictions[0].strategies[strategy]
            assert_array_equal(other.lengths, windows.lengths)
            assert_array_equal(other.probabilities, windows.probabilities)


def test_a_model_that_heard_the_corpus_is_refused(manifest, capsys, tmp_path):
    folder = find_model(MODEL)
    require_held_out(folder, ["somebody"])
    with pytest.raises(CorpusError, match="was trained on emodb, tess"):
        require_held_out(folder, ["tess", "mine", "emodb"])

    out = tmp_path / "report"
    arguments = ["--noise", str(tmp_path / "noise"), "--out", str(out)]
    text = manifest.read_text().replace(
        "path,emotion,speaker", "path,emotion,speaker,corpus"
    )
    text = "\n".join(
        line if n == 0 else f"{line},tess" for n, line in enumerate(text.splitlines())
    )
    manifest.write_text(text)
    case = ["--case", MODEL, "manifest", str(manifest)]
    code = main([*case, *arguments])

    assert code == 1
    assert "was trained on tess" in capsys.readouterr().err
    assert not out.exists()


def test_the_study_of_a_small_tree(manifest, capsys, tmp_path):
    out = tmp_path / "report"
    case = [MODEL, "manifest", str(manifest)]
    arguments = ["--case", *case, "--confirm", *case, "--notes", "2"]
    arguments += ["--noise", str(tmp_path / "noise"), "--out", str(out)]

    assert main(arguments) == 0

    table = (out / "vad.md").read_text()
    assert capsys.readouterr().out.removesuffix("\n") == table
    assert "chose nothing" in table
    found = json.loads((out / "vad.json").read_text())
    assert found["schema"] == "espressivo.vad-study/1"
    assert [c["confirms"] for c in found["cases"]] == [False, True]
    (notes, *_) = found["cases"][0]["notes"]
    assert notes["notes"] + notes["unheard"] == 8
    rows = list(csv.DictReader((out / "vad.csv").read_text().splitlines()))
    assert {row["way"] for row in rows} == set(STRATEGIES)
    rivals = {"", "fixed", "whole", "vad", "duration"}
    assert {row["against"] for row in rows} == rivals
    assert (out / "vad.png").stat().st_size > 10_000

    # The second time all is known.
    written = (out / "predictions.jsonl").read_bytes()
    before = (out / "vad.json").read_bytes()
    assert main(arguments) == 0
    assert (out / "predictions.jsonl").read_bytes() == written
    assert (out / "vad.json").read_bytes() == before


def test_who_interrupts_is_told_how_to_go_on(manifest, capsys, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(StrategyRunner, "predict", interrupt)
    out = tmp_path / "report"
    arguments = ["--noise", str(tmp_path / "noise"), "--out", str(out)]
    code = main(["--case", MODEL, "manifest", str(manifest), *arguments])

    assert code == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_numbers_that_are_not_defined_are_left_empty():
    assert text_of(IntervalScore(float("nan"), None)) == ""
    assert text_of(IntervalScore(0.5, None)) == "50.0"


def test_a_note_in_which_no_speech_is_found_is_left_out_and_kept(tmp_path):
    silence = np.zeros(SECOND, np.float32)
    clips = (silence, silence)
    spoken = NoteClips("mine/1/anger/0", "1", Emotion.ANGER, False, ("a", "b"), clips)
    runner = StrategyRunner(find_model(MODEL))
    for _ in range(2):  # heard, then known
        cache = PredictionCache(tmp_path / "predictions.jsonl")
        found = cache.predict(runner, build_note(spoken, GAP_KINDS[1], []))
        assert found.strategies["vad"].probabilities.shape == (0, 4)
    (notes, *_) = predict_notes(runner, cache, [spoken], [Noise("hiss", silence + 0.1)])
    assert (notes.spoken, notes.without_speech) == ((), (spoken,))


def test_only_what_is_not_known_is_heard(spoken, noises):
    runner = StrategyRunner(find_model(MODEL))
    note = build_note(spoken, GAP_KINDS[1], noises)
    predicted = runner.predict(note)
    marked = {
        name: WindowPredictions(w.lengths, w.probabilities + 1)
        for name, w in predicted.strategies.items()
    }
    del marked["vad-short"]

    again = runner.predict(note, NotePredictions(marked, 0.5, 0.5))

    assert tuple(again.strategies) == STRATEGIES
    assert_array_equal(
        again.strategies["vad-short"].probabilities,
        predicted.strategies["vad-short"].probabilities,
    )
    assert again.strategies["vad"] is marked["vad"]
    assert again.speech_found == 0.5
