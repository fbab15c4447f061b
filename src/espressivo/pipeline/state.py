"""What a stream knows, as a value that can be written down and read again."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import StateError
from espressivo.model.speaker_statistics import SpeakerStatistics
from espressivo.report import Earlier
from espressivo.speech.chunker import ChunkerState
from espressivo.speech.detector import (
    DetectorState,
    SegmenterState,
)
from espressivo.speech.windows import WindowerState
from espressivo.types import Estimate, Segment, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORMAT = "espressivo.stream/"
FORMAT_VERSION = 1
_UNREADABLE = (
    *(EOFError, OSError, ValueError, KeyError, TypeError),
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """Everything that a stream knows between two chunks.

    It holds up to three windows of audio: what was said just now.

    Attributes:
        model_sha256: Of the model's graph.
        speaker: Whose profile it is judged by; None without.
        cutter: Of speech detector, hysteresis and windower; None at the beginning.
        pending: Samples that do not fill a frame yet.
        segments: Of which the report will tell.
        estimates: Of which the report will tell.
        without: The same windows, had there been no profile.
        earlier: Sums over older ones.
        voice: What a profile can learn; None without one.
    """

    model_sha256: str
    speaker: str | None
    cutter: ChunkerState | None
    pending: Signal
    segments: tuple[Segment, ...]
    estimates: tuple[Estimate, ...]
    without: tuple[Estimate, ...]
    earlier: Earlier
    speaker_statistics: SpeakerStatistics | None

    def to_bytes(self) -> bytes:
        """Return it as a file's content: a zip of arrays and JSON, with checksums."""
        details: dict[str, Any] = {
            "schema": f"{FORMAT}{FORMAT_VERSION}",
            "model_sha256": self.model_sha256,
            "speaker": self.speaker,
            "earlier": asdict(self.earlier),
        }
        arrays: dict[str, NDArray[Any]] = {
            "pending": self.pending,
            "segments": _spans(self.segments),
            "spans": _spans([e.segment for e in self.estimates]),
            "rows": np.array([e.probabilities for e in self.estimates]),
            "without": np.array([e.probabilities for e in self.without]),
        }
        if (cutter := self.cutter) is not None:
            detector, windower = cutter.detector, cutter.windower
            arrays |= {
                "network": detector.network,
                "tail": detector.tail,
                "buffer": windower.buffer,
            }
            details["cutter"] = {
                "loudest": detector.loudest,
                "segmenter": asdict(cutter.segmenter),
                "offset": windower.offset,
                "cut_until": windower.cut_until,
            }
        if (speaker_statistics := self.speaker_statistics) is not None:
            arrays |= {
                "mean": speaker_statistics.mean,
                "squares": speaker_statistics.squares,
            }
            details["voice"] = [
                speaker_statistics.n_windows,
                speaker_statistics.n_recordings,
                speaker_statistics.n_samples,
            ]
        file = io.BytesIO()
        text = np.frombuffer(json.dumps(details).encode(), np.uint8)
        np.savez(file, details=text, **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> StreamState:
        """Read what `to_bytes` wrote.

        Raises:
            StateError: It is something else, damaged, or of a later version.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            details = json.loads(arrays["details"].tobytes())
            schema = str(details["schema"])
        except _UNREADABLE as error:
            raise StateError(
                f"the saved stream is damaged, or is none ({error}); begin a new one"
            ) from error
        if schema != f"{FORMAT}{FORMAT_VERSION}":
            raise StateError(
                f"the saved stream is {schema}, and this version reads "
                f"{FORMAT}{FORMAT_VERSION}; restore it with the version that saved it"
            )
        try:
            return _state(details, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"the saved stream makes no sense ({error}); begin a new one"
            ) from error


def _state(details: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> StreamState:
    cutter = speaker_statistics = None
    if (known := details.get("cutter")) is not None:
        cutter = ChunkerState(
            DetectorState(arrays["network"], arrays["tail"], float(known["loudest"])),
            SegmenterState(**known["segmenter"]),
            WindowerState(
                arrays["buffer"], int(known["offset"]), int(known["cut_until"])
            ),
        )
    if (counts := details.get("voice")) is not None:
        n_windows, n_recordings, n_samples = map(int, counts)
        sums = arrays["mean"], arrays["squares"]
        speaker_statistics = SpeakerStatistics(
            n_windows, n_recordings, n_samples, *sums
        )
    spans = [Segment(*span) for span in arrays["spans"].tolist()]
    earlier = details["earlier"]
    return StreamState(
        model_sha256=str(details["model_sha256"]),
        speaker=details["speaker"],
        cutter=cutter,
        pending=arrays["pending"],
        segments=tuple(Segment(*span) for span in arrays["segments"].tolist()),
        estimates=_estimates(spans, arrays["rows"]),
        without=_estimates(spans, arrays["without"])
        if speaker_statistics is not None
        else (),
        earlier=Earlier(
            **{
                **earlier,
                "sums": tuple(earlier["sums"]),
                "sums_without": tuple(earlier["sums_without"]),
            }
        ),
        speaker_statistics=speaker_statistics,
    )


def _spans(segments: Sequence[Segment]) -> NDArray[np.int64]:
    return np.array([(s.start, s.end) for s in segments], np.int64).reshape(-1, 2)


def _estimates(
    spans: Sequence[Segment], rows: NDArray[np.float64]
) -> tuple[Estimate, ...]:
    return tuple(
        Estimate(span, tuple(row))
        for span, row in zip(spans, rows.tolist(), strict=True)
    )
