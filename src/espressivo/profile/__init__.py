"""Profiles of speakers: what their voice is like on average, without labels."""

from espressivo.profile.profile import Profile, create, delete, learn

__all__ = ["Profile", "create", "delete", "learn"]
