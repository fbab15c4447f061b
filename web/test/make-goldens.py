"""Write what Python makes of fixed inputs, for the browser package's tests to compare.

    python web/test/make-goldens.py [FOLDER]

By default into `goldens` beside this file, which is committed; `goldens.test.ts` sees
that it is what this file writes. Inputs are drawn by generators that do not change, or
are an excerpt of our own `examples/voice-note.m4a`, whose voice is synthetic.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import tempfile
import wave
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
from damaged_graphs import damaged_graphs
from golden_channels import channels, clocks
from golden_models import models

import espressivo
from espressivo.audio.arrays import from_array
from espressivo.audio.recording import load_audio
from espressivo.errors import ProfileError
from espressivo.model.adaptation import adapt, distance, infer, spread
from espressivo.model.classifier import Certainty
from espressivo.model.window_statistics import WindowStatistics
from espressivo.profile.profile import Kind, Profile, warning_of_several
from espressivo.profile.store import (
    encode_cells,
    encode_numbers,
    profile_path,
    with_checksum,
)
from espressivo.report import Adaptation, Report, round_to_one
from espressivo.speech.detector import FRAME, SpeechDetector
from espressivo.speech.quality import Quality, QualityMeter
from espressivo.speech.segments import SpeechOptions, find_segments
from espressivo.speech.windows import plan_windows
from espressivo.types import SAMPLE_RATE, Dimension, Emotion, Segment, to_estimates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from espressivo.model.adaptation import AdaptationCard
    from espressivo.types import Estimate, Signal

ROOT = Path(__file__).parents[2]
MODEL = "espressivo-tiny"  # as in graphs.ts; it is the faster one
EXCERPT = slice(150_000, 222_000)
RATES = (8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000)
LENGTHS = (1, 5, 50, 400, 901)
SHA256 = hashlib.sha256(b"a model").hexdigest()
NAMES = (
    "me", "Zoë", "李雷", "Анна-Мария", "a b", "a_b", "7", "²", "x" * 64, "\U0001d49cda",
    "", " me", "_me", "-me", "me.json", "a/b", "a.b", "x" * 65, "me\n", "🙂", "e\u0301",
    "Zoe\u0308",
)  # fmt: skip


def main() -> None:
    """Write all of it."""
    folder = Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parent / "goldens")
    folder.mkdir(parents=True, exist_ok=True)
    note = excerpt()
    write_wav(folder / "note.wav", note)
    contents = {
        "resample": resamplings(),
        "channels": channels(note, noise),
        "clocks": clocks(),
        "windows": windows(),
        "speech": speech(note),
        "quality": qualities(note),
        "models": models(note),
        "analysis": analyses(note),
        "rounding": roundings(),
        "reports": reports(),
        "adaptation": adaptations(),
        "profiles": profiles(),
        "damaged": damaged_graphs(espressivo.load_model(MODEL).classifier.card),
    }
    for name, content in contents.items():
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", "utf-8")


def excerpt() -> Signal:
    """Return 4.5 s of speech with a pause in it, as 16 bit PCM holds it."""
    signal = load_audio(ROOT / "examples" / "voice-note.m4a")[EXCERPT]
    return (np.round(signal * 32_768) / 32_768).astype(np.float32)


def without_pause(note: Signal) -> Signal:
    """Return 18 s in which nobody draws breath."""
    return np.tile(note[:24_000], 12)


def one_word(note: Signal) -> Signal:
    """Return a quarter of a second of speech in silence."""
    word, silence = note[9_000:13_000], np.zeros(20_000, np.float32)
    return np.concatenate([silence, word, silence])


def write_wav(path: Path, signal: Signal) -> None:
    """Write 16 bit mono at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((signal * 32_768).astype("<i2").tobytes())


def noise(n: int, seed: int) -> Signal:
    """Return what `noise` of random.ts does (the generator of Numerical Recipes)."""
    values = np.empty(n)
    for i in range(n):
        seed = (1_664_525 * seed + 1_013_904_223) % 2**32
        values[i] = seed / 2**31 - 1
    return values.astype(np.float32)


def floats(values: NDArray[Any]) -> dict[str, str]:
    """Return numbers as goldens.ts reads them: little-endian, in base 64."""
    return {"f32": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def doubles(values: NDArray[np.float64]) -> dict[str, str]:
    """Return the same with all their digits."""
    return {"f64": encode_numbers(values)}


def span(segment: Segment) -> list[int]:
    """Return start and end."""
    return [segment.start, segment.end]


def resamplings() -> list[dict[str, Any]]:
    """Return noise at many rates, some of it very short, brought to 16 kHz."""
    return [
        {"rate": rate, "n": n, "seed": n, "out": floats(from_array(noise(n, n), rate))}
        for rate in RATES
        for n in sorted({*LENGTHS, shortest(rate) - 1, shortest(rate)})
    ]


def shortest(rate: int) -> int:
    """Return of how many samples FFmpeg makes any at all."""
    return next(n for n in range(1, 1_000) if len(from_array(noise(n, n), rate)))


def windows() -> list[dict[str, Any]]:
    """Return plans of segments, those around a whole number of windows among them."""
    rng = np.random.default_rng(1)
    drawn = [
        *rng.integers(1, 1_000, (30, 2)).tolist(),
        *[[7, n] for n in range(75, 86)],
    ]
    return [
        {
            "segment": [start, start + n],
            "window": 40,
            "windows": [span(w) for w in plan_windows(Segment(start, start + n), 40)],
        }
        for start, n in drawn
    ]


def speech(note: Signal) -> dict[str, Any]:
    """Return speech probabilities of sounds, and segments of drawn ones."""
    options = SpeechOptions()
    rng = np.random.default_rng(2)
    drawn = [
        rng.choice([0, 0.2, 0.35, 0.4, 0.5, 0.6, 1], n)
        .repeat(rng.integers(1, 25, n))
        .tolist()
        for n in rng.integers(0, 15, 30)
    ]
    return {
        "options": {
            "threshold": options.threshold,
            "release": options.release,
            "minSpeech": options.min_speech,
            "minPause": options.min_pause,
            "pad": options.pad,
        },
        "frames": [
            {
                "probabilities": row,
                "n": (n := max(0, len(row) * FRAME - 100)),
                "segments": [span(s) for s in find_segments(row, n)],
            }
            for row in drawn
        ],
        "note": floats(detected(note)),
        "long": floats(detected(without_pause(note))),
    }


def detected(signal: Signal) -> NDArray[np.float32]:
    """Return the speech probability of each frame."""
    detector = SpeechDetector()
    return np.concatenate([detector.push(signal), detector.finish()])


def qualities(note: Signal) -> dict[str, Any]:
    """Return the quality of a note as it is and spoilt (as quality.test.ts does)."""
    # Whole frames, so that a tiled note has tiled probabilities: those in speech.json.
    probabilities = detected(note)[:-1]
    note = note[: len(probabilities) * FRAME]
    # A low-pass filter of 401 taps at 3 kHz.
    n = np.arange(-200, 201)
    taps = np.sinc(n * 3 / 8) * 3 / 8 * (0.5 + 0.5 * np.cos(np.pi * n / 200))
    signals = {
        "note": note,
        "three": np.tile(note, 3),
        "noisy": note + 0.2 * noise(len(note), 1),
        "clipped": np.clip(30 * note, -1, 1),
        "cut off above": np.minimum(note, 0.05),
        "faint": np.round(note * 32) / 32_768,
        "narrow": np.convolve(np.tile(note, 2), taps, "same"),
        "offset": 0.02 * note + 0.3,
        "silence": np.zeros(len(note)),
    }
    found = {}
    for name, each in signals.items():
        meter = QualityMeter()
        tiled = np.tile(probabilities, len(each) // len(note))
        meter.push(each.astype(np.float32), tiled)
        quality = meter.measure()
        found[name] = {"quality": asdict(quality), "warnings": quality.warnings}
    return found


def analyses(note: Signal) -> dict[str, Any]:
    """Return analyses with a bundled model, plain and adapted."""
    analyzer = espressivo.load_model(MODEL)
    classifier = analyzer.classifier
    nobody = Profile.new("Zoë", classifier)
    zoe = nobody.merged(analyzer.with_profile(nobody).analyze(note, name="note"))
    hall = Profile.new("hall", classifier, Kind.SETTING)
    card, rng = classifier.require_adaptation(), np.random.default_rng(7)
    hall = replace(
        hall, statistics=statistics_of(card, voices(card, rng, 30, (0, 1, 2, 3)))
    )
    long = without_pause(note)
    inputs: dict[str, tuple[Signal, dict[str, Any]]] = {
        "note": (note, {}),
        "long": (long, {}),
        "word": (one_word(note), {}),
        "silence": (np.zeros(16_000, np.float32), {}),
        "short": (note[9_000:13_000], {}),
        "unknown": (note, {"profile": nobody}),
        "known": (long, {"profile": zoe}),
        "setting": (note, {"setting": hall}),
        "together": (long, {"adapt": True}),
        "all": (long, {"profile": zoe, "setting": hall, "adapt": True}),
        "nothing": (np.zeros(16_000, np.float32), {"adapt": True}),
    }
    found = {}
    for name, (signal, options) in inputs.items():
        adapted = espressivo.Analyzer(classifier, **options)
        found[name] = analysis(adapted.analyze(signal, name=name))
    profiles = {"known": zoe, "setting": hall}
    texts = {name: text_of(each.to_dict()) for name, each in profiles.items()}
    return {"profiles": texts, "found": found}


def analysis(report: Report) -> dict[str, Any]:
    """Return a report as it is written, and its numbers before they are rounded."""
    use = report.adaptation
    assert report.loudness is not None
    return {
        "report": follows_schema(report.to_dict()),
        "segments": [span(s) for s in report.segments],
        "estimates": [rounded(estimate(e)) for e in report.estimates],
        "adaptation": use
        and adaptation(use) | {"without": [rounded(estimate(e)) for e in use.without]},
        "statistics": report.statistics and packed_statistics(report.statistics),
        "loudness": None if use else floats(report.loudness),
    }


def adaptation(use: Adaptation) -> dict[str, Any]:
    """Return what a report was adapted to as report.ts has it."""
    return {
        "speaker": use.speaker,
        "setting": use.setting,
        "recording": use.recording,
        "nRecordings": use.n_recordings,
        "nWindows": use.n_windows,
        "speech_s": use.speech_s,
        "weight": use.weight,
        "offset": use.offset,
        "deviation": use.deviation,
        "priorDeviation": use.prior_deviation,
        "distance": use.distance,
        "distanceLimit": use.distance_limit,
        "several": use.several,
        "without": [estimate(e) for e in use.without],
    }


def rounded(each: dict[str, Any]) -> dict[str, Any]:
    """Return one window with the digits in which machines agree, and some more."""
    rows = {name: each[name] for name in ("probabilities", "dimensions")}
    return each | {name: np.round(row, 5).tolist() for name, row in rows.items()}


def follows_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Return a report as JSON has it, which its schema must allow."""
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text("utf-8"))
    document = json.loads(json.dumps(document))
    jsonschema.validate(document, schema)
    return document


def estimate(each: Estimate) -> dict[str, Any]:
    """Return one window."""
    return {
        "segment": span(each.segment),
        "probabilities": [*each.probabilities.values()],
        "dimensions": [*(each.dimensions or {}).values()],
    }


def packed_statistics(statistics: WindowStatistics) -> dict[str, Any]:
    """Return the statistics with all their digits."""
    return {
        "nWindows": statistics.n_windows,
        "nRecordings": statistics.n_recordings,
        "nSamples": statistics.n_samples,
        "nDims": statistics.n_dims,
        "cells": statistics.cells.tolist(),
        "weights": doubles(statistics.weights),
        "sums": doubles(statistics.sums),
        "mean": doubles(statistics.mean),
        "scatter": doubles(statistics.scatter),
    }


def roundings() -> dict[str, Any]:
    """Return numbers, many in the middle of two others, and what they round to."""
    rng = np.random.default_rng(3)
    rows = [
        *rng.dirichlet([1, 1, 1, 1], 60).tolist(),
        *rng.dirichlet([0.05] * 4, 30).astype(np.float32).tolist(),
        *[row for n in (2, 3, 5, 8) for row in rng.dirichlet([1] * n, 10).tolist()],
        *[[1 / n] * n for n in range(1, 9)],
        [1.0, 0.0, 0.0, 0.0],
        [0.99995, 0.00005, 0.0, 0.0],
        [0.00005, 0.00005, 0.49995, 0.49995],
        [0.12345, 0.12345, 0.37655, 0.37655],
        [0.37655, 0.12345, 0.37655, 0.12345],
        [0.30003, 0.20007, 0.10001, 0.39989],
        *tied(rng),
    ]
    ties = [i / 16 for i in range(-40, 41)]
    times = [n / SAMPLE_RATE for n in rng.integers(0, 10**8, 40).tolist()]
    middles = [(2 * n + 1) / 2_000 for n in rng.integers(0, 10**5, 40).tolist()]
    known = [2.675, 1.005, 0.285, 1e-9, 0.00005, 0.03125, 0.09375, 123456.0005]
    values = [*ties, *times, *middles, *known]
    return {
        "rows": [[row, round_to_one(row)] for row in rows],
        "values": [[v, d, round(v, d)] for v in values for d in (2, 3, 4)],
    }


def tied(rng: np.random.Generator) -> Iterator[list[float]]:
    """Yield rows whose remainders differ by less than a rounding, or not at all."""
    for _ in range(60):
        a, b = rng.integers(1, 4_000, 2).tolist()
        rest = rng.random() / 2
        row = [(a + rest) / 10_000, (b + rest) / 10_000, rest / 10_000]
        yield [*row, 1 - sum(row)]


def reports() -> list[dict[str, Any]]:
    """Return reports as both packages take them, and what Python writes of them."""
    rng = np.random.default_rng(4)
    names = ("no te.wav", "a,b.wav", 'say "hi".wav', "Grüße-李.wav", "two\nlines", "")
    drawn = [*(report(rng, name) for name in names), *silent(rng)]
    drawn += [report(rng, f"{i}.wav") for i in range(5)]
    return [
        {
            "fields": fields(each),
            "dict": follows_schema(each.to_dict()),
            "csv": each.to_csv(),
            "mean": each.probabilities,
            "dimensions": each.dimensions,
        }
        for each in drawn
    ]


def report(
    rng: np.random.Generator, name: str, *, adapted: bool | None = None
) -> Report:
    """Draw a report of one to three segments, adapted or not."""
    n = int(rng.integers(1, 4))
    bounds = np.cumsum(rng.integers(4_000, 128_000, 2 * n)).tolist()
    segments = tuple(Segment(a, b) for a, b in list(pairwise(bounds))[::2])
    drawn = rng.permutation(3)[: rng.integers(4)]
    names = tuple(tuple(Dimension)[i] for i in drawn)
    found = estimates(rng, segments, names)
    is_adapted = rng.random() < 0.6 if adapted is None else adapted
    return Report(
        recording=name,
        model="a model",
        model_version="1.2.3",
        model_sha256=SHA256,
        emotions=tuple(Emotion),
        duration_s=bounds[-1] / SAMPLE_RATE + float(rng.choice([0, 0.0625, 1 / 3])),
        segments=segments,
        estimates=found,
        warnings=("it is truncated", 'by "ü"') if rng.random() < 0.3 else (),
        adaptation=use(rng, found) if is_adapted else None,
        **sound(rng, bounds),
        certainty=certainty(rng),
        dimension_names=names,
    )


def use(rng: np.random.Generator, found: tuple[Estimate, ...]) -> Adaptation:
    """Draw what a recording was adapted to, and its estimates without that."""
    without = estimates(rng, tuple(each.segment for each in found), ())
    pairs = zip(found, without, strict=True)
    return Adaptation(
        speaker=None if rng.random() < 0.3 else "Zoë",
        setting=None if rng.random() < 0.5 else "hall",
        recording=bool(rng.random() < 0.5),
        n_recordings=int(rng.integers(50)),
        n_windows=int(rng.integers(50)),
        speech_s=rng.random() * 100,
        weight=rng.random(),
        offset=rng.gamma(2, 1),
        deviation=rng.random(),
        prior_deviation=1 + rng.random(),
        distance=None if rng.random() < 0.2 else rng.gamma(2, 1),
        distance_limit=2.5,
        several=None,
        without=tuple(replace(b, dimensions=a.dimensions) for a, b in pairs),
    )


def certainty(rng: np.random.Generator) -> Certainty | None:
    """Draw a threshold in the midst of top probabilities; None: the model has none."""
    if rng.random() < 0.3:
        return None
    return Certainty(float(rng.uniform(0.4, 0.7)), 0.8)


def sound(rng: np.random.Generator, bounds: list[int]) -> dict[str, Any]:
    """Draw how a file was decoded, and the quality of its sound."""
    quality = None
    if rng.random() < 0.7:
        quality = Quality(
            bandwidth_hz=int(rng.integers(8_001)),
            level_db=-90 * rng.random(),
            clipped=rng.random() ** 4,
            snr_db=None if rng.random() < 0.3 else 40 * rng.random() - 5,
        )
    return {
        "track": None if rng.random() < 0.3 else int(rng.integers(1, 4)),
        "channels": str(rng.choice(["mono", "mixed", "left", "channel 3"])),
        "gaps": (Segment(*bounds[1:3]),) if len(bounds) > 2 else (),
        "quality": quality,
    }


def estimates(
    rng: np.random.Generator,
    segments: tuple[Segment, ...],
    dimensions: tuple[Dimension, ...],
) -> tuple[Estimate, ...]:
    """Draw the windows of segments; many dimensions lie in the middle of two others."""
    spans = [w for s in segments for w in plan_windows(s, 64_000)]
    rows = rng.dirichlet([0.5] * 4, len(spans)).astype(np.float32)
    levels = np.round(2 * rng.random((len(spans), len(dimensions))), 4) / 2
    return to_estimates(spans, [*Emotion], rows, dimensions, levels)


def silent(rng: np.random.Generator) -> Iterator[Report]:
    """Yield reports of recordings without speech."""
    for adapted in (False, True):
        whole = report(rng, "silence.wav", adapted=adapted)
        use = whole.adaptation and replace(whole.adaptation, without=(), distance=None)
        yield replace(whole, segments=(), estimates=(), adaptation=use)
    none = replace(whole, segments=(), estimates=(), adaptation=None, duration_s=0.0)
    yield replace(none, certainty=Certainty(0.5, 0.8))


def fields(whole: Report) -> dict[str, Any]:
    """Return a report as the constructor in report.ts takes it."""
    return {
        "recording": whole.recording,
        "model": {
            "name": whole.model,
            "version": whole.model_version,
            "sha256": whole.model_sha256,
        },
        "emotions": whole.emotions,
        "dimensionNames": whole.dimension_names,
        "certainty": whole.certainty and whole.certainty.to_dict(),
        "duration_s": whole.duration_s,
        "segments": [span(s) for s in whole.segments],
        "estimates": [estimate(e) for e in whole.estimates],
        "track": whole.track,
        "channels": whole.channels,
        "gaps": [span(s) for s in whole.gaps],
        "quality": whole.quality and asdict(whole.quality),
        "warnings": whole.warnings,
        "adaptation": whole.adaptation and adaptation(whole.adaptation),
    }


def adaptations() -> dict[str, Any]:
    """Return histories, and what Python infers from them with the bundled card."""
    card = espressivo.load_model(MODEL).classifier.require_adaptation()
    rng = np.random.default_rng(5)
    rows = rng.dirichlet([0.5] * 4, 6).astype(np.float32)
    heard = voices(card, rng, 6, (0, 1, 2, 3))
    drawn: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {
        "nobody": (heard[:0], heard[:0]),
        "one window": (voices(card, rng, 1, (3,)), heard[:0]),
        "one-sided": (voices(card, rng, 10, (2,)), heard[:0]),
        "all emotions": (voices(card, rng, 24, (0, 1, 2, 3)), heard[:0]),
        "two people": (several(card, rng), heard[:0]),
        "setting": (heard[:0], voices(card, rng, 16, (1, 2, 2, 2))),
        "both": (voices(card, rng, 5, (0, 2)), voices(card, rng, 12, (0, 1, 2, 3))),
    }
    cases = {}
    for name, (speaker, setting) in drawn.items():
        mine, room = (statistics_of(card, each) for each in (speaker, setting))
        found = infer(card, mine, room)
        cases[name] = {
            "speaker": floats(speaker),
            "setting": floats(setting),
            "statistics": packed_statistics(mine),
            "posterior": found
            and {
                "weight": found.weight,
                "shares": sorted(found.shares.tolist()),
                "means": doubles(found.collapsed()[0]),
                "covariance": doubles(found.collapsed()[1].diagonal()),
                "offset": found.offset.tolist(),
                "deviation": found.deviation,
            },
            "adapted": floats(adapt(card, found, rows, heard)),
            "spread": spread(mine),
            "distance": distance(statistics_of(card, heard), mine),
            "several": warning_of_several(card, mine, "profile 'me'"),
        }
    return {
        "probabilities": floats(rows),
        "voices": floats(heard),
        "priorDeviation": card.prior_deviation,
        "cases": cases,
    }


def voices(
    card: AdaptationCard, rng: np.random.Generator, n: int, emotions: tuple[int, ...]
) -> NDArray[np.float32]:
    """Draw voice vectors of one speaker, some of them outside the grid of cells."""
    offset, axes = rng.normal(0, 1, card.n_dims), rng.normal(0, 1, card.n_axes)
    places = card.means[rng.choice(emotions, n)] + offset
    places = places + rng.standard_t(2, (n, card.n_dims))
    silent = rng.random((n, 1)) ** 4
    heard = axes + rng.normal(0, 1, (n, card.n_axes))
    return np.hstack([places, silent, heard]).astype(np.float32)


def several(card: AdaptationCard, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw voice vectors of two speakers who are far apart."""
    heard = voices(card, rng, 24, (0, 2))
    heard[::2, -1] += 12
    return heard


def statistics_of(card: AdaptationCard, heard: NDArray[np.float32]) -> WindowStatistics:
    """Return the statistics of windows, the first of 1,000 samples and so on."""
    found = WindowStatistics.empty(card.n_dims, card.n_axes)
    for i, voice in enumerate(heard):
        found = found.with_window(voice, 1_000 * (i + 1))
    return found


def profiles() -> dict[str, Any]:
    """Return files of profiles, good and bad, and what Python says of each."""
    rng = np.random.default_rng(6)
    one, other = (drawn_statistics(rng, n) for n in (3, 8))
    mine = Profile("Zoë 李\U0001f642", Kind.SPEAKER, "a model", "1", SHA256, one)
    yours = replace(mine, name='q"\\\x7f\u2028', statistics=other)
    nobody = replace(mine, statistics=WindowStatistics.empty(3, 2))
    hall = replace(mine, name="hall", kind=Kind.SETTING, statistics=one.as_one())
    named = {"mine": mine, "yours": yours, "nobody": nobody, "hall": hall}
    files = {name: text_of(each.to_dict()) for name, each in named.items()}
    files |= dict(damaged(replace(mine, statistics=drawn_statistics(rng, 1))))
    return {
        "names": {name: is_name(name) for name in NAMES},
        "merged": text_of(mine.merged(yours).to_dict()),
        "files": {
            name: {"text": text, "refused": refusal(text)}
            for name, text in files.items()
        },
    }


def drawn_statistics(rng: np.random.Generator, n: int) -> WindowStatistics:
    """Draw windows of two recordings in three dimensions and two axes."""
    found = WindowStatistics.empty(3, 2)
    for row in rng.normal(0, 2, (n, 6)):
        row[3] = rng.random()
        found = found.with_window(row, 5_000)
    return replace(found, n_recordings=2)


def text_of(content: dict[str, Any]) -> str:
    """Return what `Profile.save` writes."""
    return json.dumps(content, indent=1) + "\n"


def damaged(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield files that are no profiles, or not any more."""
    whole = text_of(profile.to_dict())
    yield "cut off", whole[: len(whole) // 2]
    yield "empty", ""
    yield "array", "[]"
    yield "null", "null"
    yield "word", '"profile"'
    yield "other JSON", '{"a": 1}'
    yield "schema is no text", '{"schema": 1}'
    yield "edited", whole.replace('"n_windows": 1', '"n_windows": 4')
    yield "unsigned", whole.replace('"sha256": "', '"sha_256": "')
    yield "newer", whole.replace("profile/2", "profile/3")
    yield "much newer", whole.replace("profile/2", "profile/10")
    yield "older", whole.replace("profile/2", "profile/1")
    yield "a report", whole.replace("espressivo.profile/2", "espressivo.report/2")
    more = {"n": [1, {"b": None, "a": [True, "ü"]}], "none": None, "yes": True}
    yield "more fields", resigned(profile, **more)
    yield "negative count", resigned(profile, n_windows=-1)
    yield "other kind", resigned(profile, kind="room")
    yield "more weight than windows", resigned(profile, n_windows=0)
    yield "other dimensions", resigned(profile, n_dims=2)
    yield "no dimensions", resigned(profile, n_dims=0, cells="", weights="", sums="")
    yield "not whole", resigned(profile, n_windows=1.5)
    yield "true", resigned(profile, n_windows=True)
    yield "very many", resigned(profile, n_samples=2**53 + 2)
    yield "name is no text", resigned(profile, name=1)
    for name, length, value in (
        ("weights", 1, -0.1),
        ("weights", 1, 1e-30),
        ("weights", 0, 0.1),
        ("sums", 2, 0.1),
        ("sums", 3, 1e9),
        ("mean", 2, np.nan),
        ("mean", 2, 1e9),
        ("mean", 3, 0.1),
        ("scatter", 4, -1.0),
        ("scatter", 4, np.inf),
    ):
        encoded = encode_numbers(np.full(length, value))
        yield f"{length} of {value} in {name}", resigned(profile, **{name: encoded})
    lopsided = encode_numbers(np.array([1.0, 0.5, 0.0, 1.0]))
    yield "scatter without symmetry", resigned(profile, scatter=lopsided)
    yield "outside the grid", resigned(profile, cells=encode_cells(np.full(3, 8)))
    two = {"weights": np.full(2, 0.4), "sums": np.zeros(6)}
    both = {name: encode_numbers(values) for name, values in two.items()}
    cells = encode_cells(np.zeros(6, np.int64))
    yield "twice the same cell", resigned(profile, cells=cells, **both)
    yield "no axes", resigned(profile, mean="", scatter="")
    yield "half a number", resigned(profile, mean="AAAA")
    yield "no base 64", resigned(profile, mean="?")
    for name in ("mean", "cells", "n_dims", "kind", "model", "name"):
        content = {k: v for k, v in profile.to_dict().items() if k != name}
        content.pop("sha256")
        yield f"no {name}", text_of(with_checksum(content))


def resigned(profile: Profile, **changes: Any) -> str:
    """Return a file whose checksum is right, but whose content is changed."""
    content = profile.to_dict() | changes
    content.pop("sha256")
    return text_of(with_checksum(content))


def refusal(text: str) -> str | None:
    """Return what Python says of a profile's file, or None when it takes it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("p.json").write_text(text, "utf-8")
            Profile.load("p.json")
        except ProfileError as error:
            return str(error)
        finally:
            os.chdir(before)
    return None


def is_name(name: str) -> bool:
    """Return whether a profile may be called so."""
    try:
        return profile_path(name).suffix == ".json" and not name.endswith(".json")
    except ProfileError:
        return False


if __name__ == "__main__":
    main()
