"""Profiles: what one model finds in a speaker's voice on average, without labels.

A profile is a few kilobytes: the statistics of the windows that it was made from. It
holds no audio, and belongs to one model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from espressivo.errors import ProfileError
from espressivo.model.speaker_statistics import SpeakerStatistics
from espressivo.profile.store import (
    REMEDY,
    from_text,
    held,
    profile_path,
    read_content,
    to_text,
    with_checksum,
    write_content,
)
from espressivo.types import SAMPLE_RATE
from espressivo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.model.classifier import Classifier

_COUNTS = ("n_windows", "n_recordings", "n_samples")


class HasSpeakerStatistics(Protocol):
    """What a profile learns from: a report, or another profile of the speaker."""

    @property
    def model(self) -> str:
        """Name of the model that made the statistics."""

    @property
    def model_version(self) -> str:
        """Version of the model."""

    @property
    def model_sha256(self) -> str:
        """Hash of the model's graph."""

    @property
    def speaker_statistics(self) -> SpeakerStatistics | None:
        """The statistics; None in a report that was made without a profile."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The statistics of a speaker's voice in one model; immutable.

    >>> import espressivo
    >>> analyzer = espressivo.load_model()
    >>> me = espressivo.Profile.new("me", analyzer.classifier)
    >>> me.speech_s
    0.0

    Attributes:
        speaker: Name of the profile.
        model: Name of the model.
        model_version: Version of the model.
        model_sha256: Hash of the model's graph.
        speaker_statistics: Statistics of the windows that it was made from.
    """

    speaker: str
    model: str
    model_version: str
    model_sha256: str
    speaker_statistics: SpeakerStatistics

    @staticmethod
    def new(speaker: str, classifier: Classifier) -> Profile:
        """Return the profile of a speaker without any recording yet.

        Raises:
            ModelError: The model takes no profiles.
        """
        card, statistics = (
            classifier.card,
            SpeakerStatistics.empty(_n_features(classifier)),
        )
        return Profile(speaker, card.name, card.version, card.sha256, statistics)

    @staticmethod
    def load(speaker: str | Path) -> Profile:
        """Read a profile.

        Args:
            speaker: A name, or a path ending in .json.

        Raises:
            ProfileError: There is none, or it is damaged, edited, or of a later
                version of espressivo.
        """
        path = profile_path(speaker)
        content = read_content(path)
        try:
            return _profile(content)
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(f"{path}: makes no sense ({error}); {REMEDY}") from error

    def save(self, path: str | Path | None = None) -> Path:
        """Write the profile, whole or not at all, and return its path.

        An existing file is replaced, whoever wrote it; use `learn` to add to it.

        Args:
            path: A name, or a path ending in .json; by default the speaker's name.

        Raises:
            ProfileError: It cannot be written.
        """
        target = profile_path(self.speaker if path is None else path)
        with held(target):  # not between the reading and the writing of a `learn`
            write_content(self.to_dict(), target)
        return target

    @property
    def speech_s(self) -> float:
        """Seconds of speech it was made from."""
        return self.speaker_statistics.n_samples / SAMPLE_RATE

    @property
    def n_features(self) -> int:
        """Length of the feature vectors that it is made from."""
        return len(self.speaker_statistics.mean)

    def merged(self, *sources: HasSpeakerStatistics) -> Profile:
        """Return the profile with more statistics; the order changes only rounding.

        Args:
            sources: Reports of recordings, or other profiles.

        Raises:
            ProfileError: One is of another model, or was made without any profile.
        """
        whole = self.speaker_statistics
        for each in sources:
            self._require(each.model, each.model_version, each.model_sha256)
            if each.speaker_statistics is None:
                raise ProfileError(
                    f"profile '{self.speaker}' cannot learn from a report that was "
                    "made without a profile; analyse with one, if need be an empty one"
                )
            whole = whole.merged(each.speaker_statistics)
        return replace(self, speaker_statistics=whole)

    def require_model(self, classifier: Classifier) -> None:
        """Refuse a model other than the one that this profile belongs to.

        Raises:
            ModelError: The model takes no profiles.
            ProfileError: It is another model.
        """
        card = classifier.card
        self._require(card.name, card.version, card.sha256)
        if self.n_features != (wanted := _n_features(classifier)):
            raise ProfileError(
                f"profile '{self.speaker}' holds sums of {self.n_features} features, "
                f"not {wanted}; create it anew"
            )

    def _require(self, name: str, version: str, sha256: str) -> None:
        if self.model_sha256 != sha256:
            raise ProfileError(
                f"profile '{self.speaker}' is of {self.model} {self.model_version} "
                f"({self.model_sha256[:12]}...), not of {name} {version} "
                f"({sha256[:12]}...): what one model hears means nothing to "
                "another; pass its own --model, or create the profile anew"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file, ready for JSON."""
        return with_checksum(
            {
                "espressivo": __version__,
                "speaker": self.speaker,
                "model": {
                    "name": self.model,
                    "version": self.model_version,
                    "sha256": self.model_sha256,
                },
                **{name: getattr(self.speaker_statistics, name) for name in _COUNTS},
                "mean": to_text(self.speaker_statistics.mean),
                "squares": to_text(self.speaker_statistics.squares),
            }
        )


def learn(speaker: str | Path, *sources: HasSpeakerStatistics) -> Profile:
    """Add statistics to a saved profile, and return it.

    Several processes may do so at once: each waits for the other, and nothing is lost.

    Args:
        speaker: A name, or a path ending in .json.
        sources: Reports of recordings, or other profiles.

    Raises:
        ProfileError: There is no such profile, it cannot be read or written, or a
            source is of another model.
    """
    path = profile_path(speaker)
    if not path.is_file():
        return Profile.load(path)  # raises; a lock would create the folder
    with held(path):
        profile = Profile.load(path).merged(*sources)
        write_content(profile.to_dict(), path)
    return profile


def create(profile: Profile, speaker: str | Path | None = None) -> Path:
    """Save a new profile and return its path.

    Args:
        profile: What to save.
        speaker: A name, or a path ending in .json; by default the speaker's name.

    Raises:
        ProfileError: There is one already.
    """
    path = profile_path(profile.speaker if speaker is None else speaker)
    with held(path):  # of two processes that create it, the second must see the first
        if path.exists():
            raise ProfileError(
                f"{path}: exists; add to it with `espressivo profile update`, "
                "or delete it first"
            )
        write_content(profile.to_dict(), path)
    return path


def delete(speaker: str | Path) -> Path:
    """Remove a profile, readable or not, and return its former path.

    Raises:
        ProfileError: There is none.
    """
    path = profile_path(speaker)
    if not path.is_file():
        raise ProfileError(f"{path}: there is no such profile; nothing was deleted")
    with held(path):
        path.unlink(missing_ok=True)
    return path


def _n_features(classifier: Classifier) -> int:
    width = classifier.require_profile_head().card.width
    return width + len(classifier.card.emotions) + 1


def _profile(content: dict[str, Any]) -> Profile:
    model = content["model"]
    counts = {name: int(content[name]) for name in _COUNTS}
    mean, squares = from_text(content["mean"]), from_text(content["squares"])
    # Impossible sums would otherwise become impossible probabilities later.
    if len(mean) != len(squares) or min(counts.values()) < 0 or squares.min() < 0:
        raise ValueError("counts or sums that cannot be")
    return Profile(
        speaker=str(content["speaker"]),
        model=str(model["name"]),
        model_version=str(model["version"]),
        model_sha256=str(model["sha256"]),
        speaker_statistics=SpeakerStatistics(**counts, mean=mean, squares=squares),
    )
