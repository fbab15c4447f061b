"""A model that analyses recordings and streams: samples -> report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espressivo.audio.recording import BLOCK_S, Recording, from_array
from espressivo.machine import n_cores
from espressivo.model.classifier import Classifier, load_classifier
from espressivo.model.find import DEFAULT, find_model
from espressivo.pipeline.analysis_pass import AnalysisPass
from espressivo.pipeline.recordings import run_recording
from espressivo.pipeline.stream import Stream
from espressivo.speech.segments import SpeechOptions
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from espressivo.pipeline.state import StreamState
    from espressivo.profile.profile import Profile
    from espressivo.report import Report
    from espressivo.types import Progress


def load_model(model: str | Path = DEFAULT, **options: Any) -> Analyzer:
    """Load a bundled model by name, or a model folder by path.

    Args:
        model: As `espressivo models` lists them, or a folder.
        options: As for `Analyzer`.

    Raises:
        ModelError: There is no such model, or it is not what its card says.
    """
    return Analyzer(load_classifier(find_model(model)), **options)


class Analyzer:
    """Find the emotion in recordings, with one model.

    Args:
        classifier: A loaded model.
        speech: When speech begins and ends.
        threads: How many windows are classified at once; by default one a core.
        batch_size: How many windows one call of the model takes.
        profile: Of the speaker in the recordings; it belongs to one model.

    Raises:
        ProfileError: The profile is of another model.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        speech: SpeechOptions | None = None,
        threads: int | None = None,
        batch_size: int = 4,
        profile: Profile | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; wanted 1 or more")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; wanted 1 or more")
        if profile is not None:
            profile.require_model(classifier)
        self.classifier = classifier
        self.profile = profile
        self.speech = speech or SpeechOptions()
        self.threads = threads or n_cores()
        self.batch_size = batch_size

    def with_profile(self, profile: Profile | None) -> Analyzer:
        """Return an analyzer of the same model for another profile, or for none.

        Raises:
            ProfileError: The profile is of another model.
        """
        return Analyzer(
            self.classifier,
            speech=self.speech,
            threads=self.threads,
            batch_size=self.batch_size,
            profile=profile,
        )

    def stream(
        self,
        *,
        hop_s: float = 2.0,
        history: int = 10_000,
        state: StreamState | None = None,
    ) -> Stream:
        """Analyse sound while it comes in: `push` chunks, then `finish`.

        The report equals that of `analyze` for the same samples (probabilities to
        0.00001), however they are cut into chunks.

        Args:
            hop_s: How often speech is estimated while it goes on, before its window is
                certain, in seconds; 0: never. It changes nothing in the report.
            history: How many windows the report names; of older ones only sums are
                kept, so that memory is bounded.
            state: Where a stream of the same model and profile stopped.

        Raises:
            StateError: The state is of another model, or of another profile.
        """
        return Stream(
            self.classifier,
            self.speech,
            self.profile,
            hop_s=hop_s,
            history=history,
            state=state,
        )

    def analyze(
        self,
        recording: str | Path | NDArray[Any],
        *,
        sample_rate: int = SAMPLE_RATE,
        name: str | None = None,
        block_s: float = BLOCK_S,
        progress: Progress | None = None,
    ) -> Report:
        """Analyse a file or an array, however long.

        With a profile, every window is judged by what the profile held before; the
        report's `speaker_statistics` are what the profile can learn from it.

        Args:
            recording: A path, or samples [samples]: floats in -1..1 or PCM integers.
            sample_rate: Sample rate of an array, in Hz; files declare their own.
            name: What the report calls the recording; by default its path.
            block_s: Seconds decoded at a time; changes memory, not the report.
            progress: Called after every block.

        Raises:
            AudioError: The recording cannot be read, or the array is not audio.
        """
        if isinstance(recording, str | Path):
            opened = Recording(recording, name)
            blocks, warnings = opened.blocks(block_s), opened.warnings
            label, total_s = opened.name, opened.duration_s
        else:
            signal = from_array(recording, sample_rate)
            size = max(1, round(block_s * SAMPLE_RATE))
            blocks = (signal[i : i + size] for i in range(0, len(signal), size))
            label, total_s = name or "array", len(signal) / SAMPLE_RATE
            warnings = []
        analysis = AnalysisPass(self.classifier, self.speech, self.profile)
        with closing(blocks):  # the file too, when it ends before its time
            run_recording(
                analysis,
                _counted(blocks, total_s, progress),
                threads=self.threads,
                batch_size=self.batch_size,
            )
        return analysis.report(label, warnings)


def _counted(
    blocks: Iterable[Signal], total_s: float | None, progress: Progress | None
) -> Iterator[Signal]:
    n = 0
    for block in blocks:
        yield block  # first: progress counts what was analysed, not what was decoded
        n += len(block)
        if progress is not None:
            progress(n / SAMPLE_RATE, total_s)
