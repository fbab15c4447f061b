"""State of a stream: a value that can be saved and restored."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from espressivo.errors import StateError
from espressivo.model.window_statistics import WindowStatistics
from espressivo.speech.chunker import ChunkerState
from espressivo.speech.detector import RECENT, DetectorState
from espressivo.speech.quality import QualityState
from espressivo.speech.segments import SegmenterState, SpeechOptions
from espressivo.speech.windows import WindowerState
from espressivo.types import (
    Dimension,
    Earlier,
    Emotion,
    Estimate,
    Segment,
    Signal,
    to_estimates,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

FORMAT = "espressivo.stream/"
FORMAT_VERSION = 5
# 1 has no quality; 1 and 2 have other statistics of a speaker; 1 to 3 no dimensions; 1
# to 4 no names of columns, no settings of the detection and no digest of the profiles.
_READABLE = tuple(f"{FORMAT}{n}" for n in (1, 2, 3, 4, FORMAT_VERSION))
_OTHER_STATISTICS = _READABLE[:2]
_QUALITY = tuple(each.name for each in fields(QualityState))
_COUNTS = ("n_windows", "n_recordings", "n_samples")
_SUMS = ("cells", "weights", "sums", "mean", "scatter")
# Exceptions that numpy, zipfile and json raise for damaged content.
_UNREADABLE = (
    *(EOFError, OSError, ValueError, KeyError, TypeError),
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """Complete state of a stream between two chunks.

    It contains up to three windows of recent audio, so a saved state is private.

    Attributes:
        model_sha256: SHA-256 of the model's graph.
        speaker: Name of the speaker's profile; None without one.
        setting: Name of the setting; None without one.
        known: Short digest of what the profile and the setting know; empty if that was
            not saved.
        speech: Options of the speech segmentation; None if they were not saved.
        chunker: State of detector, segmenter, windower and quality; None at the
            beginning.
        pending: Samples of an incomplete frame.
        segments: Segments to list in the report, in order.
        estimates: Estimates of the windows to list in the report, in order.
        without: Estimates of the same windows without adaptation; empty if there is
            none.
        voices: Voice vectors of the same windows; empty if nobody asked for them.
        earlier: Sums over older windows.
        statistics: Statistics for updating a profile; None as `voices`.
    """

    model_sha256: str
    speaker: str | None
    setting: str | None = None
    known: str = ""
    speech: SpeechOptions | None = None
    chunker: ChunkerState | None = None
    pending: Signal = field(default_factory=lambda: np.zeros(0, np.float32))
    segments: tuple[Segment, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    without: tuple[Estimate, ...] = ()
    voices: tuple[NDArray[np.float32], ...] = ()
    earlier: Earlier = field(default_factory=Earlier)
    statistics: WindowStatistics | None = None

    def to_bytes(self) -> bytes:
        """Return the state as an .npz file: arrays and JSON, with CRC-32 checksums."""
        details: dict[str, Any] = {
            "schema": f"{FORMAT}{FORMAT_VERSION}",
            "model_sha256": self.model_sha256,
            "speaker": self.speaker,
            "setting": self.setting,
            "known": self.known,
            "speech": self.speech and asdict(self.speech),
            "earlier": asdict(self.earlier),
        }
        if self.estimates:
            first = self.estimates[0]
            details["emotions"] = [*first.probabilities]
            details["dimensions"] = [*(first.dimensions or {})]
        arrays: dict[str, NDArray[Any]] = {
            "pending": self.pending,
            "segments": _spans(self.segments),
            "spans": _spans([e.segment for e in self.estimates]),
            "rows": _rows(e.probabilities for e in self.estimates),
            "dimensions": _rows(e.dimensions or {} for e in self.estimates),
            "without": _rows(e.probabilities for e in self.without),
        }
        if (chunker := self.chunker) is not None:
            detector, windower = chunker.detector, chunker.windower
            arrays |= {
                "network": detector.network,
                "tail": detector.tail,
                "recent": detector.recent,
                "buffer": windower.buffer,
            }
            quality = chunker.quality
            arrays |= {f"quality_{n}": getattr(quality, n) for n in _QUALITY}
            # Keys of format 1 keep their old names, so that saved streams stay valid.
            details["cutter"] = {
                "loudest": detector.loudest,
                "segmenter": asdict(chunker.segmenter),
                "offset": windower.offset,
                "cut_until": windower.cut_until,
            }
        if (known := self.statistics) is not None:
            arrays |= {"voices": np.array(self.voices, np.float32)}
            arrays |= {f"voice_{name}": getattr(known, name) for name in _SUMS}
            details["statistics"] = {name: getattr(known, name) for name in _COUNTS}
        file = io.BytesIO()
        text = np.frombuffer(json.dumps(details).encode(), np.uint8)
        np.savez(file, details=text, **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> StreamState:
        """Return the state that `to_bytes` encoded.

        Raises:
            StateError: The content is damaged, of another kind, or of another version.
        """
        try:
            # Pickles can run code, and the content may come from an untrusted source.
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            details = json.loads(arrays["details"].tobytes())
            schema = str(details["schema"])
        except _UNREADABLE as error:
            raise StateError(
                f"the saved stream is damaged, or is none ({error}); begin a new one"
            ) from error
        if schema not in _READABLE:
            raise StateError(
                f"the saved stream is {schema}, and this version reads "
                f"{' and '.join(_READABLE)}; restore it with the version that saved it"
            )
        try:
            return _state(details, arrays)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StateError(
                f"the saved stream makes no sense ({error}); begin a new one"
            ) from error


def _state(details: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> StreamState:
    if details["schema"] in _OTHER_STATISTICS and details["speaker"] is not None:
        raise ValueError("it has a profile of an earlier version")
    chunker = statistics = None
    voices: tuple[NDArray[np.float32], ...] = ()
    if (known := details.get("cutter")) is not None:
        at = int(known["offset"]), int(known["cut_until"])
        chunker = ChunkerState(
            _detector(arrays, float(known["loudest"])),
            SegmenterState(**known["segmenter"]),
            WindowerState(arrays["buffer"], *at),
            _quality(details, arrays),
        )
    if (counts := details.get("statistics")) is not None:
        sums: dict[str, Any] = {name: arrays[f"voice_{name}"] for name in _SUMS}
        sums |= {name: int(counts[name]) for name in _COUNTS}
        statistics = WindowStatistics(**sums)
        statistics.require_possible()
        voices = tuple(arrays["voices"])
        n_columns = statistics.n_dims + 1 + statistics.n_axes
        if [v.shape for v in voices] != [(n_columns,)] * len(arrays["spans"]):
            raise ValueError("voices of another number or length")
    spans = [Segment(*span) for span in arrays["spans"].tolist()]
    earlier = dict(details["earlier"])
    for name in ("sums", "sums_without", "sums_dimensions"):
        earlier[name] = tuple(earlier.get(name, ()))
    columns = _columns(details, arrays)
    without = arrays["without"]
    speech = details.get("speech")
    return StreamState(
        model_sha256=str(details["model_sha256"]),
        speaker=details["speaker"],
        setting=details.get("setting"),
        known=str(details.get("known", "")),
        speech=speech and SpeechOptions(**speech),
        chunker=chunker,
        pending=arrays["pending"],
        segments=tuple(Segment(*span) for span in arrays["segments"].tolist()),
        estimates=_estimates(spans, arrays["rows"], columns),
        without=_estimates(spans, without, columns) if len(without) else (),
        voices=voices,
        earlier=Earlier(**earlier),
        statistics=statistics,
    )


def _quality(details: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> QualityState:
    # A stream of format 1 continues; its quality is that of what follows.
    if details["schema"] == _READABLE[0]:
        return QualityState.new()
    return QualityState(**{n: arrays[f"quality_{n}"] for n in _QUALITY})


def _detector(arrays: dict[str, NDArray[Any]], loudest: float) -> DetectorState:
    # Version 0.1 kept no levels of recent frames: as if all were as loud as the peak.
    recent = arrays.get("recent", np.full(RECENT, loudest))
    return DetectorState(arrays["network"], arrays["tail"], loudest, recent)


def _spans(segments: Sequence[Segment]) -> NDArray[np.int64]:
    return np.array([(s.start, s.end) for s in segments], np.int64).reshape(-1, 2)


def _rows(values: Iterable[Mapping[Any, float]]) -> NDArray[np.float64]:
    return np.array([[*each.values()] for each in values], np.float64)


class _Columns(NamedTuple):
    emotions: list[Emotion]
    dimensions: list[Dimension]
    levels: NDArray[np.float64]


def _columns(details: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> _Columns:
    rows = arrays["rows"]
    levels = arrays.get("dimensions", np.zeros((len(rows), 0)))
    # Earlier formats did not name them; every model of then had this order.
    emotions, dimensions = [*Emotion], [*Dimension][: levels.shape[-1]]
    return _Columns(
        [Emotion(name) for name in details.get("emotions", emotions)],
        [Dimension(name) for name in details.get("dimensions", dimensions)],
        levels,
    )


def _estimates(
    spans: Sequence[Segment], rows: NDArray[np.float64], columns: _Columns
) -> tuple[Estimate, ...]:
    emotions, dimensions, levels = columns
    return to_estimates(spans, emotions, rows, dimensions, levels)
