"""What a speaker sounds like when nothing is the matter, learned without labels.

A profile is a few kilobytes: how much was heard, and mean and spread of what the model
made of it. It holds no audio, and is of use to one model only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.atomic import replacing
from espressivo.errors import ProfileError
from espressivo.profile_files import held, profile_path
from espressivo.types import SAMPLE_RATE
from espressivo.version import __version__
from espressivo.voice import Voice

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.classifier import Classifier

FORMAT = "espressivo.profile/"
FORMAT_VERSION = 1
_COUNTS = ("n_windows", "n_recordings", "n_samples")
_REMEDY = "restore it, or create the profile anew"


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
    voice: Voice

    @staticmethod
    def new(speaker: str, classifier: Classifier) -> Profile:
        """Return the profile of a speaker of whom nothing was heard.

        Raises:
            ModelError: The model takes no profiles.
        """
        card, voice = classifier.card, Voice.unheard(_n_traits(classifier))
        return Profile(speaker, card.name, card.version, card.sha256, voice)

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
        try:
            text = path.read_bytes()
        except FileNotFoundError as error:
            raise ProfileError(
                f"{path}: there is no such profile; run: espressivo profile create "
                f"{path.stem}"
            ) from error
        except OSError as error:
            raise ProfileError(f"{path}: cannot be read ({error.strerror})") from error
        return _parsed(text, path)

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
            self._write(target)
        return target

    @property
    def speech_s(self) -> float:
        """Seconds of speech it was made from."""
        return self.voice.n_samples / SAMPLE_RATE

    @property
    def n_traits(self) -> int:
        """How many traits of a window it keeps account of."""
        return len(self.voice.mean)

    def merged(self, *voices: Voice) -> Profile:
        """Return the profile after more was heard; the order changes only rounding."""
        whole = self.voice
        for voice in voices:
            whole = whole.merged(voice)
        return replace(self, voice=whole)

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

    def require_same_model(self, other: Profile) -> None:
        """Refuse a profile of another model.

        Raises:
            ProfileError: It is of another one.
        """
        self._require(other.model, other.model_version, other.model_sha256)

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
        content: dict[str, Any] = {
            "schema": f"{FORMAT}{FORMAT_VERSION}",
            "espressivo": __version__,
            "speaker": self.speaker,
            "model": {
                "name": self.model,
                "version": self.model_version,
                "sha256": self.model_sha256,
            },
            **{name: getattr(self.voice, name) for name in _COUNTS},
            "mean": _to_text(self.voice.mean),
            "squares": _to_text(self.voice.squares),
        }
        return content | {"sha256": _digest(content)}

    def _write(self, path: Path) -> None:
        content = json.dumps(self.to_dict(), indent=1) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with replacing(path) as partial:
            descriptor = os.open(partial, flags, 0o600)  # of nobody else's business
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)


def learn(speaker: str | Path, *voices: Voice) -> Profile:
    """Add what was heard to a saved profile, and return it.

    Several processes may do so at once: each waits for the other, and nothing is lost.

    Args:
        speaker: A name, or a path ending in .json.
        voices: As reports give them, see `Report.voice`.

    Raises:
        ProfileError: There is no such profile, or it cannot be read or written.
    """
    path = profile_path(speaker)
    if not path.is_file():
        return Profile.load(path)  # which says so; a lock would make the folder
    with held(path):
        profile = Profile.load(path).merged(*voices)
        profile._write(path)  # noqa: SLF001 - save would wait for this very lock
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
        profile._write(path)  # noqa: SLF001 - save would wait for this very lock
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
    width = classifier.require_personal().card.width
    return width + len(classifier.card.emotions) + 1


def _parsed(text: bytes, path: Path) -> Profile:
    try:
        content = json.loads(text)
        schema = str(content["schema"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProfileError(
            f"{path}: is no profile, or was cut off; {_REMEDY}"
        ) from error
    if schema != f"{FORMAT}{FORMAT_VERSION}":
        number = schema.removeprefix(FORMAT)
        newer = number.isdecimal() and int(number) > FORMAT_VERSION
        raise ProfileError(
            f"{path}: is {schema}, and this version reads {FORMAT}{FORMAT_VERSION}; "
            + ("update espressivo" if newer else _REMEDY)
        )
    digest = content.pop("sha256", None)
    if digest != _digest(content):
        raise ProfileError(
            f"{path}: was edited or damaged: its sha256 is not what it says; {_REMEDY}"
        )
    try:
        return _profile(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(f"{path}: makes no sense ({error}); {_REMEDY}") from error


def _profile(content: dict[str, Any]) -> Profile:
    model = content["model"]
    counts = {name: int(content[name]) for name in _COUNTS}
    mean, squares = _from_text(content["mean"]), _from_text(content["squares"])
    if len(mean) != len(squares) or min(counts.values()) < 0 or squares.min() < 0:
        raise ValueError("counts or sums that cannot be")
    return Profile(
        speaker=str(content["speaker"]),
        model=str(model["name"]),
        model_version=str(model["version"]),
        model_sha256=str(model["sha256"]),
        voice=Voice(**counts, mean=mean, squares=squares),
    )


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _to_text(values: NDArray[np.float64]) -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _from_text(text: str) -> NDArray[np.float64]:
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), "<f8")
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if not len(values) or not np.isfinite(values).all():
        raise ValueError("sums that are no numbers")
    return values.astype(np.float64)
