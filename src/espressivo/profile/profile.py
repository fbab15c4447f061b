"""Profiles of speakers and of settings: enrolment without labels.

A profile is a few kilobytes: the statistics of the windows that it was made from. It
contains no audio, and it is valid for one model only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from espressivo.errors import ProfileError
from espressivo.model.adaptation import spread
from espressivo.model.window_statistics import WindowStatistics
from espressivo.profile.store import (
    REMEDY,
    decode_cells,
    decode_numbers,
    encode_cells,
    encode_numbers,
    held,
    normal_name,
    profile_path,
    read_content,
    stored_text,
    with_checksum,
    write_content,
)
from espressivo.text import shortened
from espressivo.types import SAMPLE_RATE
from espressivo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.model.adaptation import AdaptationCard
    from espressivo.model.classifier import Classifier

SPREAD_FROM = 20
"""Number of windows from which it is judged whether a profile is of several people."""

_COUNTS = ("n_windows", "n_recordings", "n_samples")


class Kind(StrEnum):
    """What a profile describes.

    A setting is what many speakers share: a microphone, a room, a language, a call
    centre.
    """

    SPEAKER = "speaker"
    SETTING = "setting"


_PASSED_AS = {
    Kind.SPEAKER: "pass it with --speaker (in Python: profile=)",
    Kind.SETTING: "pass it with --setting (in Python: setting=)",
}


class HasStatistics(Protocol):
    """A source of statistics: a report, or another profile of the same kind."""

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
    def statistics(self) -> WindowStatistics | None:
        """Statistics of the windows; None in a report made without voices."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Statistics of a speaker, or of a setting, for one model; immutable.

    >>> import espressivo
    >>> analyzer = espressivo.load_model()
    >>> me = espressivo.Profile.new("me", analyzer.classifier)
    >>> me.speech_s
    0.0

    Attributes:
        name: Name of the profile.
        kind: Whether it describes a speaker or a setting.
        model: Name of the model.
        model_version: Version of the model.
        model_sha256: SHA-256 of the model's graph.
        statistics: Statistics of the windows that the profile was made from. In those
            of a setting, each recording has the weight of one window.
    """

    name: str
    kind: Kind
    model: str
    model_version: str
    model_sha256: str
    statistics: WindowStatistics

    @staticmethod
    def new(
        name: str, classifier: Classifier, kind: Kind | str = Kind.SPEAKER
    ) -> Profile:
        """Return an empty profile of a speaker or of a setting.

        Args:
            name: Name of the profile.
            classifier: The model that it is for.
            kind: `speaker` or `setting`.

        Raises:
            ModelError: The model cannot adapt.
        """
        known, card = classifier.require_adaptation(), classifier.card
        return Profile(
            name=normal_name(name),
            kind=Kind(kind),
            model=card.name,
            model_version=card.version,
            model_sha256=card.sha256,
            statistics=WindowStatistics.empty(known.n_dims, known.n_axes),
        )

    @staticmethod
    def load(name: str | Path) -> Profile:
        """Read a profile from its file.

        Args:
            name: Name of the profile, or a path ending in .json.

        Raises:
            ProfileError: There is no such profile, or it is damaged, edited, or of
                another version of espressivo.
        """
        path = profile_path(name)
        content = read_content(path)
        try:
            return _profile(content)
        except (KeyError, TypeError, ValueError) as error:
            reason = shortened(str(error))
            raise ProfileError(
                f"{path}: makes no sense ({reason}); {REMEDY}"
            ) from error

    def save(self, path: str | Path | None = None) -> Path:
        """Write the profile atomically and return its path.

        An existing profile is replaced; use `learn` to add statistics to it.

        Args:
            path: Name of the profile, or a path ending in .json; by default its own
                name.

        Raises:
            ProfileError: The file cannot be written.
        """
        target = profile_path(self.name if path is None else path)
        with held(target):  # a `learn` in another process reads and writes as one step
            write_content(self.to_dict(), target)
        return target

    @property
    def speech_s(self) -> float:
        """Duration of the speech that the profile was made from, in seconds."""
        return self.statistics.n_samples / SAMPLE_RATE

    @property
    def digest(self) -> str:
        """Digest of what the profile knows, equal under every version of espressivo."""
        content = self.to_dict()
        del content["espressivo"], content["sha256"]
        return str(with_checksum(content)["sha256"])[:16]

    def merged(self, *sources: HasStatistics) -> Profile:
        """Return the profile with more statistics; the order changes only rounding.

        Args:
            sources: Reports of recordings, or other profiles of the same kind.

        Raises:
            ProfileError: A source is of another model or kind, or a report was made
                without voices.
        """
        whole = self.statistics
        for each in sources:
            self._require(each.model, each.model_version, each.model_sha256)
            if each.statistics is not None:
                self._require_width(each.statistics.n_dims, each.statistics.n_axes)
            if each.statistics is None:
                raise ProfileError(
                    f"profile '{self.name}' cannot learn from a report that was made "
                    "without voices; analyse with a profile, or with voices=True"
                )
            if isinstance(each, Profile):
                self._require_same_kind(each)
                whole = whole.merged(each.statistics)
            else:
                is_setting = self.kind is Kind.SETTING
                heard = each.statistics
                whole = whole.merged(heard.as_one() if is_setting else heard)
        return replace(self, statistics=whole)

    def require_model(self, classifier: Classifier) -> None:
        """Check that a model is the one that this profile belongs to.

        Raises:
            ModelError: The model cannot adapt.
            ProfileError: The profile belongs to another model.
        """
        card = classifier.card
        self._require(card.name, card.version, card.sha256)
        known = classifier.require_adaptation()
        self._require_width(known.n_dims, known.n_axes)

    def require_kind(self, kind: Kind, remedy: str | None = None) -> None:
        """Check what the profile describes.

        Args:
            kind: What it is to describe.
            remedy: What to do about another kind; by default how to pass that.

        Raises:
            ProfileError: It describes something else.
        """
        if self.kind is not kind:
            raise ProfileError(
                f"'{self.name}' is the profile of a {self.kind}, not of a {kind}; "
                f"{remedy or _PASSED_AS[self.kind]}"
            )

    def _require_same_kind(self, other: Profile) -> None:
        if other.kind is not self.kind:
            raise ProfileError(
                f"'{other.name}' is the profile of a {other.kind}, and '{self.name}' "
                f"of a {self.kind}; merge profiles of one kind"
            )

    def warning(self, card: AdaptationCard) -> str | None:
        """Return a warning if the windows seem to be of several speakers; or None.

        Args:
            card: What the profile's model knows of voices.
        """
        if self.kind is Kind.SETTING:  # it is of several, as it should be
            return None
        return warning_of_several(card, self.statistics, f"profile '{self.name}'")

    def _require(self, name: str, version: str, sha256: str) -> None:
        # The graph's hash, not its name: the dimensions of another graph mean something
        # else.
        if self.model_sha256 != sha256:
            raise ProfileError(
                f"profile '{self.name}' is of {self.model} {self.model_version} "
                f"({self.model_sha256[:12]}...), not of {name} {version} "
                f"({sha256[:12]}...): what one model hears means nothing to "
                "another; pass its own --model, or create the profile anew"
            )

    def _require_width(self, n_dims: int, n_axes: int) -> None:
        heard = self.statistics
        if (heard.n_dims, heard.n_axes) != (n_dims, n_axes):
            raise ProfileError(
                f"profile '{self.name}' has {heard.n_dims} dimensions and "
                f"{heard.n_axes} axes, not {n_dims} and {n_axes}; create it anew"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the profile's file, JSON-ready."""
        heard = self.statistics
        return with_checksum(
            {
                "espressivo": __version__,
                "kind": str(self.kind),
                "name": self.name,
                "model": {
                    "name": self.model,
                    "version": self.model_version,
                    "sha256": self.model_sha256,
                },
                **{name: getattr(heard, name) for name in _COUNTS},
                "n_dims": heard.n_dims,
                "cells": encode_cells(heard.cells),
                "weights": encode_numbers(heard.weights),
                "sums": encode_numbers(heard.sums),
                "mean": encode_numbers(heard.mean),
                "scatter": encode_numbers(heard.scatter),
            }
        )


def warning_of_several(
    card: AdaptationCard,
    statistics: WindowStatistics,
    what: str,
    remedy: str = "make one profile for each speaker",
) -> str | None:
    """Return a warning if windows vary more than those of one speaker do; or None.

    Args:
        card: What the model knows of voices.
        statistics: The windows.
        what: Whose windows they are, such as `profile 'me'`.
        remedy: What to do about it.
    """
    # A covariance of few windows has a large first eigenvalue by chance.
    if statistics.n_windows < SPREAD_FROM or spread(statistics) <= card.spread_limit:
        return None
    return (
        f"{what} is probably of several people: its windows vary by "
        f"{spread(statistics):.1f}, and {card.spread_limit:.1f} is rarely exceeded by "
        f"one voice; {remedy}"
    )


def learn(name: str | Path, *sources: HasStatistics) -> Profile:
    """Add statistics to a saved profile and return the updated profile.

    A lock serializes concurrent processes, so that no update is lost.

    Args:
        name: Name of the profile, or a path ending in .json.
        sources: Reports of recordings, or other profiles.

    Raises:
        ProfileError: There is no such profile, it cannot be read or written, or a
            source is of another model.
    """
    path = profile_path(name)
    if not path.is_file():
        return Profile.load(path)  # raises; taking the lock would create the folder
    with held(path):
        profile = Profile.load(path).merged(*sources)
        write_content(profile.to_dict(), path)
    return profile


def create(
    profile: Profile, name: str | Path | None = None, *, overwrite: bool = False
) -> Path:
    """Save a new profile and return its path.

    Args:
        profile: Profile to save.
        name: Name of the profile, or a path ending in .json; by default its own name.
        overwrite: Replace an existing profile of the same kind.

    Raises:
        ProfileError: The profile exists already, or cannot be written.
    """
    path = profile_path(profile.name if name is None else name)
    with held(path):  # check and write are one step, or two processes could both create
        require_new(path, profile.kind, overwrite=overwrite)
        write_content(profile.to_dict(), path)
    return path


def require_new(path: Path, kind: Kind, *, overwrite: bool = False) -> None:
    """Check that a profile may be written to a path.

    Args:
        path: Path of the profile.
        kind: What the new profile describes.
        overwrite: Whether an existing profile of the same kind may be replaced.

    Raises:
        ProfileError: It may not.
    """
    if not path.exists():
        return
    if not overwrite:
        remedy = "replace it with --replace" if kind is Kind.SETTING else "delete it"
        raise ProfileError(
            f"{path}: exists; add to it with `espressivo profile update`, or {remedy}"
        )
    try:
        existing = Profile.load(path)
    except ProfileError as error:  # who knows what it is, and of which version
        raise ProfileError(
            f"{error}; to replace it, delete it: espressivo profile delete {path}"
        ) from error
    existing.require_kind(kind)


def delete(name: str | Path) -> Path:
    """Delete a profile, even a damaged one, and return its former path.

    Args:
        name: Name of the profile, or a path ending in .json.

    Raises:
        ProfileError: There is no such profile.
    """
    path = profile_path(name)
    if not path.is_file():
        raise ProfileError(f"{path}: there is no such profile; nothing was deleted")
    with held(path):
        # Another process may have deleted it before this one got the lock.
        path.unlink(missing_ok=True)
    return path


def _profile(content: dict[str, Any]) -> Profile:
    model = content["model"]
    counts = {name: _whole_number(content, name) for name in _COUNTS}
    n_dims, mean = _whole_number(content, "n_dims"), decode_numbers(content["mean"])
    weights = decode_numbers(content["weights"])
    statistics = WindowStatistics(
        **counts,
        cells=decode_cells(content["cells"]).reshape(len(weights), n_dims),
        weights=weights,
        sums=decode_numbers(content["sums"]).reshape(len(weights), n_dims),
        mean=mean,
        scatter=decode_numbers(content["scatter"]).reshape(len(mean), len(mean)),
    )
    statistics.require_possible()
    return Profile(
        name=stored_text(content["name"]),
        kind=Kind(content["kind"]),
        model=stored_text(model["name"]),
        model_version=stored_text(model["version"]),
        model_sha256=stored_text(model["sha256"]),
        statistics=statistics,
    )


def _whole_number(content: dict[str, Any], name: str) -> int:
    # `int` would take 3.7, true and "3" as well, which no espressivo writes.
    if type(value := content[name]) is not int or value < 0:
        raise ValueError(f"{name} is no whole number of 0 or more")
    return value
