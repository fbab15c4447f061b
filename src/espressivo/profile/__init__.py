"""Speaker profiles: unlabelled statistics of a speaker's voice (enrolment)."""

from espressivo.profile.profile import Profile, create, delete, learn

__all__ = ["Profile", "create", "delete", "learn"]
