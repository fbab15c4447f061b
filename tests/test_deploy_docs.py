"""What can rot in docs/deploy.md and its samples; no compiler needed.

`frames`, `segments` and `windows` below are the samples' rules, line by line. Where one
of them fails because the package has changed, Speech.kt and Speech.swift must follow.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

import espressivo
from espressivo.model.find import find_model
from espressivo.speech import detector as speech
from espressivo.speech.detector import FRAME, SpeechDetector
from espressivo.speech.segments import SpeechOptions, find_segments
from espressivo.speech.windows import OFFSET, Windower
from espressivo.types import SAMPLE_RATE, Segment

DOCS = Path(__file__).parents[1] / "docs"
DEPLOY = DOCS / "deploy"
PAGE = (DOCS / "deploy.md").read_text("utf-8")
MODEL = find_model("espressivo-tiny")
CARD = json.loads((MODEL / "model.json").read_text("utf-8"))
GRAPHS = {
    "vad": speech._VAD,
    "model": MODEL / "model.onnx",
}
OPTIONS = SpeechOptions()
CONTEXT = speech._CONTEXT
NUMBERS = {
    "SAMPLE_RATE": SAMPLE_RATE,
    "FRAME": FRAME,
    "CONTEXT": CONTEXT,
    "LEVEL": speech._LEVEL,
    "DECAY_DB_S": speech._DECAY_DB_S,
    "SHORT": speech._SHORT,
    "LONG": speech.RECENT + 1,
    "FAR_ABOVE_DB": round(20 * np.log10(speech._FAR_ABOVE), 9),
    "ABOVE_DB": round(20 * np.log10(speech._ABOVE), 9),
    "LOUDEST": speech._LOUDEST,
    "QUIETEST": speech._QUIETEST,
    "THRESHOLD": OPTIONS.threshold,
    "RELEASE": OPTIONS.release,
    "MIN_SPEECH": OPTIONS.min_speech,
    "MIN_PAUSE": OPTIONS.min_pause,
    "OFFSET": OFFSET,
    "PAD": OPTIONS.pad,
}


def read(name):
    return (DEPLOY / name).read_text("utf-8")


def numbers_in(code):
    """Constants by name, in capitals: `FRAME` for Swift's `frame`, too."""
    found = re.findall(
        r"(?:const val|static let) (\w+)(?:: \w+)? = ([\d_.e-]+)f?", code
    )
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper(): float(value.replace("_", ""))
        for name, value in found
    }


@pytest.fixture(scope="module")
def sessions():
    return {
        name: ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        for name, path in GRAPHS.items()
    }


@pytest.mark.parametrize("name", ["Speech.kt", "Speech.swift"])
def test_samples_have_the_numbers_of_the_package(name):
    assert numbers_in(read(name)) == NUMBERS


@pytest.mark.parametrize("language", ["kt", "swift"])
def test_samples_name_what_the_graphs_take_and_give(language, sessions):
    code = read(f"Espressivo.{language}")
    feeds = re.findall(r'"(\w+)"(?: to|: try) tensor\(', code)
    runs = re.findall(r'run\((vad|model), input, ("[^)]*)\)', code)
    asked = {graph: re.findall(r'"(\w+)"', names) for graph, names in runs}

    inputs = {i.name for s in sessions.values() for i in s.get_inputs()}
    outputs = {n: [o.name for o in s.get_outputs()] for n, s in sessions.items()}
    assert set(feeds) == inputs
    assert asked == {"vad": outputs["vad"], "model": ["probabilities", "dimensions"]}
    assert outputs["model"] == ["probabilities", "embedding", "dimensions", "voice"]
    width = {i.name: i.shape for i in sessions["vad"].get_inputs()}
    assert numbers_in(code)["STATE"] == width["h"][-1] == width["c"][-1]
    assert "CONTEXT + FRAME" in code or "Speech.context + Speech.frame" in code
    for file in ("silero_vad.onnx", "model.onnx", "model.json"):
        assert f'"{file}"' in code


def test_samples_read_what_the_card_has():
    kotlin = read("Espressivo.kt")
    fields = read("Espressivo.swift").split("struct Card")[1].split("\n\n")[0]
    keys = ("format_version", "sample_rate_hz", "window_s", "min_s", "emotions")
    for key in (*keys, "dimensions"):
        assert key in CARD
        assert f'"{key}"' in kotlin
        assert re.search(rf"let .*\b{key}\b", fields)
    assert CARD["format_version"] == 1
    assert 'card.getString("sha256")' in kotlin
    assert fields.count("sha256: String") == 1


def test_page_says_the_numbers_of_the_package(sessions):
    shapes = {i.name: i.shape for s in sessions.values() for i in s.get_inputs()}
    assert f"`input` [frames, {CONTEXT + FRAME}]" in PAGE
    outputs = {o.name: o.shape for o in sessions["model"].get_outputs()}
    assert f"`voice` [batch, {outputs['voice'][-1]}]" in PAGE
    assert f"`h` {shapes['h']}, `c` {shapes['c']}" in PAGE
    decay = f"{speech._DECAY_DB_S:g}/20 * {FRAME}/{SAMPLE_RATE}"
    quietest = f"{speech._QUIETEST:g}".replace("e-0", "e-")
    far, near = (f"{NUMBERS[n]:g}/20" for n in ("FAR_ABOVE_DB", "ABOVE_DB"))
    limits = f"short * 10^({far}), max(short * 10^({near}), long)"
    text = " ".join(PAGE.split())
    assert (
        f"max(level, low * 10^({near}), min(loudest * 10^(-{decay}), {limits}))`"
        in text
    )
    assert f"`level = max(rms, {quietest})`" in text
    assert f"last {speech._SHORT} and {speech.RECENT + 1} levels" in text
    assert f"`loudest` is {speech._LOUDEST:g} and" in text
    assert f"k = 0 to {len(speech._SLOW) - 1}" in text
    assert f"`{speech._LEVEL} / loudest`" in PAGE
    assert f"a frame of {OPTIONS.threshold} or more begins one" in text
    pause = f"the {OPTIONS.min_pause}th frame in a row below {OPTIONS.release}"
    assert f"{pause} ends it" in text
    assert f"fewer than {OPTIONS.min_speech} frames: dropped" in text
    assert f"Then {OPTIONS.pad:,} samples are added" in text
    for names in [s.get_inputs() + s.get_outputs() for s in sessions.values()]:
        assert all(f"`{n.name}`" in PAGE for n in names)


def test_links_and_files_of_the_page_exist():
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", PAGE):
        if target.startswith("http"):
            continue
        path = DOCS / (target or "deploy.md")
        assert path.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", h.lower()) for h in headings]
            assert anchor in [s.replace(" ", "-") for s in slugs], anchor
    assets = Path(espressivo.__file__).parent / "assets"
    section = PAGE.split("## What to ship")[1].split("\n## ")[0]
    copied = re.findall(r'"\$assets/([^"]*)"', section)
    assert len(copied) == 3
    for name in [*copied, "models/espressivo-tiny/LICENSES", "silero-vad-LICENSE.txt"]:
        assert (assets / name).exists(), name
    size = sum((assets / name).stat().st_size for name in copied)
    assert f"Three files, {size / 1e6:.1f} MB" in PAGE


def test_samples_stay_short():
    for path in [*DEPLOY.glob("*.kt"), *DEPLOY.glob("*.swift")]:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 200, path
        assert max(map(len, lines)) <= 100, path


def frames(samples):
    decay = 10 ** (-speech._DECAY_DB_S / 20 * FRAME / SAMPLE_RATE)
    n = -(-len(samples) // FRAME)
    padded = np.pad(samples, (CONTEXT, n * FRAME - len(samples)))
    loudest, levels = speech._LOUDEST, [speech._QUIETEST] * (speech.RECENT + 1)
    angles = np.pi / (CONTEXT + FRAME) * (np.arange(CONTEXT + FRAME) + 0.5)
    cosines = [np.cos(k * angles) for k in range(4)]
    for i in range(n):
        frame = padded[i * FRAME : i * FRAME + CONTEXT + FRAME].astype(np.float64)
        for cosine in cosines:
            frame -= cosine * (frame @ cosine) / (cosine @ cosine)
        rms = np.sqrt(np.square(frame[CONTEXT:]).mean())
        level = max(rms, speech._QUIETEST)
        levels.append(level)
        short = max(levels[-speech._SHORT :])
        if short <= speech._QUIETEST:
            loudest = speech._LOUDEST
            levels = [speech._QUIETEST] * len(levels)
        else:
            long = max(levels[-speech.RECENT - 1 :])
            limit = min(short * speech._FAR_ABOVE, max(short * speech._ABOVE, long))
            low = min(levels[-speech.RECENT - 1 :]) * speech._ABOVE
            loudest = max(level, low, min(loudest * decay, limit))
        yield frame * (speech._LEVEL / loudest)


def test_the_rule_of_levels_is_the_detectors(note):
    scaled = []
    detector = SpeechDetector()
    levelled = detector._levelled
    detector._levelled = lambda f: scaled.append(levelled(f)) or scaled[-1]
    pauses = [np.zeros(70_000, np.float32), note * np.float32(0.001)]
    samples = np.concatenate([note, *pauses, note[:999]])
    for block in np.array_split(samples, 7):
        detector.push(block)
    detector.finish()

    expected = np.concatenate(scaled)
    np.testing.assert_allclose(list(frames(samples)), expected, rtol=1e-5, atol=1e-6)


def segments(probabilities, n_samples):
    found = []
    start, last = -1, 0

    def close():
        if last - start >= OPTIONS.min_speech:
            end = min(last * FRAME + OPTIONS.pad, n_samples)
            found.append(Segment(max(0, start * FRAME - OPTIONS.pad), end))

    for n, p in enumerate(probabilities):
        if start < 0:
            if p >= OPTIONS.threshold:
                start = n
            last = n + 1
        elif p >= OPTIONS.release:
            last = n + 1
        elif n + 1 - last >= OPTIONS.min_pause:
            close()
            start = -1
    if start >= 0:
        close()
    return found


RUNS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.34, 0.35, 0.49, 0.5, 1.0]), st.integers(1, 15)),
    max_size=20,
)


@given(RUNS, st.integers(0, FRAME - 1))
def test_the_rule_of_segments_is_the_packages(runs, missing):
    probabilities = np.array([p for p, n in runs for _ in range(n)], np.float32)
    n_samples = max(0, len(probabilities) * FRAME - missing)

    found = segments(probabilities, n_samples)

    assert found == find_segments(probabilities, n_samples)
    assert all(a.end <= b.start for a, b in pairwise(found))


def windows(segment, window, minimum, n_samples):
    planned = []
    start = segment.start
    while segment.end - start > 2 * window:
        planned.append(Segment(start, start + window))
        start += window
    if segment.end - start > window:
        middle = start + (segment.end - start + 1) // 2
        planned.append(Segment(start, middle))
        start = middle
    for s in [*planned, Segment(start, segment.end)]:
        if (missing := minimum - s.n_samples) <= 0:
            yield s
        else:
            end = min(max(0, s.start - missing // 2) + minimum, n_samples)
            yield Segment(max(0, end - minimum), end)


@given(st.data())
def test_the_rule_of_windows_is_the_packages(data):
    n_samples = data.draw(st.integers(1, 2000))
    start = data.draw(st.integers(0, n_samples - 1))
    segment = Segment(start, data.draw(st.integers(start + 1, n_samples)))
    window = data.draw(st.integers(1, 300))
    minimum = data.draw(st.integers(1, window))
    windower = Windower(window, minimum)
    windower.push(np.zeros(n_samples, np.float32))

    cut = [w.segment for w in windower.cut_closed(segment)]

    assert list(windows(segment, window, minimum, n_samples)) == cut


def test_the_rules_together_give_the_report(note, analyzer):
    """The page's steps, with the graphs: verify them against `analyze`."""
    report = analyzer.analyze(note)
    detector = SpeechDetector()
    probabilities = np.concatenate([detector.push(note), detector.finish()])
    card = analyzer.classifier.card
    sizes = [round(s * SAMPLE_RATE) for s in (card.window_s, card.min_s)]

    found = segments(probabilities, len(note))
    cut = [w for s in found for w in windows(s, *sizes, len(note))]
    rows = [analyzer.classifier(note[None, w.start : w.end])[0] for w in cut]
    weights = [w.n_samples for w in cut]
    mean = np.average(rows, axis=0, weights=weights)

    assert tuple(found) == report.segments
    assert cut == [e.segment for e in report.estimates]
    np.testing.assert_allclose(mean, list(report.probabilities.values()), atol=1e-5)
