"""The analyzer: a model that turns recordings and streams into reports."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from espressivo.audio.blocks import BLOCK_S
from espressivo.audio.channels import channel_name
from espressivo.audio.sources import kept, open_source
from espressivo.machine import n_cores
from espressivo.model.classifier import Classifier, load_classifier
from espressivo.model.find import DEFAULT, find_model
from espressivo.pipeline.analysis_pass import AnalysisPass
from espressivo.pipeline.recordings import run_recording
from espressivo.pipeline.stream import Stream
from espressivo.pipeline.window_classifier import AdaptationOptions, WindowClassifier
from espressivo.profile.profile import Profile
from espressivo.speech.segments import SpeechOptions
from espressivo.types import SAMPLE_RATE, Segment, Signal

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from espressivo.audio.arrays import ArrayRecording
    from espressivo.audio.recording import Recording
    from espressivo.audio.sources import Content
    from espressivo.pipeline.state import StreamState
    from espressivo.report import Report
    from espressivo.speech.windows import Window
    from espressivo.types import Progress

_Result = TypeVar("_Result")


class Embeddings(NamedTuple):
    """Embeddings of the windows of one recording, in order.

    Attributes:
        segments: Span of each window.
        vectors: float32 [windows, width], the input of the classifying layers.
    """

    segments: tuple[Segment, ...]
    vectors: NDArray[np.float32]


def load_model(model: str | Path = DEFAULT, **options: Any) -> Analyzer:
    """Load a bundled or pulled model by name, or a model folder by path.

    Args:
        model: Name of a model (`espressivo models` lists them), or a folder.
        options: Keyword arguments of `Analyzer`.

    Raises:
        ModelError: There is no such model, or its files do not match its card.
    """
    return Analyzer(load_classifier(find_model(model)), **options)


class Analyzer:
    """Emotion recognition in recordings and streams with one model.

    Args:
        classifier: A loaded model.
        speech: Thresholds and durations of the speech segmentation; None: defaults.
        threads: Number of batches classified in parallel; None: one per core.
        batch_size: Number of windows per call of the model.
        profile: Profile of the speaker, or its name or path as `Profile.load` takes it;
            None: an unknown speaker.
        setting: The same of the setting (microphone, room, language).
        adapt: Judge the windows of a recording together, as those of one speaker in one
            setting. Files and arrays only: a stream's end is not known.
        voices: Let reports contain voices and their statistics, which profiles learn
            from, without adaptation too.

    Raises:
        ModelError: Adaptation or voices are wanted, and the model cannot adapt.
        ProfileError: There is no such profile, or it belongs to another model; or a
            setting is given as `profile`, or a speaker as `setting`.
        ValueError: `threads` or `batch_size` is less than 1.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        speech: SpeechOptions | None = None,
        threads: int | None = None,
        batch_size: int = 4,
        profile: Profile | str | Path | None = None,
        setting: Profile | str | Path | None = None,
        adapt: bool = False,
        voices: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; wanted 1 or more")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; wanted 1 or more")
        known = _loaded("profile", profile), _loaded("setting", setting)
        options = AdaptationOptions(*known, adapt, voices)
        self._windows = WindowClassifier(classifier, options)
        self.speech = speech or SpeechOptions()
        self.threads = threads or n_cores()
        self.batch_size = batch_size

    @property
    def classifier(self) -> Classifier:
        """The model."""
        return self._windows.classifier

    @property
    def profile(self) -> Profile | None:
        """Profile of the speaker; None: an unknown speaker."""
        return self._windows.options.profile

    @property
    def setting(self) -> Profile | None:
        """Profile of the setting; None: an unknown setting."""
        return self._windows.options.setting

    def with_profile(
        self,
        profile: Profile | str | Path | None,
        setting: Profile | str | Path | None = None,
    ) -> Analyzer:
        """Return an analyzer with the same model and options and other profiles.

        Args:
            profile: Profile of the speaker, or its name or path; None: an unknown
                speaker.
            setting: The same of the setting.

        Raises:
            ModelError: The model cannot adapt.
            ProfileError: There is no such profile, or one belongs to another model or
                is of another kind.
        """
        return Analyzer(
            self.classifier,
            speech=self.speech,
            threads=self.threads,
            batch_size=self.batch_size,
            profile=profile,
            setting=setting,
            adapt=self._windows.options.recording,
            voices=self._windows.options.voices,
        )

    def stream(
        self,
        *,
        hop_s: float = 2.0,
        history: int = 10_000,
        state: StreamState | None = None,
    ) -> Stream:
        """Return a new stream, which analyses a signal while it arrives.

        Call `push` for each chunk, then `finish`. The report equals that of `analyze`
        for the same samples (probabilities to 0.00001), whatever the chunks.

        Args:
            hop_s: Interval of provisional estimates of open segments, in seconds; 0:
                none. They do not change the report.
            history: Number of windows that the report lists. Older ones are reduced to
                sums, so that memory is bounded.
            state: State to continue from, saved with the same model and profiles; None:
                the beginning of a recording.

        Raises:
            StateError: The state belongs to another model, profile or setting.
            ValueError: The analyzer is to `adapt` to recordings, whose end is unknown.
        """
        return Stream(
            self._windows,
            self.speech,
            hop_s=hop_s,
            history=history,
            state=state,
        )

    def analyze(
        self,
        recording: str | os.PathLike[Any] | Content | ArrayLike,
        *,
        sample_rate: int = SAMPLE_RATE,
        name: str | None = None,
        track: int | None = None,
        headerless: str | None = None,
        block_s: float = BLOCK_S,
        progress: Progress | None = None,
        max_duration_s: float | None = None,
    ) -> Report:
        """Return the report of a recording of any length.

        Profiles are not updated by the analysis: every window is adapted to the same
        statistics. `Profile.merged` or `profile.learn` adds the report's `statistics`
        to one.

        Args:
            recording: Path; an open binary file, or the bytes of a file; or an array
                [samples], [samples, channels] or [channels, samples]: floats in -1..1,
                or PCM of type int16, int32 or uint8.
            sample_rate: Sample rate of an array, in Hz; files declare their own.
            name: Name of the recording in the report; None: its path.
            track: Number of the audio track of a file, from 1; None: the default track.
            headerless: Format of a file without a header, such as `g722` or
                `s16le:8000`; None: by the ending of its name.
            block_s: Length of decoded blocks, in seconds; it affects memory only.
            progress: Callback after every block, in seconds of audio.
            max_duration_s: Longest duration of a file, in seconds; None: any. A file
                that announces more is not decoded.

        Raises:
            AudioError: The recording cannot be read or is too long, or the array is not
                audio.
        """
        # The caller's settings may raise, and sound has denormal numbers.
        with np.errstate(all="ignore"):
            source = open_source(
                recording,
                sample_rate=sample_rate,
                name=name,
                track=track,
                headerless=headerless,
                max_duration_s=max_duration_s,
            )
            analysis = self._analyzed(source, block_s, progress)
            return _report(analysis, source, source.name, source.channels)

    def analyze_channels(
        self,
        recording: str | os.PathLike[Any] | Content | ArrayLike,
        *,
        block_s: float = BLOCK_S,
        progress: Progress | None = None,
        **options: Any,
    ) -> list[Report]:
        """Return a report of each channel, such as those of a call's two people.

        The channels are neither compared nor mixed; a channel that nobody speaks in has
        a report without speech. Their names are `call.wav [left]`, `call.wav [right]`,
        or `[channel 3]` of more than two, and `Report.channels` tells the channel. A
        recording of one channel has one report, that of `analyze`.

        The recording is decoded once for each channel, so memory is constant.

        Args:
            recording: As for `analyze`. A stream is copied to an unnamed temporary
                file first.
            block_s: As for `analyze`.
            progress: As for `analyze`; it begins anew with each channel.
            options: `sample_rate`, `name`, `track` and `headerless` of `analyze`.

        Raises:
            AudioError: The recording cannot be read, or the array is not audio.
        """
        reports: list[Report] = []
        name = options.pop("name", None)
        with np.errstate(all="ignore"), kept(recording, name) as (content, kept_name):
            n_channels = 1
            while (i := len(reports)) < n_channels:
                source = open_source(content, name=kept_name, channel=i, **options)
                analysis = self._analyzed(source, block_s, progress)
                n_channels = source.n_channels
                channel = channel_name(i, n_channels)
                called = f"{source.name} [{channel}]" if n_channels > 1 else source.name
                reports.append(_report(analysis, source, called, channel))
        return reports

    def embed(
        self,
        recording: str | os.PathLike[Any] | Content | ArrayLike,
        *,
        block_s: float = BLOCK_S,
        progress: Progress | None = None,
        **options: Any,
    ) -> Embeddings:
        """Return the model's embedding of each window, for classifiers of your own.

        The windows are those of `analyze`. Profiles do not change embeddings.

        >>> import espressivo
        >>> analyzer = espressivo.load_model("espressivo-tiny")
        >>> segments, vectors = analyzer.embed("examples/voice-note.m4a")
        >>> len(segments), vectors.shape, vectors.dtype
        (4, (4, 1152), dtype('float32'))

        Args:
            recording: As for `analyze`.
            block_s: As for `analyze`.
            progress: As for `analyze`.
            options: `sample_rate`, `name`, `track` and `headerless` of `analyze`.

        Raises:
            AudioError: The recording cannot be read, or the array is not audio.
            ModelError: The model has no output `embedding`.
        """
        width = self.classifier.embedding_width  # before the recording is decoded
        with np.errstate(all="ignore"):
            source = open_source(recording, **options)
            analysis = AnalysisPass(self._windows, self.speech)
            found = self._run(analysis, source, self._windows.embed, block_s, progress)
        vectors = np.array([vector for _, vector in found], np.float32)
        return Embeddings(
            tuple(segment for segment, _ in found),
            vectors.reshape(len(found), -1) if found else vectors.reshape(0, width),
        )

    def _analyzed(
        self,
        source: Recording | ArrayRecording,
        block_s: float,
        progress: Progress | None,
    ) -> AnalysisPass:
        """Return the finished pass over a recording."""
        analysis = AnalysisPass(self._windows, self.speech, loudness=True)
        predict = self._windows.predict
        # All at once: adapted in parts, they might differ in the last digit.
        analysis.add(self._run(analysis, source, predict, block_s, progress))
        return analysis

    def _run(
        self,
        analysis: AnalysisPass,
        source: Recording | ArrayRecording,
        predict: Callable[[Sequence[Window]], list[_Result]],
        block_s: float,
        progress: Progress | None,
    ) -> list[_Result]:
        blocks = source.blocks(block_s)
        with closing(blocks):  # also closes the file if the analysis is aborted
            return run_recording(
                analysis,
                _counted(blocks, source.duration_s, progress),
                predict,
                threads=self.threads,
                batch_size=self.batch_size,
            )


def _loaded(role: str, given: Profile | str | Path | None) -> Profile | None:
    if isinstance(given, str | Path):
        return Profile.load(given)
    if not isinstance(given, Profile | None):
        raise TypeError(
            f"{role} is of type {type(given).__name__}; wanted a Profile, its name or "
            "its path"
        )
    return given


def _report(
    analysis: AnalysisPass,
    source: Recording | ArrayRecording,
    name: str,
    channels: str,
) -> Report:
    return analysis.report(
        name,
        source.warnings,
        track=source.track,
        channels=channels,
        gaps=source.gaps,
    )


def _counted(
    blocks: Iterable[Signal], total_s: float | None, progress: Progress | None
) -> Iterator[Signal]:
    n = 0
    for block in blocks:
        yield block  # before the callback: progress counts analysed, not decoded audio
        n += len(block)
        if progress is not None:
            progress(n / SAMPLE_RATE, total_s)
