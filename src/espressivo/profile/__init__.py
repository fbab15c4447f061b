"""Profiles of speakers and settings: statistics of unlabelled windows (enrolment)."""

from espressivo.errors import ProfileError
from espressivo.profile.profile import Kind, Profile, create, delete, learn

__all__ = ["Kind", "Profile", "ProfileError", "create", "delete", "learn"]
