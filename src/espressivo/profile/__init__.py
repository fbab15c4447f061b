"""What a speaker's voice is like on average, learned without labels."""

from espressivo.profile.profile import Profile, create, delete, learn

__all__ = ["Profile", "create", "delete", "learn"]
