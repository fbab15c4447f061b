"""Report of one recording: windows, their weighted mean, and export to JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.summary import summarize
from espressivo.types import SAMPLE_RATE, Dimension, Emotion, Estimate, Segment
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pandas import DataFrame

    from espressivo.model.classifier import Certainty, ModelCard
    from espressivo.model.window_statistics import WindowStatistics
    from espressivo.speech.quality import Quality
    from espressivo.speech.segments import SpeechOptions
    from espressivo.types import Earlier

SCHEMA = "espressivo.report/2"
"""Name and version of the JSON schema of `Report.to_dict`."""

_DECIMALS = 4  # of probabilities in JSON and CSV
_PAGE = Path(__file__).parent / "assets" / "report.html"
_EMPTY = '<script type="application/json" id="content">null</script>'


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What a recording was adapted to, and with what effect.

    Attributes:
        speaker: Name of the speaker's profile; None without one.
        setting: Name of the setting; None without one.
        recording: Whether the recording's own windows are a part of the history.
        n_recordings: Number of recordings in the history.
        n_windows: Number of windows in the history.
        speech_s: Duration of these windows, in seconds.
        weight: Weight of the history against the plain model, 0 to 1.
        offset: Length of the expected offset of this voice in this setting; 1 is the
            standard deviation of a window.
        deviation: Standard deviation of the offset, given the history.
        prior_deviation: The same without a history.
        distance: Distance of this recording from the speaker's profile; 1 is the mean
            for the same speaker. None without a profile, or if it or the recording
            contains no speech.
        distance_limit: Distance above which it is probably another speaker.
        several: Warning if the history is probably of several speakers; or None.
        without: Estimates of the windows without adaptation.
    """

    speaker: str | None
    setting: str | None
    recording: bool
    n_recordings: int
    n_windows: int
    speech_s: float
    weight: float
    offset: float
    deviation: float
    prior_deviation: float
    distance: float | None
    distance_limit: float
    several: str | None
    without: tuple[Estimate, ...]

    @property
    def fits(self) -> bool | None:
        """Whether the distance is within the limit; None without a distance."""
        return None if self.distance is None else self.distance <= self.distance_limit

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user: another voice than the profile's, or several."""
        found = [] if self.several is None else [self.several]
        if self.fits is False:
            found.insert(
                0,
                f"the voice does not fit profile '{self.speaker}': its distance is "
                f"{self.distance:.1f}, and {self.distance_limit:.1f} is rarely "
                "exceeded by the same voice; is it someone else?",
            )
        return tuple(found)


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """Emotion of one recording, overall and over time.

    Attributes:
        recording: Name of the recording, as it was given.
        model: Name of the model.
        model_version: Version of the model.
        model_sha256: SHA-256 of the model's graph.
        emotions: Emotions in the order of all probabilities.
        duration_s: Duration of the decoded recording, in seconds.
        segments: Segments of speech, in order.
        estimates: Estimates of the windows inside the segments, in order.
        warnings: Non-fatal faults, and properties of the sound that make the estimates
            unreliable.
        adaptation: What the estimates were adapted to; None: to nothing.
        statistics: Statistics of the windows, for updating a profile; None if the
            analyzer neither adapts nor was asked for voices.
        voices: Voice vectors of the windows in `estimates`, float32 [windows, columns]
            (`Classifier.run`); None as `statistics`.
        earlier: Sums over the older windows of a long stream; None otherwise.
        track: Number of the file's audio track that was decoded, from 1; None for
            arrays and streams.
        channels: How the channels became one: `mono`, `mixed` (their mean), or the one
            that was chosen (`left`, `right`, `channel 3`).
        gaps: Holes in the file's time stamps, which were filled with silence.
        quality: Properties of the sound that limit the estimates; None if unknown.
        certainty: The model's threshold for uncertain estimates; None if it has none.
        dimension_names: Dimensions in the order of all estimates; empty if the model
            has none.
        loudness: Level (root mean square) of each 0.1 s of the recording, float32
            [levels], in dB re full scale, at least -100; None for streams.
        detection: Settings of the speech detection; None if they are the usual ones.
    """

    recording: str
    model: str
    model_version: str
    model_sha256: str
    emotions: tuple[Emotion, ...]
    duration_s: float
    segments: tuple[Segment, ...]
    estimates: tuple[Estimate, ...]
    warnings: tuple[str, ...] = ()
    adaptation: Adaptation | None = None
    statistics: WindowStatistics | None = field(default=None, compare=False, repr=False)
    voices: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    earlier: Earlier | None = None
    track: int | None = None
    channels: str = "mono"
    gaps: tuple[Segment, ...] = ()
    quality: Quality | None = None
    certainty: Certainty | None = None
    dimension_names: tuple[Dimension, ...] = ()
    loudness: NDArray[np.float32] | None = field(
        default=None, compare=False, repr=False
    )
    detection: SpeechOptions | None = None

    @property
    def speech_s(self) -> float:
        """Total duration of the speech segments, in seconds."""
        before = self.earlier.n_speech if self.earlier else 0
        return (before + sum(s.n_samples for s in self.segments)) / SAMPLE_RATE

    @property
    def speech_share(self) -> float:
        """Share of the recording that is speech, 0 to 1."""
        return min(1.0, self.speech_s / self.duration_s) if self.duration_s else 0.0

    @property
    def probabilities(self) -> dict[Emotion, float] | None:
        """Mean of the windows' probabilities, weighted by duration; None: no speech.

        Source: Ismail (2025), section III-F; weights by duration are ours.
        """
        return self._named_mean(
            self.estimates, self.earlier.sums if self.earlier else ()
        )

    @property
    def probabilities_without(self) -> dict[Emotion, float] | None:
        """The same mean without adaptation; None without speech or adaptation."""
        if self.adaptation is None:
            return None
        earlier = self.earlier.sums_without if self.earlier else ()
        return self._named_mean(self.adaptation.without, earlier)

    @property
    def dimensions(self) -> dict[Dimension, float] | None:
        """Mean of the windows' dimensions, weighted by duration, 0 to 1.

        None without speech, or if the model has none. Adaptation does not change it.
        """
        if not self.dimension_names:
            return None
        rows = [[*(e.dimensions or {}).values()] for e in self.estimates]
        mean = self._mean(rows, self.earlier.sums_dimensions if self.earlier else ())
        if mean is None:
            return None
        return dict(zip(self.dimension_names, mean.tolist(), strict=True))

    @property
    def change(self) -> float:
        """Total variation distance of the means with and without adaptation, 0 to 1."""
        now, before = self.probabilities, self.probabilities_without
        if now is None or before is None:
            return 0.0
        return total_variation([*now.values()], [*before.values()])

    @property
    def emotion(self) -> Emotion | None:
        """Most probable emotion of the whole recording; None without speech."""
        if (whole := self.probabilities) is None:
            return None
        return max(whole, key=lambda emotion: whole[emotion])

    @property
    def emotion_without(self) -> Emotion | None:
        """`emotion` without adaptation; None without speech or adaptation."""
        if (before := self.probabilities_without) is None:
            return None
        return max(before, key=lambda emotion: before[emotion])

    @property
    def uncertain(self) -> bool | None:
        """Whether the top probability of the whole recording is below the threshold.

        None without speech, or if the model has no threshold.
        """
        if self.certainty is None or (whole := self.probabilities) is None:
            return None
        return self.certainty.is_uncertain([*whole.values()])

    def __repr__(self) -> str:
        """Return a line for prompts and notebooks, which all windows would fill."""
        what = f"{self.verdict}, {self.duration_s:.1f} s, {len(self.estimates)} windows"
        return f"<Report {self.recording!r}: {what}>"

    @property
    def verdict(self) -> str:
        """Result for the whole recording in a few words.

        `neutral 62%`, `uncertain (sadness 41%, neutral 38%)` or `no speech found`.
        """
        if (whole := self.probabilities) is None:
            return "no speech found"
        return self._verdict(whole, self.uncertain)

    @property
    def summary(self) -> str | None:
        """Sentence on the course of the recording; None without speech.

        It describes how the voice sounds: by arousal if the model has it, otherwise by
        emotions. See `espressivo.summary.summarize`.
        """
        arousal = None
        if Dimension.AROUSAL in self.dimension_names:
            levels = [e.dimensions or {} for e in self.estimates]
            arousal = [each[Dimension.AROUSAL] for each in levels]
        return summarize(
            [e.segment for e in self.estimates],
            self.emotions,
            [[*e.probabilities.values()] for e in self.estimates],
            [self.is_uncertain(e) for e in self.estimates],
            arousal=arousal,
            duration_s=self.duration_s,
            from_s=self.earlier.until / SAMPLE_RATE if self.earlier else 0.0,
        )

    def verdict_of(self, estimate: Estimate) -> str:
        """Return the same as `verdict` for one window."""
        return self._verdict(estimate.probabilities, self.is_uncertain(estimate))

    def is_uncertain(self, estimate: Estimate) -> bool | None:
        """Return whether one window is uncertain; None: the model has no threshold."""
        if self.certainty is None:
            return None
        return self.certainty.is_uncertain(estimate.probabilities.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as described by `docs/report.schema.json`, JSON-ready."""
        whole = self.probabilities
        return {
            "schema": SCHEMA,
            "espressivo": __version__,
            "recording": self.recording,
            "model": {
                "name": self.model,
                "version": self.model_version,
                "sha256": self.model_sha256,
                "certainty": self.certainty and self.certainty.to_dict(),
            },
            "duration_s": round(self.duration_s, 3),
            "track": self.track,
            "channels": self.channels,
            "gaps": [_span(s) for s in self.gaps],
            "speech_s": round(self.speech_s, 3),
            "speech_share": round(self.speech_share, _DECIMALS),
            "summary": self.summary,
            "emotion": self.emotion,
            "uncertain": self.uncertain,
            "probabilities": whole and _named(whole),
            "dimensions": _rounded(self.dimensions),
            "segments": [_span(s) for s in self.segments],
            "windows": [
                {
                    **_span(e.segment),
                    "emotion": e.emotion,
                    "uncertain": self.is_uncertain(e),
                    "probabilities": _named(e.probabilities),
                    "dimensions": _rounded(e.dimensions),
                }
                for e in self.estimates
            ],
            "quality": self.quality and self.quality.to_dict(),
            "warnings": list(self.warnings),
            "adaptation": self._adaptation(),
            **self._before(),
            **({"detection": asdict(self.detection)} if self.detection else {}),
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return `to_dict` as JSON; `indent=None` gives a single line."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def to_html(self, *, date: str | None = None) -> str:
        """Return the report as a self-contained page, which also prints.

        It contains no sound, contacts nobody and needs JavaScript.

        Args:
            date: Date that the page shows, such as `2026-11-28`; None: today.
        """
        levels = None if self.loudness is None else self.loudness.round().astype(int)
        content = {
            "report": self.to_dict(),
            "loudness": None if levels is None else levels.tolist(),
            "date": date or datetime.now().astimezone().date().isoformat(),
        }
        # ASCII, since names of files can have characters that UTF-8 cannot encode.
        text = json.dumps(content, separators=(",", ":")).replace("<", r"\u003c")
        return _PAGE.read_text("utf-8").replace(_EMPTY, _EMPTY.replace("null", text))

    def to_csv(self, *, header: bool = True) -> str:
        """Return CSV text: one row per window, then one for the whole recording.

        Columns: recording, part (`window` or `recording`), start_s, end_s, emotion,
        uncertain (`true`, `false`, or empty without a threshold), one column per
        emotion, one per dimension of the model, emotion_without and change (both empty
        without adaptation). Without speech, the only row has an empty emotion.
        """
        text = io.StringIO()
        # The default line end, CRLF, would disturb Unix tools in a pipe.
        write = csv.writer(text, lineterminator="\n").writerow
        if header:
            fixed = ["recording", "part", "start_s", "end_s", "emotion", "uncertain"]
            columns = [*self.emotions, *self.dimension_names]
            write([*fixed, *columns, "emotion_without", "change"])
        use, none = self.adaptation, [None] * len(self.estimates)
        effect: tuple[str | float, ...]
        for e, before in zip(self.estimates, use.without if use else none, strict=True):
            span = _span(e.segment).values()
            found = e.emotion, _cell(self.is_uncertain(e))
            shown = _cells(e.probabilities, e.dimensions)
            effect = ("", "")
            if before is not None:
                effect = before.emotion, _decimals(moved(e, before))
            write([self.recording, "window", *span, *found, *shown, *effect])
        whole = self.probabilities
        n_columns = len(self.emotions) + len(self.dimension_names)
        mean: Sequence[str | float] = [""] * n_columns
        if whole:
            mean = _cells(whole, self.dimensions)
        end = round(self.duration_s, 3)
        total = self.emotion or "", _cell(self.uncertain)
        effect = ("", "")
        if self.emotion_without is not None:
            effect = self.emotion_without, round(self.change, _DECIMALS)
        write([self.recording, "recording", 0.0, end, *total, *mean, *effect])
        return text.getvalue()

    def to_frame(self) -> DataFrame:
        """Return the windows as a table of pandas, one row a window.

        The index is that of audformat's segmented tables: `file` (string), `start` and
        `end` (timedelta64[ns]). Columns: emotion (category), uncertain (boolean;
        missing without a threshold), one per emotion and one per dimension of the model
        (float64). Without speech there are no rows. `pandas.concat` joins recordings.

        Raises:
            ModuleNotFoundError: pandas is not installed (the extra `pandas`).
        """
        try:
            import pandas as pd  # noqa: PLC0415  # slow
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'pandas is not installed; run: pip install "espressivo[pandas]"',
                name="pandas",
            ) from error
        spans = [(e.segment.start, e.segment.end) for e in self.estimates]
        # Whole nanoseconds: a sample lasts 62,500 of them.
        times = np.array(spans, np.int64).reshape(-1, 2) * (10**9 // SAMPLE_RATE)
        starts, ends = times.astype("timedelta64[ns]").T
        files = pd.array([self.recording] * len(spans), dtype="string")
        index = pd.MultiIndex.from_arrays(
            [files, starts, ends], names=["file", "start", "end"]
        )
        emotions = [*map(str, self.emotions)]
        found = [str(e.emotion) for e in self.estimates]
        unsure = [self.is_uncertain(e) for e in self.estimates]
        names = [*emotions, *map(str, self.dimension_names)]
        values = [
            [*e.probabilities.values(), *(e.dimensions or {}).values()]
            for e in self.estimates
        ]
        columns = np.array(values, np.float64).reshape(-1, len(names)).T
        fixed = {
            "emotion": pd.Categorical(found, categories=emotions),
            "uncertain": pd.array(unsure, dtype="boolean"),
        }
        named = dict(zip(names, columns, strict=True))
        return pd.DataFrame({**fixed, **named}, index=index)

    def _verdict(
        self, probabilities: Mapping[Emotion, float], unsure: bool | None
    ) -> str:
        named = name_top(probabilities, 2 if unsure else 1)
        return f"uncertain ({named})" if unsure else named

    def _named_mean(
        self, estimates: Sequence[Estimate], earlier: Sequence[float]
    ) -> dict[Emotion, float] | None:
        """Return the mean of estimates' probabilities; None without any."""
        rows = [[*e.probabilities.values()] for e in estimates]
        if (mean := self._mean(rows, earlier)) is None:
            return None
        # float32 probabilities sum to 1 only approximately.
        return dict(zip(self.emotions, (mean / mean.sum()).tolist(), strict=True))

    def _mean(
        self, windows: Sequence[Sequence[float]], earlier: Sequence[float]
    ) -> NDArray[np.float64] | None:
        """Return the mean over windows by duration, with sums over older windows."""
        if not windows and not earlier:
            return None
        rows = np.array([*windows], np.float64)
        weights = np.array([e.segment.n_samples for e in self.estimates], np.float64)
        # Older windows enter as one row: their mean, weighted by their total length.
        if earlier and self.earlier:
            rows = np.vstack([rows.reshape(-1, len(earlier)), earlier])
            rows[-1] /= self.earlier.n_classified
            weights = np.append(weights, self.earlier.n_classified)
        mean: NDArray[np.float64] = np.average(rows, axis=0, weights=weights)
        return mean

    def _adaptation(self) -> dict[str, Any] | None:
        if (use := self.adaptation) is None:
            return None
        before = self.probabilities_without
        return {
            "speaker": use.speaker,
            "setting": use.setting,
            "recording": use.recording,
            "n_recordings": use.n_recordings,
            "n_windows": use.n_windows,
            "speech_s": round(use.speech_s, 3),
            "weight": round(use.weight, _DECIMALS),
            "offset": round(use.offset, _DECIMALS),
            "deviation": round(use.deviation, _DECIMALS),
            "prior_deviation": round(use.prior_deviation, _DECIMALS),
            "change": round(self.change, _DECIMALS),
            "emotion_without": self.emotion_without,
            "probabilities_without": before and _named(before),
            "distance": None if use.distance is None else round(use.distance, 2),
            "distance_limit": round(use.distance_limit, 2),
        }

    def _before(self) -> dict[str, Any]:
        if (earlier := self.earlier) is None:
            return {}
        until_s = round(earlier.until / SAMPLE_RATE, 3)
        return {"earlier": {"n_windows": earlier.n_windows, "until_s": until_s}}


def estimate_to_dict(
    estimate: Estimate, card: ModelCard, now_s: float
) -> dict[str, Any]:
    """Return an estimate of a stream as `espressivo listen --lines` prints it.

    Args:
        estimate: Estimate of one window.
        card: Card of the model.
        now_s: Length of the stream so far, in seconds.
    """
    return {
        "at_s": round(now_s, 3),
        "start_s": round(estimate.segment.start_s, 3),
        "end_s": round(estimate.segment.end_s, 3),
        "provisional": estimate.provisional,
        "emotion": estimate.emotion,
        "uncertain": card.certainty
        and card.certainty.is_uncertain(estimate.probabilities.values()),
        "probabilities": _named(estimate.probabilities),
        "dimensions": _rounded(estimate.dimensions),
    }


def name_top(probabilities: Mapping[Emotion, float], n: int = 2) -> str:
    """Return the `n` most probable emotions, such as `sadness 41%, neutral 38%`."""
    # Stable, so that of equal probabilities the emotion of the report comes first.
    order = sorted(probabilities.items(), key=lambda item: -item[1])[:n]
    return ", ".join(f"{emotion} {value:.0%}" for emotion, value in order)


def name_levels(dimensions: Mapping[Dimension, float]) -> str:
    """Return dimensions as text, such as `arousal 0.26, valence 0.21`."""
    return ", ".join(f"{name} {value:.2f}" for name, value in dimensions.items())


def moved(now: Estimate, before: Estimate) -> float:
    """Return the total variation distance of two estimates of one window, 0 to 1."""
    return total_variation(
        [*now.probabilities.values()], [*before.probabilities.values()]
    )


def total_variation(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the total variation distance of two distributions, 0 to 1.

    >>> total_variation([0.75, 0.25], [0.5, 0.5])
    0.25
    """
    # Half, since the sum counts moved probability twice: as loss and as gain.
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / 2


def round_to_one(probabilities: Sequence[float]) -> list[float]:
    """Return probabilities rounded to four decimals such that they sum to exactly 1.

    Rounding follows the largest remainder method (Hamilton).
    """
    units = 10**_DECIMALS
    exact = np.asarray(probabilities, np.float64) * units
    floors = np.floor(exact).astype(int)
    missing = round(float(exact.sum())) - int(floors.sum())
    # A stable sort breaks ties by the order of emotions, equally on every machine.
    for i in np.argsort(floors - exact, kind="stable")[:missing]:
        floors[i] += 1
    return [int(n) / units for n in floors]


def _named(probabilities: Mapping[Emotion, float]) -> dict[Emotion, float]:
    rounded = round_to_one([*probabilities.values()])
    return dict(zip(probabilities, rounded, strict=True))


def _cells(
    probabilities: Mapping[Emotion, float], dimensions: Mapping[Dimension, float] | None
) -> list[float]:
    levels = map(_decimals, (dimensions or {}).values())
    return [*round_to_one([*probabilities.values()]), *levels]


def _decimals(value: float) -> float:
    return round(value, _DECIMALS)


def _rounded(values: Mapping[Dimension, float] | None) -> dict[Dimension, float] | None:
    if values is None:
        return None
    return {name: _decimals(value) for name, value in values.items()}


def _cell(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _span(segment: Segment) -> dict[str, float]:
    return {"start_s": round(segment.start_s, 3), "end_s": round(segment.end_s, 3)}
