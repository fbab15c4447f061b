from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.audio.arrays import ArrayRecording, from_array
from espressivo.audio.ffmpeg import Resampler, capped
from espressivo.audio.recording import Recording
from espressivo.errors import AudioError
from tests.recordings import encode

RATES = [1000, 7_999, 8_000, 11_025, 15_999, 16_001, 22_050, 44_100, 48_000, 96_000]
RATES += [192_000, 384_000, 1_000_000]


def _noise(n, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


@given(st.sampled_from(RATES), st.integers(0, 50_000))
def test_as_many_samples_come_out_as_go_in(rate, n):
    signal = from_array(_noise(n), rate)

    assert abs(len(signal) - n * 16_000 / rate) <= 1
    assert signal.dtype == np.float32


@pytest.mark.parametrize("rate", RATES)
def test_pieces_are_resampled_as_the_whole(rate):
    whole = _noise(3 * rate + 17)
    resampler = Resampler(rate)

    at_once = np.concatenate([*resampler.push(whole), *resampler.finish()])

    np.testing.assert_array_equal(from_array(whole, rate), at_once)


def test_a_length_that_does_not_fit_is_an_error():
    resampler = Resampler(48_000)
    with capped():
        resampler.push(np.zeros(2**25 + 1, np.float32))  # FFmpeg fails without a word

    with pytest.raises(AudioError, match=r"became 0 at 16000 Hz instead of 11184811"):
        resampler.finish()


def test_speech_at_the_end_of_a_long_array_is_found(analyzer, note):
    rate, minutes = 48_000, 12  # 2**25 samples are 11.7 minutes
    samples = np.zeros(minutes * 60 * rate, np.float32)
    speech = np.repeat(note[: 8 * 16_000], 3)
    samples[-len(speech) :] = speech

    report = analyzer.analyze(samples, sample_rate=rate)

    assert report.duration_s == minutes * 60
    begin_s = minutes * 60 - 8
    alone = analyzer.analyze(speech, sample_rate=rate)
    found = [(s.start_s - begin_s, s.end_s - begin_s) for s in report.segments]
    expected = [(s.start_s, s.end_s) for s in alone.segments]
    assert len(expected) >= 1
    np.testing.assert_allclose(found, expected, atol=0.033)  # one frame


@pytest.mark.parametrize(
    ("hours", "rate", "dtype", "shape"),
    [
        (0.4, 48_000, "f4", "one"),
        (2, 44_100, "f8", "one"),
        (2, 44_100, "i2", "one"),
        (1, 48_000, "i4", "one"),
        (1, 16_000, "u1", "one"),
        (0.5, 44_100, "f8", "rows"),
        (0.5, 44_100, "i2", "columns"),
    ],
)
def test_memory_does_not_grow_with_the_array(hours, rate, dtype, shape):
    n = round(3600 * hours * rate)
    sizes = {"one": (n,), "rows": (2, n), "columns": (n, 2)}
    # One sample that stands for all: the array itself costs nothing.
    samples = np.broadcast_to(np.zeros((), dtype), sizes[shape])
    from_array(samples[:rate] if shape != "rows" else samples[:, :rate], rate)
    tracemalloc.start()
    try:
        n_out = sum(map(len, ArrayRecording(samples, rate).blocks()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert abs(n_out - n * 16_000 / rate) <= 1
    assert peak < 24e6  # a block of 30 s, twice, and some seconds of the array


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_an_analysis_takes_no_copy_of_a_long_array():
    code = """if True:
        import re, numpy as np, espressivo

        def peak_kb():
            status = open("/proc/self/status").read()
            return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])

        analyzer = espressivo.load_model()
        samples = np.broadcast_to(np.float64(0.01), 24 * 60 * 48_000)
        analyzer.analyze(samples[: 90 * 48_000], sample_rate=48_000)
        before = peak_kb()
        report = analyzer.analyze(samples, sample_rate=48_000)
        print(report.duration_s, peak_kb() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )

    duration_s, grown_kb = done.stdout.split()
    assert float(duration_s) == 24 * 60
    assert int(grown_kb) < 60_000  # as float32 at 16 kHz, the whole takes 92 MB


def _memory_map(samples, folder):
    path = folder / "samples.npy"
    np.save(path, samples)
    return np.load(path, mmap_mode="r")


def _every_second(samples, _):
    return np.repeat(samples, 2)[::2]


def _backwards(samples, _):
    return samples[::-1].copy()[::-1]


def _read_only(samples, _):
    samples = samples.copy()
    samples.flags.writeable = False
    return samples


def _buffer(samples, _):
    return memoryview(samples)


def _listed(samples, _):
    return list(samples)


LAYOUTS = [_memory_map, _every_second, _backwards, _read_only, _buffer, _listed]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__[1:])
@pytest.mark.parametrize("dtype", ["i2", "i4", "u1", "f2", "f4", "f8", ">i2", ">f4"])
def test_layout_and_type_change_nothing(tmp_path, layout, dtype):
    if layout is _buffer and dtype[0] == ">":
        pytest.skip("Python has no such buffers")
    coarse = np.round(_noise(30_000) * 64).clip(-100, 100) / 128  # exact in 8 bits
    full = {"i2": 2**15, "i4": 2**31, "u1": 2**7}.get(dtype[-2:], 1)
    samples = (coarse * full + (128 if dtype == "u1" else 0)).astype(dtype)

    found = from_array(layout(samples, tmp_path), 44_100)

    np.testing.assert_array_equal(found, from_array(coarse, 44_100))


def test_tensors_are_arrays():
    torch = pytest.importorskip("torch")
    signal = _noise(16_000)

    np.testing.assert_array_equal(from_array(torch.tensor(signal), 16_000), signal)
    with pytest.raises(AudioError, match=r"Tensor cannot be made an array .*grad"):
        from_array(torch.tensor(signal, requires_grad=True), 16_000)


def test_the_result_is_the_callers_own():
    signal = _noise(1000)
    before = signal.copy()

    found = from_array(signal, 16_000)
    found[:] = 0

    np.testing.assert_array_equal(signal, before)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_are_mixed_as_those_of_a_file(tmp_path, note, rate, channels):
    samples = np.tile(note[:160_000], (channels, 1))
    path = encode(tmp_path / "note.mka", note[:160_000], channels=channels)
    recording = Recording(path)
    from_file = np.concatenate(list(recording.blocks()))

    for layout in (samples, samples.T, np.asfortranarray(samples)):
        heard = ArrayRecording(layout, rate)
        signal = np.concatenate(list(heard.blocks()))
        assert heard.channels == recording.channels
        assert heard.warnings == []
        assert heard.duration_s == 160_000 / rate
        if rate == 16_000:
            np.testing.assert_allclose(signal, from_file, atol=1e-6)
        np.testing.assert_allclose(signal, from_array(samples[0], rate), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("suffix", ["wav", "m4a", "mp3", "ogg"])
def test_the_bytes_of_a_file_are_no_samples(tmp_path, note, suffix, dtype):
    content = encode(tmp_path / f"x.{suffix}", note).read_bytes()
    samples = np.frombuffer(content[: len(content) // 2 * 2], dtype)

    with pytest.raises(AudioError, match="pass the bytes as they are"):
        from_array(samples, 16_000)


def test_channels_that_cancel_are_not_mixed(analyzer, note):
    report = analyzer.analyze(np.stack([note, -note], axis=1))

    alone = analyzer.analyze(note)
    assert report.segments == alone.segments
    assert report.channels == "left"
    assert "the channels cancel" in report.warnings[0]


@pytest.mark.parametrize(
    "shape", [(), (50, 50), (2, 199), (199, 2), (33, 100_000), (1, 2, 1000), (0, 50)]
)
def test_a_shape_that_is_not_clear(shape):
    with pytest.raises(AudioError, match="shape is"):
        from_array(np.zeros(shape, np.float32), 16_000)


@pytest.mark.parametrize("shape", [(0,), (0, 1), (0, 2), (2, 0)])
def test_no_samples_are_an_empty_signal(analyzer, shape):
    samples = np.zeros(shape, np.float32)

    assert from_array(samples, 44_100).shape == (0,)
    assert analyzer.analyze(samples).duration_s == 0


@pytest.mark.parametrize(
    "rate",
    [0, -1, 48, 44.1, 44_100.5, np.nan, np.inf, None, "16000", 2**31, 10**30, 1j],
)
def test_a_rate_that_is_none(rate):
    with pytest.raises(AudioError, match="sample rate is"):
        from_array(_noise(100), rate)


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("layout", [(-1,), (-1, 2), (2, -1)])
def test_a_few_samples_that_are_not_finite_are_silence(rate, layout):
    bad = [70_000, 70_001, 150_000]
    clean = _noise(200_000).reshape(layout)
    broken = clean.astype(np.float64)
    axis = int(np.argmax(clean.shape))
    index = [0] * clean.ndim
    for at, value in zip(bad, (np.nan, np.inf, -np.inf), strict=True):
        index[axis] = at // clean.ndim
        clean[tuple(index)] = 0
        broken[tuple(index)] = value
    first, n = bad[0] // clean.ndim, clean.shape[axis]
    n_bad = len({at // clean.ndim for at in bad})

    told = rf"sample {first} is NaN or infinite \({n_bad} of {n} are\)"
    with pytest.warns(RuntimeWarning, match=told):
        found = from_array(broken, rate)

    np.testing.assert_array_equal(found, from_array(clean, rate))


def test_a_report_tells_what_was_not_finite(analyzer, note):
    broken = note.copy()
    broken[5000] = np.nan

    report = analyzer.analyze(broken, name="call 7")

    assert report.segments == analyzer.analyze(note).segments
    (warning,) = report.warnings
    assert warning == (
        f"call 7: sample 5000 is NaN or infinite (1 of {len(note)} are); they were "
        "taken as silence"
    )


@pytest.mark.parametrize("at", [0, 1_000_000])
def test_too_much_that_is_not_finite_is_refused(at):
    broken = np.zeros(2_000_000, np.float32)
    broken[at : at + 21_000] = np.nan

    told = rf"sample {at} is NaN or infinite \(21000 of 2000000 are\); repair"
    with pytest.raises(AudioError, match=told):
        from_array(broken, 48_000)


@pytest.mark.parametrize("at", [0, 1_999_999])
def test_a_wrong_scale_is_found_wherever_it_is(at):
    loud = np.zeros(2_000_000, np.float32)
    loud[at] = -20_000
    loud[1000] = np.nan

    with pytest.raises(AudioError, match=r"largest sample is 20000, not within -1..1"):
        ArrayRecording(loud, 48_000)
