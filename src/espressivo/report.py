"""The report of one recording: windows, their weighted mean, and its JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.types import SAMPLE_RATE, Emotion, Estimate, Segment
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.model.speaker_statistics import SpeakerStatistics

SCHEMA = "espressivo.report/1"
"""Name and version of the JSON that `Report.to_dict` returns."""

_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class ProfileUse:
    """How a speaker's profile changed a report.

    Attributes:
        speaker: Whose profile it is.
        n_recordings: How many recordings the profile had learned from.
        n_windows: How many windows these held.
        speech_s: How much speech these held, in seconds.
        trust: Weight of the profile against the population, 0 to 1.
        distance: How far this recording is from the profile, 1 being usual for the same
            voice; None when one of the two holds no speech.
        distance_limit: A larger distance means that it is probably someone else.
        without: The estimates of the windows without the profile.
    """

    speaker: str
    n_recordings: int
    n_windows: int
    speech_s: float
    trust: float
    distance: float | None
    distance_limit: float
    without: tuple[Estimate, ...]

    @property
    def fits(self) -> bool | None:
        """Whether the voice is like the profile's; None when that cannot be told."""
        return None if self.distance is None else self.distance <= self.distance_limit

    @property
    def warning(self) -> str | None:
        """What to tell the user when the voice is not the profile's."""
        if self.fits is not False:
            return None
        return (
            f"the voice does not fit profile '{self.speaker}': its distance is "
            f"{self.distance:.1f}, and {self.distance_limit:.1f} is rarely exceeded by "
            "the same voice; is it someone else?"
        )


@dataclass(frozen=True, slots=True)
class Earlier:
    """Sums over windows of a stream that the report does not name any more.

    Attributes:
        n_windows: How many windows.
        n_speech: How much speech lies before the report's first segment, in samples.
        until: End of the last of these windows, in samples.
        n_classified: Length of these windows together, in samples.
        sums: Their probabilities times their lengths, one per emotion.
        sums_without: The same without the profile; empty without one.
    """

    n_windows: int = 0
    n_speech: int = 0
    until: int = 0
    n_classified: int = 0
    sums: tuple[float, ...] = ()
    sums_without: tuple[float, ...] = ()

    def with_window(self, window: Estimate, without: Estimate | None) -> Earlier:
        """Return the sums after one more window.

        Args:
            window: The next one in order.
            without: The same window without the profile; None without one.
        """
        n = window.segment.n_samples
        plain = without and _added(self.sums_without, without.probabilities, n)
        return replace(
            self,
            n_windows=self.n_windows + 1,
            until=window.segment.end,
            n_classified=self.n_classified + n,
            sums=_added(self.sums, window.probabilities, n),
            sums_without=plain or (),
        )


def _added(
    sums: tuple[float, ...], probabilities: tuple[float, ...], n_samples: int
) -> tuple[float, ...]:
    sums = sums or (0.0,) * len(probabilities)
    return tuple(s + p * n_samples for s, p in zip(sums, probabilities, strict=True))


@dataclass(frozen=True, slots=True)
class Report:
    """The emotion in one recording, and when.

    Attributes:
        recording: Name of the recording, as it was given.
        model: Name of the model.
        model_version: Version of the model.
        model_sha256: Hash of the model's graph.
        emotions: The order of all probabilities.
        duration_s: Length of the recording that was read, in seconds.
        segments: Where someone speaks, in order.
        estimates: The windows inside them, in order.
        warnings: What went wrong without being fatal.
        profile: What the speaker's profile did; None without one.
        speaker_statistics: What a profile can learn from the recording; None unless it
            was analysed with one.
        earlier: Sums over the older windows of a long stream; None otherwise.
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
    profile: ProfileUse | None = None
    speaker_statistics: SpeakerStatistics | None = field(
        default=None, compare=False, repr=False
    )
    earlier: Earlier | None = None

    @property
    def speech_s(self) -> float:
        """Seconds of speech."""
        before = self.earlier.n_speech if self.earlier else 0
        return (before + sum(s.n_samples for s in self.segments)) / SAMPLE_RATE

    @property
    def speech_share(self) -> float:
        """Share of the recording that is speech, 0 to 1."""
        return min(1.0, self.speech_s / self.duration_s) if self.duration_s else 0.0

    @property
    def probabilities(self) -> dict[Emotion, float] | None:
        """The windows' mean, weighted by duration; None without speech.

        Source: Ismail (2025), section III-F; weights by duration are ours.
        """
        return self._mean(self.estimates, self.earlier.sums if self.earlier else ())

    @property
    def probabilities_without(self) -> dict[Emotion, float] | None:
        """The same without the profile; None without speech or profile."""
        if self.profile is None:
            return None
        earlier = self.earlier.sums_without if self.earlier else ()
        return self._mean(self.profile.without, earlier)

    @property
    def change(self) -> float:
        """How much probability the profile moved from one emotion to others, 0 to 1."""
        now, before = self.probabilities, self.probabilities_without
        if now is None or before is None:
            return 0.0
        return sum(abs(now[e] - before[e]) for e in self.emotions) / 2

    @property
    def emotion(self) -> Emotion | None:
        """The most probable emotion of the whole; None without speech."""
        if (whole := self.probabilities) is None:
            return None
        return max(whole, key=lambda emotion: whole[emotion])

    def emotion_of(self, estimate: Estimate) -> Emotion:
        """Return the most probable emotion of one window."""
        return self.emotions[int(np.argmax(estimate.probabilities))]

    def to_dict(self) -> dict[str, Any]:
        """Return what `docs/report.schema.json` describes."""
        whole = self.probabilities
        return {
            "schema": SCHEMA,
            "espressivo": __version__,
            "recording": self.recording,
            "model": {
                "name": self.model,
                "version": self.model_version,
                "sha256": self.model_sha256,
            },
            "duration_s": round(self.duration_s, 3),
            "speech_s": round(self.speech_s, 3),
            "speech_share": round(self.speech_share, _DECIMALS),
            "emotion": self.emotion,
            "probabilities": None if whole is None else self._named([*whole.values()]),
            "segments": [_span(s) for s in self.segments],
            "windows": [
                {
                    **_span(e.segment),
                    "emotion": self.emotion_of(e),
                    "probabilities": self._named(e.probabilities),
                }
                for e in self.estimates
            ],
            "warnings": list(self.warnings),
            "profile": self._use(),
            **self._before(),
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return `to_dict` as JSON; `indent=None` gives a single line."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def to_csv(self, *, header: bool = True) -> str:
        """Return one row a window, then one for the whole recording.

        Columns: recording, part (`window` or `recording`), start_s, end_s, emotion and
        one per emotion. Without speech, the only row has no emotion.
        """
        text = io.StringIO()
        write = csv.writer(text, lineterminator="\n").writerow
        if header:
            fixed = ["recording", "part", "start_s", "end_s", "emotion"]
            write([*fixed, *self.emotions])
        for e in self.estimates:
            span = _span(e.segment).values()
            shown = round_to_one(e.probabilities)
            write([self.recording, "window", *span, self.emotion_of(e), *shown])
        whole = self.probabilities
        mean = round_to_one([*whole.values()]) if whole else [""] * len(self.emotions)
        end = round(self.duration_s, 3)
        write([self.recording, "recording", 0.0, end, self.emotion or "", *mean])
        return text.getvalue()

    def _mean(
        self, estimates: Sequence[Estimate], earlier: Sequence[float]
    ) -> dict[Emotion, float] | None:
        if not estimates and not earlier:
            return None
        rows = np.array([*(e.probabilities for e in estimates)], np.float64)
        weights = np.array([e.segment.n_samples for e in estimates], np.float64)
        if earlier and self.earlier:
            rows = np.vstack([rows.reshape(-1, len(earlier)), earlier])
            rows[-1] /= self.earlier.n_classified
            weights = np.append(weights, self.earlier.n_classified)
        mean = np.average(rows, axis=0, weights=weights)
        # Rows of float32 sum to 1 only nearly.
        return dict(zip(self.emotions, (mean / mean.sum()).tolist(), strict=True))

    def _use(self) -> dict[str, Any] | None:
        if (use := self.profile) is None:
            return None
        before = self.probabilities_without
        return {
            "speaker": use.speaker,
            "n_recordings": use.n_recordings,
            "n_windows": use.n_windows,
            "speech_s": round(use.speech_s, 3),
            "trust": round(use.trust, _DECIMALS),
            "distance": None if use.distance is None else round(use.distance, 2),
            "distance_limit": round(use.distance_limit, 2),
            "fits": use.fits,
            "change": round(self.change, _DECIMALS),
            "emotion_without": before and max(before, key=lambda e: before[e]),
            "probabilities_without": before and self._named([*before.values()]),
        }

    def _before(self) -> dict[str, Any]:
        if (earlier := self.earlier) is None:
            return {}
        until_s = round(earlier.until / SAMPLE_RATE, 3)
        return {"earlier": {"n_windows": earlier.n_windows, "until_s": until_s}}

    def _named(self, probabilities: Sequence[float]) -> dict[Emotion, float]:
        return dict(zip(self.emotions, round_to_one(probabilities), strict=True))


def estimate_to_dict(
    estimate: Estimate, emotions: Sequence[Emotion], now_s: float
) -> dict[str, Any]:
    """Return what `espressivo listen --lines` prints of an estimate.

    Args:
        estimate: Of a stream.
        emotions: The order of its probabilities.
        now_s: How much of the stream has come in, in seconds.
    """
    best = estimate.probabilities.index(max(estimate.probabilities))
    shown = round_to_one(estimate.probabilities)
    return {
        "at_s": round(now_s, 3),
        "start_s": round(estimate.segment.start_s, 3),
        "end_s": round(estimate.segment.end_s, 3),
        "provisional": estimate.provisional,
        "emotion": emotions[best],
        "probabilities": dict(zip(emotions, shown, strict=True)),
    }


def round_to_one(probabilities: Sequence[float]) -> list[float]:
    """Round to four decimals such that the sum stays exactly 1.

    The largest remainders are rounded up, as seats are in elections (Hamilton).
    """
    units = 10**_DECIMALS
    exact = np.asarray(probabilities, np.float64) * units
    floors = np.floor(exact).astype(int)
    missing = round(float(exact.sum())) - int(floors.sum())
    # Stable: of equal remainders the first emotion is rounded up, on every machine.
    for i in np.argsort(floors - exact, kind="stable")[:missing]:
        floors[i] += 1
    return [int(n) / units for n in floors]


def _span(segment: Segment) -> dict[str, float]:
    return {"start_s": round(segment.start_s, 3), "end_s": round(segment.end_s, 3)}
