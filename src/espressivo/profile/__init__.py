"""Speaker profiles: unlabelled statistics of a speaker's voice (enrolment)."""

from espressivo.errors import ProfileError
from espressivo.profile.profile import Profile, create, delete, learn

__all__ = ["Profile", "ProfileError", "create", "delete", "learn"]
