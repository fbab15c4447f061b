"""What a speaker sounds like when nothing is the matter, learned without labels.

A profile is a few kilobytes: how much was heard, and mean and spread of what the model
made of it. It holds no audio, and is of use to one model only.
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
    signed,
    to_text,
    write_content,
)
from espressivo.types import SAMPLE_RATE
from espressivo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.model.classifier import Classifier

_COUNTS = ("n_windows", "n_recordings", "n_samples")


class Heard(Protocol):
    """What a profile learns from: a report, or another profile of the speaker."""

    @property
    def model(self) -> str:
        """Name of the model that heard it."""

    @property
    def model_version(self) -> str:
        """Its version."""

    @property
    def model_sha256(self) -> str:
        """Hash of its graph."""

    @property
    def speaker_statistics(self) -> SpeakerStatistics | None:
        """What was heard; None where nobody listened for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A speaker's voice as one model hears it; never changed, but replaced.

    >>> import espressivo
    >>> analyzer = espressivo.load_model()
    >>> me = espressivo.Profile.new("me", analyzer.classifier)
    >>> me.speech_s
    0.0

    Attributes:
        speaker: The name it goes by.
        model: Name of the model.
        model_version: Its version.
        model_sha256: Hash of its graph.
        voice: What was heard.
    """

    speaker: str
    model: str
    model_version: str
    model_sha256: str
    speaker_statistics: SpeakerStatistics

    @staticmethod
    def new(speaker: str, classifier: Classifier) -> Profile:
        """Return the profile of a speaker of whom nothing was heard.

        Raises:
            ModelError: The model takes no profiles.
        """
        card, speaker_statistics = (
            classifier.card,
            SpeakerStatistics.empty(_n_traits(classifier)),
        )
        return Profile(
            speaker, card.name, card.version, card.sha256, speaker_statistics
        )

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
        """Write the profile whole or not at all, and return where to.

        What is there is replaced, whoever wrote it: `learn` is how to add to it.

        Args:
            path: A name, or a path ending in .json; by default the speaker's name.

        Raises:
            ProfileError: It cannot be written.
        """
        target = profile_path(self.speaker if path is None else path)
        with held(target):
            write_content(self.to_dict(), target)
        return target

    @property
    def speech_s(self) -> float:
        """Seconds of speech it was made from."""
        return self.speaker_statistics.n_samples / SAMPLE_RATE

    @property
    def n_traits(self) -> int:
        """How many traits of a window it keeps account of."""
        return len(self.speaker_statistics.mean)

    def merged(self, *heard: Heard) -> Profile:
        """Return the profile after more was heard; the order changes only rounding.

        Args:
            heard: Reports of recordings, or other profiles.

        Raises:
            ProfileError: One is of another model, or was made without any profile.
        """
        whole = self.speaker_statistics
        for each in heard:
            self._require(each.model, each.model_version, each.model_sha256)
            if each.speaker_statistics is None:
                raise ProfileError(
                    f"profile '{self.speaker}' cannot learn from a report that was "
                    "made without a profile; analyse with one, if need be an empty one"
                )
            whole = whole.merged(each.speaker_statistics)
        return replace(self, speaker_statistics=whole)

    def require_model(self, classifier: Classifier) -> None:
        """Refuse a model other than the one that this profile is of.

        Raises:
            ModelError: It takes no profiles.
            ProfileError: It is another one.
        """
        card = classifier.card
        self._require(card.name, card.version, card.sha256)
        if self.n_traits != (wanted := _n_traits(classifier)):
            raise ProfileError(
                f"profile '{self.speaker}' holds sums of {self.n_traits} traits, not "
                f"{wanted}; create it anew"
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
        """Return the file's content as JSON can say it."""
        return signed(
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


def learn(speaker: str | Path, *heard: Heard) -> Profile:
    """Add what was heard to a saved profile, and return it.

    Several processes may do so at once: each waits for the other, and nothing is lost.

    Args:
        speaker: A name, or a path ending in .json.
        heard: Reports of recordings, or other profiles.

    Raises:
        ProfileError: There is no such profile, it cannot be read or written, or what
            was heard is of another model.
    """
    path = profile_path(speaker)
    if not path.is_file():
        return Profile.load(path)  # which says so; a lock would make the folder
    with held(path):
        profile = Profile.load(path).merged(*heard)
        write_content(profile.to_dict(), path)
    return profile


def create(profile: Profile, speaker: str | Path | None = None) -> Path:
    """Save a new profile and return where it is.

    Args:
        profile: What to save.
        speaker: A name, or a path ending in .json; by default the speaker's name.

    Raises:
        ProfileError: There is one already.
    """
    path = profile_path(profile.speaker if speaker is None else speaker)
    with held(path):
        if path.exists():
            raise ProfileError(
                f"{path}: exists; add to it with `espressivo profile update`, "
                "or delete it first"
            )
        write_content(profile.to_dict(), path)
    return path


def delete(speaker: str | Path) -> Path:
    """Remove a profile, readable or not, and return where it was.

    Raises:
        ProfileError: There is none.
    """
    path = profile_path(speaker)
    if not path.is_file():
        raise ProfileError(f"{path}: there is no such profile; nothing was deleted")
    with held(path):
        path.unlink(missing_ok=True)
    return path


def _n_traits(classifier: Classifier) -> int:
    width = classifier.require_profile_head().card.width
    return width + len(classifier.card.emotions) + 1


def _profile(content: dict[str, Any]) -> Profile:
    model = content["model"]
    counts = {name: int(content[name]) for name in _COUNTS}
    mean, squares = from_text(content["mean"]), from_text(content["squares"])
    if len(mean) != len(squares) or min(counts.values()) < 0 or squares.min() < 0:
        raise ValueError("counts or sums that cannot be")
    return Profile(
        speaker=str(content["speaker"]),
        model=str(model["name"]),
        model_version=str(model["version"]),
        model_sha256=str(model["sha256"]),
        speaker_statistics=SpeakerStatistics(**counts, mean=mean, squares=squares),
    )
