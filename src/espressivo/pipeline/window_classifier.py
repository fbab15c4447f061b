"""Classification of windows, with optional adaptation to a speaker's profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espressivo.model.speaker_statistics import features_of
from espressivo.report import ProfileUse
from espressivo.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from espressivo.model.classifier import Classifier
    from espressivo.model.speaker_statistics import SpeakerStatistics
    from espressivo.profile.profile import Profile
    from espressivo.speech.windows import Window
    from espressivo.types import Segment


class Prediction(NamedTuple):
    """Output of the model for one window.

    Attributes:
        plain: Estimate without a profile.
        embedding: Embedding, float32 [width]; None without a profile.
    """

    plain: Estimate
    embedding: NDArray[np.float32] | None = None


class Adapted(NamedTuple):
    """Final estimate of one window, and its features for updating a profile.

    Attributes:
        estimate: Estimate adapted by the profile; equal to `plain` without one.
        plain: Estimate without a profile.
        features: Feature vector, float64 [features]; None without a profile.
    """

    estimate: Estimate
    plain: Estimate
    features: NDArray[np.float64] | None = None


class WindowClassifier:
    """A classifier of windows: a model and, optionally, a speaker's profile.

    Args:
        classifier: A loaded model.
        profile: Profile of the speaker; None: no adaptation.
    """

    def __init__(self, classifier: Classifier, profile: Profile | None) -> None:
        self._classifier, self._profile = classifier, profile

    def predict(self, windows: Sequence[Window]) -> list[Prediction]:
        """Run the model on one batch; thread-safe.

        Args:
            windows: One or more windows of equal length.
        """
        signals = np.stack([window.signal for window in windows])  # [B, samples]
        spans = [window.segment for window in windows]
        if self._profile is None:
            plain = _estimates(spans, self._classifier(signals))
            return [Prediction(estimate) for estimate in plain]
        rows, embeddings = self._classifier.embed(signals)
        pairs = zip(_estimates(spans, rows), embeddings, strict=True)
        return [Prediction(*pair) for pair in pairs]

    def adapt(self, predictions: Sequence[Prediction]) -> list[Adapted]:
        """Apply the profile to predictions in one batch; lengths may differ."""
        plain = [prediction.plain for prediction in predictions]
        if self._profile is None or not predictions:
            return [Adapted(estimate, estimate) for estimate in plain]
        rows = np.array([e.probabilities for e in plain], np.float32)
        found = [p.embedding for p in predictions if p.embedding is not None]
        embeddings = np.stack(found)  # [B, width]
        head = self._classifier.require_profile_head()
        adapted = head(embeddings, rows, self._profile.speaker_statistics)
        estimates = _estimates([e.segment for e in plain], adapted)
        features = features_of(embeddings, rows)
        return [Adapted(*each) for each in zip(estimates, plain, features, strict=True)]

    def profile_use(
        self, recording: SpeakerStatistics, without: Sequence[Estimate]
    ) -> ProfileUse | None:
        """Return the profile's effect on a recording; None without a profile.

        Args:
            recording: Statistics of the recording alone.
            without: Estimates of its windows without the profile.
        """
        if (profile := self._profile) is None:
            return None
        head, known = (
            self._classifier.require_profile_head(),
            profile.speaker_statistics,
        )
        both = recording.n_windows and known.n_windows
        return ProfileUse(
            speaker=profile.speaker,
            n_recordings=known.n_recordings,
            n_windows=known.n_windows,
            speech_s=profile.speech_s,
            trust=head.trust(known) if known.n_windows else 0.0,
            distance=head.distance(recording, known) if both else None,
            distance_limit=head.card.distance_limit,
            without=tuple(without),
        )


def _estimates(
    segments: Iterable[Segment], rows: NDArray[np.float32]
) -> list[Estimate]:
    pairs = zip(segments, rows.tolist(), strict=True)
    return [Estimate(segment, tuple(row)) for segment, row in pairs]
