"""Speaker profiles: enrolment without labels, by statistics of a model's features.

A profile is a few kilobytes: the statistics of the windows that it was made from. It
contains no audio, and it is valid for one model only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from espressivo.errors import ProfileError
from espressivo.model.speaker_statistics import SpeakerStatistics
from espressivo.profile.store import (
    REMEDY,
    decode_numbers,
    encode_numbers,
    held,
    normal_name,
    profile_path,
    read_content,
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
    """A source of speaker statistics: a report, or another profile of the speaker."""

    @property
    def model(self) -> str:
        """Name of the model that made the statistics."""

    @property
    def model_version(self) -> str:
        """Version of the model."""

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model's graph."""

    @property
    def speaker_statistics(self) -> SpeakerStatistics | None:
        """Statistics of the windows; None in a report made without a profile."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Statistics of a speaker's voice in the features of one model; immutable.

    >>> import espressivo
    >>> analyzer = espressivo.load_model()
    >>> me = espressivo.Profile.new("me", analyzer.classifier)
    >>> me.speech_s
    0.0

    Attributes:
        speaker: Name of the profile.
        model: Name of the model.
        model_version: Version of the model.
        model_sha256: SHA-256 of the model's graph.
        speaker_statistics: Statistics of the windows that the profile was made from.
    """

    speaker: str
    model: str
    model_version: str
    model_sha256: str
    speaker_statistics: SpeakerStatistics

    @staticmethod
    def new(speaker: str, classifier: Classifier) -> Profile:
        """Return an empty profile of a speaker.

        Raises:
            ModelError: The model supports no profiles.
        """
        card, statistics = (
            classifier.card,
            SpeakerStatistics.empty(_n_features(classifier)),
        )
        return Profile(
            normal_name(speaker), card.name, card.version, card.sha256, statistics
        )

    @staticmethod
    def load(speaker: str | Path) -> Profile:
        """Read a profile from its file.

        Args:
            speaker: Name of the profile, or a path ending in .json.

        Raises:
            ProfileError: There is no such profile, or it is damaged, edited, or of
                another version of espressivo.
        """
        path = profile_path(speaker)
        content = read_content(path)
        try:
            return _profile(content)
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(f"{path}: makes no sense ({error}); {REMEDY}") from error

    def save(self, path: str | Path | None = None) -> Path:
        """Write the profile atomically and return its path.

        An existing profile is replaced; use `learn` to add statistics to it.

        Args:
            path: Name of the profile, or a path ending in .json; by default the
                speaker's name.

        Raises:
            ProfileError: The file cannot be written.
        """
        target = profile_path(self.speaker if path is None else path)
        with held(target):  # a `learn` in another process reads and writes as one step
            write_content(self.to_dict(), target)
        return target

    @property
    def speech_s(self) -> float:
        """Duration of the speech that the profile was made from, in seconds."""
        return self.speaker_statistics.n_samples / SAMPLE_RATE

    @property
    def n_features(self) -> int:
        """Length of the feature vectors."""
        return len(self.speaker_statistics.mean)

    def merged(self, *sources: HasSpeakerStatistics) -> Profile:
        """Return the profile with more statistics; the order changes only rounding.

        Args:
            sources: Reports of recordings, or other profiles.

        Raises:
            ProfileError: A source is of another model, or a report was made without a
                profile.
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
        """Check that a model is the one that this profile belongs to.

        Raises:
            ModelError: The model supports no profiles.
            ProfileError: The profile belongs to another model.
        """
        card = classifier.card
        self._require(card.name, card.version, card.sha256)
        if self.n_features != (wanted := _n_features(classifier)):
            raise ProfileError(
                f"profile '{self.speaker}' holds sums of {self.n_features} features, "
                f"not {wanted}; create it anew"
            )

    def _require(self, name: str, version: str, sha256: str) -> None:
        # The graph's hash, not its name: features of another graph mean something else.
        if self.model_sha256 != sha256:
            raise ProfileError(
                f"profile '{self.speaker}' is of {self.model} {self.model_version} "
                f"({self.model_sha256[:12]}...), not of {name} {version} "
                f"({sha256[:12]}...): what one model hears means nothing to "
                "another; pass its own --model, or create the profile anew"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the profile's file, JSON-ready."""
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
                "mean": encode_numbers(self.speaker_statistics.mean),
                "squares": encode_numbers(self.speaker_statistics.squares),
            }
        )


def learn(speaker: str | Path, *sources: HasSpeakerStatistics) -> Profile:
    """Add statistics to a saved profile and return the updated profile.

    A lock serializes concurrent processes, so that no update is lost.

    Args:
        speaker: Name of the profile, or a path ending in .json.
        sources: Reports of recordings, or other profiles.

    Raises:
        ProfileError: There is no such profile, it cannot be read or written, or a
            source is of another model.
    """
    path = profile_path(speaker)
    if not path.is_file():
        return Profile.load(path)  # raises; taking the lock would create the folder
    with held(path):
        profile = Profile.load(path).merged(*sources)
        write_content(profile.to_dict(), path)
    return profile


def create(profile: Profile, speaker: str | Path | None = None) -> Path:
    """Save a new profile and return its path.

    Args:
        profile: Profile to save.
        speaker: Name of the profile, or a path ending in .json; by default the
            speaker's name.

    Raises:
        ProfileError: The profile exists already, or cannot be written.
    """
    path = profile_path(profile.speaker if speaker is None else speaker)
    with held(path):  # check and write are one step, or two processes could both create
        if path.exists():
            raise ProfileError(
                f"{path}: exists; add to it with `espressivo profile update`, "
                "or delete it first"
            )
        write_content(profile.to_dict(), path)
    return path


def delete(speaker: str | Path) -> Path:
    """Delete a profile, even a damaged one, and return its former path.

    Args:
        speaker: Name of the profile, or a path ending in .json.

    Raises:
        ProfileError: There is no such profile.
    """
    path = profile_path(speaker)
    if not path.is_file():
        raise ProfileError(f"{path}: there is no such profile; nothing was deleted")
    with held(path):
        # Another process may have deleted it before this one got the lock.
        path.unlink(missing_ok=True)
    return path


def _n_features(classifier: Classifier) -> int:
    width = classifier.require_profile_head().card.width
    return width + len(classifier.card.emotions) + 1


def _profile(content: dict[str, Any]) -> Profile:
    model = content["model"]
    counts = {name: int(content[name]) for name in _COUNTS}
    mean, squares = decode_numbers(content["mean"]), decode_numbers(content["squares"])
    # Invalid sums (a negative variance) would surface as invalid probabilities later.
    if len(mean) != len(squares) or min(counts.values()) < 0 or squares.min() < 0:
        raise ValueError("counts or sums that cannot be")
    return Profile(
        speaker=normal_name(str(content["speaker"])),
        model=str(model["name"]),
        model_version=str(model["version"]),
        model_sha256=str(model["sha256"]),
        speaker_statistics=SpeakerStatistics(**counts, mean=mean, squares=squares),
    )
