"""Classification of windows, with optional adaptation to speaker and setting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from espressivo.model.adaptation import adapt, distance, infer
from espressivo.profile.profile import Kind, warning_of_several
from espressivo.report import Adaptation
from espressivo.types import SAMPLE_RATE, to_estimates, to_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.model.adaptation import AdaptationCard, Posterior
    from espressivo.model.classifier import Classifier
    from espressivo.model.window_statistics import WindowStatistics
    from espressivo.profile.profile import Profile
    from espressivo.speech.windows import Window
    from espressivo.types import Estimate, Segment


class Prediction(NamedTuple):
    """Output of the model for one window.

    Attributes:
        plain: Estimate without adaptation.
        voice: Voice vector, float32 [columns]; None if nobody asked for it.
    """

    plain: Estimate
    voice: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class AdaptationOptions:
    """What the windows of a recording are adapted to; by default nothing.

    Attributes:
        profile: Profile of the speaker; None: an unknown one.
        setting: Profile of the setting; None: an unknown one.
        recording: Whether the windows of a recording are one another's history.
        voices: Whether reports contain voices and their statistics in any case.
    """

    profile: Profile | None = None
    setting: Profile | None = None
    recording: bool = False
    voices: bool = False

    @property
    def adapts(self) -> bool:
        """Whether estimates may differ from those of the plain model."""
        return bool(self.profile or self.setting or self.recording)

    def require_fit(self, classifier: Classifier) -> None:
        """Check that the model can do what is asked for.

        Raises:
            ModelError: The model cannot adapt.
            ProfileError: A profile is of another model, or a speaker's profile is
                given as a setting, or a setting as a speaker.
        """
        for found, kind in (
            (self.profile, Kind.SPEAKER),
            (self.setting, Kind.SETTING),
        ):
            if found is not None:
                found.require_kind(kind)
                found.require_model(classifier)
        if self.recording or self.voices:
            classifier.require_adaptation()


class WindowClassifier:
    """A classifier of windows: a model, and what it is adapted to; thread-safe.

    Args:
        classifier: A loaded model.
        options: What windows are adapted to.

    Attributes:
        known: Digests of the profile and of the setting, which change as they learn.

    Raises:
        ModelError: The model cannot adapt.
        ProfileError: A profile is of another model or kind.
    """

    def __init__(self, classifier: Classifier, options: AdaptationOptions) -> None:
        options.require_fit(classifier)
        self.classifier, self.options = classifier, options
        # Once, and not for each recording: the profiles do not change.
        self._posterior = self._infer(_known(options.profile))
        profiles = options.profile, options.setting
        self.known = "-".join("" if each is None else each.digest for each in profiles)

    @property
    def hears_voices(self) -> bool:
        """Whether predictions have voice vectors."""
        return self.options.adapts or self.options.voices

    def predict(self, windows: Sequence[Window]) -> list[Prediction]:
        """Run the model on one batch; thread-safe.

        Args:
            windows: One or more windows of equal length.
        """
        signals = _stacked(windows)
        names = ["probabilities"]
        names += ["dimensions"] if self.classifier.card.dimensions else []
        names += ["voice"] if self.hears_voices else []
        found = self.classifier.run(signals, *names)
        outputs = dict(zip(names, found, strict=True))
        card = self.classifier.card
        estimates = to_estimates(
            [window.segment for window in windows],
            card.emotions,
            outputs["probabilities"],
            card.dimensions,
            outputs.get("dimensions"),
        )
        voices = outputs.get("voice", [None] * len(estimates))
        pairs = zip(estimates, voices, strict=True)
        return [Prediction(estimate, voice) for estimate, voice in pairs]

    def embed(
        self, windows: Sequence[Window]
    ) -> list[tuple[Segment, NDArray[np.float32]]]:
        """Return span and embedding [width] of each window of one batch; thread-safe.

        Args:
            windows: One or more windows of equal length.

        Raises:
            ModelError: The model has no output `embedding`.
        """
        (vectors,) = self.classifier.run(_stacked(windows), "embedding")
        spans = [window.segment for window in windows]
        return list(zip(spans, vectors, strict=True))

    def posterior(self, recording: WindowStatistics | None = None) -> Posterior | None:
        """Return what is known of the speaker and the setting; None: nothing.

        Args:
            recording: Statistics of a recording, which are a part of the history if the
                options say so; None: the profiles alone.
        """
        if recording is None or not self.options.recording:
            return self._posterior
        return self._infer(self._history(recording))

    def adapt(
        self,
        plain: Sequence[Estimate],
        voices: Sequence[NDArray[np.float32]],
        posterior: Posterior | None,
    ) -> list[Estimate]:
        """Return the adapted estimates of windows.

        Args:
            plain: Estimates without adaptation.
            voices: Voice vectors of the same windows.
            posterior: What is known of the speaker and the setting.
        """
        # Without a history, not even the last digit may change.
        if posterior is None or not plain:
            return [*plain]
        card = self.classifier.require_adaptation()
        adapted = adapt(card, posterior, to_rows(plain), np.stack(voices))
        emotions = self.classifier.card.emotions
        return [
            replace(estimate, probabilities=dict(zip(emotions, row, strict=True)))
            for estimate, row in zip(plain, adapted.tolist(), strict=True)
        ]

    def effect(
        self,
        posterior: Posterior | None,
        recording: WindowStatistics,
        without: Sequence[Estimate],
    ) -> Adaptation | None:
        """Return what a recording was adapted to; None without adaptation.

        Args:
            posterior: What was known of the speaker and the setting.
            recording: Statistics of the recording alone.
            without: Estimates of its windows without adaptation.
        """
        options, card = self.options, self.classifier.card.adaptation
        if card is None or not options.adapts:
            return None
        known = _known(options.profile)
        speaker = self._history(recording) if options.recording else known
        heard = [s for s in (speaker, _known(options.setting)) if s is not None]
        apart = None
        if known is not None and known.n_windows and recording.n_windows:
            apart = distance(recording, known)
        return Adaptation(
            speaker=None if options.profile is None else options.profile.name,
            setting=None if options.setting is None else options.setting.name,
            recording=options.recording,
            **what_is_known(card, posterior, heard),
            distance=apart,
            distance_limit=card.distance_limit,
            several=self._several(speaker),
            without=tuple(without),
        )

    def _several(self, speaker: WindowStatistics | None) -> str | None:
        """Return a warning if the history seems to be of several speakers; or None."""
        card, profile = self.classifier.card.adaptation, self.options.profile
        if card is None or speaker is None:
            return None
        if profile is None:
            remedy = "analyse each person's part by itself"
            return warning_of_several(card, speaker, "the recording", remedy)
        name = f"profile '{profile.name}'"
        if self.options.recording:
            name += " with the recording"
        return warning_of_several(card, speaker, name)

    def _history(self, recording: WindowStatistics) -> WindowStatistics:
        """Return the speaker's windows: those of the profile and of the recording."""
        known = _known(self.options.profile)
        return recording if known is None else known.merged(recording)

    def _infer(self, speaker: WindowStatistics | None) -> Posterior | None:
        if not self.options.adapts:
            return None
        card = self.classifier.require_adaptation()
        return infer(card, speaker, _known(self.options.setting))


def _stacked(windows: Sequence[Window]) -> NDArray[np.float32]:
    """Return the windows' samples, [B, samples]."""
    return np.stack([window.signal for window in windows])


def what_is_known(
    card: AdaptationCard,
    posterior: Posterior | None,
    heard: Sequence[WindowStatistics],
) -> dict[str, Any]:
    """Return the fields of `Adaptation` that say how much is known, and from what.

    Args:
        card: Card of the model.
        posterior: What is known of the speaker and the setting; None: nothing.
        heard: Statistics that it was inferred from.
    """
    n = 0.0 if posterior is None else posterior.weight
    prior = card.prior_deviation
    return {
        "n_recordings": sum(s.n_recordings for s in heard),
        "n_windows": sum(s.n_windows for s in heard),
        "speech_s": sum(s.n_samples for s in heard) / SAMPLE_RATE,
        "weight": n / (n + card.patience),
        "offset": 0.0 if posterior is None else float(np.linalg.norm(posterior.offset)),
        "deviation": prior if posterior is None else posterior.deviation,
        "prior_deviation": prior,
    }


def _known(profile: Profile | None) -> WindowStatistics | None:
    return None if profile is None else profile.statistics
