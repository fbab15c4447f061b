"""Copies of clips in other conditions: length, alignment, level, band, SNR."""

from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.errors import ConfigError
from espressivo.training.clips import codecs, conditions
from espressivo.training.clips.batches import make_batches
from espressivo.training.clips.conditions import (
    CONDITIONS,
    EVALUATED,
    Condition,
    apply_condition,
    condition_key,
    require_conditions,
    utterance_seed,
)
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.preprocess import trim
from espressivo.training.clips.surroundings import (
    N_VOICES,
    Surroundings,
    choose_voices,
    impulse_response,
    noise_files,
    rms,
)
from espressivo.training.config import AugmentConfig, ConditionName
from espressivo.training.fit.predict import apply_to_clips
from espressivo.types import SAMPLE_RATE
from tests.recordings import encode


@pytest.fixture(scope="module")
def noise_folder(tmp_path_factory):
    """Two noises for training, below 1 kHz, and two for evaluation, above 5 kHz."""
    folder = tmp_path_factory.mktemp("noise")
    for n in range(4):
        white = np.random.default_rng(n).normal(0, 0.2, 32_000)
        spectrum = np.fft.rfft(white)
        hz = np.fft.rfftfreq(32_000, 1 / SAMPLE_RATE)
        spectrum[(hz < 5000) if n % 2 else (hz > 1000)] = 0
        sound = np.fft.irfft(spectrum).astype(np.float32)
        encode(folder / f"{n}.wav", sound)
    return folder


@pytest.fixture
def around(noise_folder, clips):
    return Surroundings(noise_folder, clips)


@pytest.fixture(scope="module")
def speech(note):
    return note[8_000:72_001]  # of odd length


def share_below(signal, cutoff_hz):
    power = np.square(np.abs(np.fft.rfft(signal)))
    hz = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE)
    return power[hz < cutoff_hz].sum() / power.sum()


def delay(copy, signal):
    n = 2 * len(signal)
    product = np.fft.rfft(copy, n) * np.conj(np.fft.rfft(signal, n))
    at = int(np.argmax(np.fft.irfft(product, n)))
    return at if at < len(signal) else at - n


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_copy_is_as_long_as_the_signal_and_determined_by_the_seed(
    name, speech, around
):
    for n in (1, 50, 3_001, len(speech)):
        signal = speech[-n:].copy()
        kept = signal.copy()
        copy = apply_condition(name, signal, 7, around, "nobody")
        assert copy.shape == signal.shape
        assert copy.dtype == np.float32
        assert np.isfinite(copy).all()
        assert np.array_equal(signal, kept)
        again = apply_condition(name, signal, 7, around, "nobody")
        assert np.array_equal(copy, again)


@pytest.mark.parametrize("name", CONDITIONS)
def test_silence_and_nothing_are_no_error(name, around):
    assert len(apply_condition(name, np.zeros(0, np.float32), 0, around)) == 0
    silence = np.zeros(8_000, np.float32)
    # A lossy codec may make something of silence, but nothing that is heard.
    assert np.abs(apply_condition(name, silence, 0, around)).max() < 1e-3


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_copy_is_aligned(name, speech, around):
    copy = apply_condition(name, speech, 3, around)
    assert abs(delay(copy, speech)) <= 8  # 0.5 ms


@pytest.mark.parametrize("name", CONDITIONS)
def test_no_level_but_that_of_quiet_and_added_sound_changes(name, speech, around):
    for gain in (1, 0.05):
        copy = apply_condition(name, gain * speech, 3, around)
        level_db = 20 * np.log10(rms(copy) / rms(gain * speech))
        if name == "quiet":
            assert level_db == pytest.approx(-40, abs=0.5)
        elif name.startswith(("noise", "babble")):
            assert level_db >= -0.2
        else:
            assert level_db == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("name", ["telephone", "gsm", "amr"])
def test_a_telephone_ends_at_4_khz_and_starts_at_300_hz(name, around):
    white = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    copy = apply_condition(name, white, 0, around)
    assert share_below(copy, 4_050) > 0.99
    assert share_below(copy, 200) < 0.03


def test_the_telephone_is_g711(speech, around):
    """The samples at 8 kHz are on the 255 steps of mu-law."""
    narrow = codecs.telephone_band(speech)
    copy = codecs.MU_LAW(speech)
    # Its quantization error is 35 to 40 dB below speech.
    wide = np.interp(np.arange(len(speech)) / 2, np.arange(len(narrow)), narrow)
    assert np.corrcoef(copy, wide)[0, 1] > 0.99
    spread = copy - codecs.AvCodec("wav", "pcm_s16le", narrow=True)(speech)
    assert -45 < 20 * np.log10(rms(spread) / rms(copy)) < -30


@pytest.mark.parametrize(
    ("name", "snr_db"), [(f"noise-{n}", n) for n in (20, 10, 5, 0)]
)
def test_noise_is_added_at_its_ratio_to_the_speech(name, snr_db, speech, around):
    # The level is that of the speech, so silence before it changes nothing.
    signal = np.concatenate([np.zeros(32_000, np.float32), speech])
    copy = apply_condition(name, signal, 1, around)
    noise = copy - signal
    found = 20 * np.log10(rms(trim(signal)) / rms(noise))
    assert found == pytest.approx(snr_db, abs=0.1)


def test_training_and_evaluation_share_no_noise_and_no_room(
    noise_folder, speech, around
):
    training = replace(around, training=True)
    files = {p: set(noise_files(noise_folder, training=p)) for p in (True, False)}
    assert files[True] | files[False] == set(noise_folder.iterdir())
    assert not files[True] & files[False]
    for seed in range(6):
        low = apply_condition("noise-0", speech, seed, training) - speech
        high = apply_condition("noise-0", speech, seed, around) - speech
        assert share_below(low, 1_100) > 0.95
        assert share_below(high, 4_900) < 0.05
        rooms = [apply_condition("room", speech, seed, s) for s in (training, around)]
        assert not np.allclose(*rooms, atol=1e-4)


def test_babble_is_of_other_speakers(clips, speech, noise_folder):
    speakers = sorted({clip.utterance.speaker for clip in clips})
    own = [clip for clip in clips if clip.utterance.speaker == speakers[0]]
    other = next(clip for clip in clips if clip.utterance.speaker != speakers[0])
    around = Surroundings(noise_folder, [*own, other])
    added = apply_condition("babble-10", speech, 0, around, speakers[0]) - speech
    # Of one other voice there is only this, looped from somewhere.
    looped = np.resize(other.signal, len(speech))
    n = 2 * len(speech)
    product = np.fft.rfft(added, n) * np.conj(np.fft.rfft(looped, n))
    match = np.fft.irfft(product, n).max() / (rms(added) * rms(looped) * len(speech))
    assert match > 0.5
    assert 20 * np.log10(rms(trim(speech)) / rms(added)) == pytest.approx(10, abs=0.1)


def test_voices_are_of_as_many_speakers_as_possible(utterances):
    many = [
        replace(u, id=f"{u.id}-{n}", speaker=f"{u.speaker}-{n}")
        for u in utterances
        for n in range(20)
    ]
    chosen = choose_voices(many)
    assert len(chosen) == N_VOICES
    assert len({u.speaker for u in chosen}) == N_VOICES
    assert choose_voices(many[::-1]) == chosen
    assert len(choose_voices(utterances[:2])) == 2


@pytest.mark.parametrize("seed", range(8))
def test_rooms_reverberate_for_0_3_to_0_9_s(seed):
    response = impulse_response(np.random.default_rng(seed)).astype(np.float64)
    assert response[0] == 1
    tail = np.square(response[40:])
    assert -10.01 <= 10 * np.log10(tail.sum()) <= 0.01
    # Schroeder's integral falls by 20 dB in a third of the reverberation time.
    decay_db = 10 * np.log10(tail[::-1].cumsum()[::-1] / tail.sum())
    five, twenty_five = np.searchsorted(-decay_db, [5, 25])
    assert 0.25 < 3 * (twenty_five - five) / SAMPLE_RATE < 0.95


def test_seeds_differ_by_run_utterance_condition_epoch_and_draw():
    which = [*((name,) for name in EVALUATED), *product((0, 1), (0, 1))]
    seeds = {
        utterance_seed(seed, utterance, *one)
        for seed, utterance, one in product((0, 1), ("a/1", "a/2"), which)
    }
    assert len(seeds) == 4 * len(which)


def test_seeds_are_those_of_saved_runs():
    """Else a resumed run would go on with other noise."""
    assert utterance_seed(5, "tess/a", "room") == 13103448539856300868
    assert utterance_seed(5, "tess/a", 3, 1) == 10547784993194745892


def test_keys_tell_conditions_parts_noises_and_voices_apart(around, tmp_path):
    names = [*EVALUATED, "varied"]
    assert len({condition_key(name, around) for name in names}) == len(names)
    training = replace(around, training=True)
    assert condition_key("room", training) != condition_key("room", around)
    for n in range(2):
        encode(tmp_path / f"{n}.wav", np.ones(1_600 * (n + 1), np.float32) / 2)
    elsewhere = replace(around, noise_folder=tmp_path)
    assert condition_key("noise-5", elsewhere) != condition_key("noise-5", around)
    assert condition_key("amr", elsewhere) == condition_key("amr", around)
    fewer = replace(around, voices=around.voices[1:])
    assert condition_key("babble-10", fewer) != condition_key("babble-10", around)


def test_what_is_missing_is_named(around, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no condition 'fax'; the conditions are cl"):
        require_conditions(["clean", "fax"], around)
    with pytest.raises(ConfigError, match=r"holds 0 noise recordings.*--noise DIR"):
        require_conditions(["noise-5"], replace(around, noise_folder=tmp_path))
    with pytest.raises(ConfigError, match="'babble-10' needs recordings of other"):
        require_conditions(["babble-10"], replace(around, voices=()))
    lacking = Condition("", codecs.MP3, ("libnothing",))
    monkeypatch.setitem(conditions.CONDITIONS, "mp3-32k", lacking)
    with pytest.raises(ConfigError, match="'mp3-32k' needs the encoder libnothing"):
        apply_condition("mp3-32k", np.ones(100, np.float32), 0, around)
    broken = replace(around, noise_folder=tmp_path / "broken")
    broken.noise_folder.mkdir()
    for n in range(2):
        (broken.noise_folder / f"{n}.wav").write_text("no sound")
    with pytest.raises(ConfigError, match="a noise recording; remove it"):
        apply_condition("noise-5", np.ones(100, np.float32), 0, broken)


@pytest.fixture
def batches(network, clips, config, noise_folder, tmp_path):
    augmentation = AugmentConfig(probability=0, noise_folder=str(noise_folder))
    config = replace(config, augmentation=augmentation, seed=5)
    return make_batches(FeatureExtractor(network, tmp_path), clips, config)


@pytest.mark.parametrize("name", ["telephone", "noise-5", "babble-10", "varied"])
def test_batches_in_a_condition_are_the_copies_in_order(
    name, batches, clips, noise_folder
):
    network = batches.extractor.network
    plain = apply_to_clips(batches, network.pooled)
    copies = batches.in_condition(name)
    assert np.array_equal(copies.labels, batches.labels)
    rows = apply_to_clips(copies, network.pooled)

    by_id = {clip.utterance.id: clip for clip in clips}
    voices = [by_id[u.id] for u in choose_voices([clip.utterance for clip in clips])]
    around = Surroundings(noise_folder, voices, training=True)
    made = []
    for clip in clips:
        seed = utterance_seed(5, clip.utterance.id, name)
        speaker = clip.utterance.speaker
        copy = apply_condition(name, clip.signal, seed, around, speaker)
        made.append(replace(clip, source=copy))
    config = batches.clips.config
    expected = make_batches(FeatureExtractor(network), made, config)
    expected_rows = apply_to_clips(expected, network.pooled)
    np.testing.assert_allclose(rows, expected_rows, atol=2e-2)  # the cache has fp16
    assert not np.allclose(rows, plain, atol=2e-2)

    # From the cache, which keeps copies and clips apart.
    assert np.array_equal(
        apply_to_clips(batches.in_condition(name), network.pooled), rows
    )
    clean = batches.in_condition(name).in_condition("clean")
    assert np.array_equal(apply_to_clips(clean, network.pooled), plain)


def test_copies_are_cached_where_the_clips_are_augmented(
    network, clips, config, tmp_path
):
    varying = replace(config, augmentation=AugmentConfig(probability=0.5))
    batches = make_batches(FeatureExtractor(network, tmp_path), clips, varying)
    rows = apply_to_clips(batches.in_condition("quiet"), network.pooled)
    assert len(list(tmp_path.rglob("*.npy"))) == len(clips)
    again = apply_to_clips(batches.in_condition("quiet"), network.pooled)
    assert np.array_equal(again, rows)


def test_the_project_noises_work(speech, shared):
    folder = shared / "noise"
    for training in (True, False):
        assert len(noise_files(folder, training=training)) == 30
        around = Surroundings(folder, training=training)
        for seed in range(40):
            copy = apply_condition("noise-10", speech, seed, around)
            assert rms(copy - speech) > 0


def test_every_condition_but_clean_can_be_trained_on():
    assert {"clean", *get_args(ConditionName)} == set(CONDITIONS)
