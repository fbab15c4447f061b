"""What profiles of speakers and settings are made from, in a line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from espressivo.model.adaptation import AdaptationCard
    from espressivo.profile.profile import Profile


def summary(profile: Profile) -> str:
    """Return from how much speech a profile was made."""
    heard = profile.statistics
    if not heard.n_windows:
        return f"{profile.kind}, nothing heard yet"
    minutes, seconds = divmod(round(profile.speech_s), 60)
    recordings = "recording" if heard.n_recordings == 1 else "recordings"
    windows = "window" if heard.n_windows == 1 else "windows"
    return (
        f"{profile.kind}, {minutes} min {seconds:02} s of speech, {heard.n_windows} "
        f"{windows} of {heard.n_recordings} {recordings}"
    )


def effect(profile: Profile, card: AdaptationCard) -> str:
    """Return the offset that a profile stands for, and how well it is known.

    All numbers are root mean squares over the dimensions; 1 is the standard deviation
    of a window.

    Args:
        profile: A profile of a speaker or of a setting.
        card: What the profile's model knows of voices.
    """
    from espressivo.model.adaptation import infer
    from espressivo.profile.profile import Kind

    is_setting, heard = profile.kind is Kind.SETTING, profile.statistics
    posterior = infer(card, None, heard) if is_setting else infer(card, heard)
    # The speakers in a setting differ, which is no doubt about the setting.
    speakers = card.variance(card.speaker) if is_setting else 0.0
    offset, before = 0.0, card.prior_deviation
    after = before
    if posterior is not None:
        offset = math.hypot(*posterior.offset) / math.sqrt(len(posterior.offset))
        after = posterior.deviation
    after, before = (math.sqrt(max(0.0, d**2 - speakers)) for d in (after, before))
    whose = "settings" if is_setting else "voices"
    return (
        f"{known(after, before)}: {offset:.2f} ± {after:.2f} from the average "
        f"(unknown {whose}: ± {before:.2f})"
    )


def known(deviation: float, prior_deviation: float) -> str:
    """Return how much smaller the deviation of an offset is than without a history.

    >>> known(0.5, 1.5), known(1.5, 1.5)
    ('67% known', '0% known')
    """
    # A further recording can make it less clear which emotions a history contains.
    share = 1 - deviation / prior_deviation if prior_deviation else 0.0
    return f"{max(0.0, share):.0%} known"
